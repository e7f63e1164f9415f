"""Checking that the shards of prepared data are as they were written."""

import functools
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vidgan.data.store import Index, shard_name
from vidgan.data.workers import Begin, map_in_workers

CHUNK = 2**24
"""bytes that are read at a time"""


def damaged_shards(folder: Path, index: Index, workers: int, advance: Callable[[int], None]) -> list[int]:
    """The numbers of the shards that are missing, cut off, or whose bytes do not have the checksums of the index.

    Args:
        workers: processes that read them.
        advance: called with the number of clips of a shard that was read.
    """
    clips = index.clips
    rows = {number: clips[clips["shard"] == number] for number in np.unique(clips["shard"]).tolist()}
    found: list[int] = []
    results = map_in_workers(
        functools.partial(is_damaged, folder),
        iter(rows.items()),
        min(workers, len(rows)),
        lambda number: str(folder / shard_name(number)),
        "Check the disk, or prepare the data again",
    )
    with closing(results):
        for number, damaged in zip(rows, results, strict=True):
            found += [number] * damaged
            advance(len(rows[number]))
    return found


def is_damaged(folder: Path, shard: tuple[int, NDArray[np.void]], begin: Begin) -> bool:
    """Whether a shard's file differs from what its ``rows`` of the index say."""
    number, rows = shard
    begin(number)
    try:
        with (folder / shard_name(number)).open("rb") as file:
            return not has_clips(file, rows) or file.read(1) != b""
    except OSError:
        return True


def has_clips(file: BinaryIO, rows: NDArray[np.void]) -> bool:
    """Whether the next bytes of a file are the clips of these ``rows`` of the index, one after the other."""
    return all(checksum(file, int(row["bytes"])) == row["crc"] for row in rows)


def checksum(file: BinaryIO, length: int) -> int | None:
    """CRC-32 of the next ``length`` bytes of a file; None where there are fewer."""
    crc = 0
    while length:
        data = file.read(min(length, CHUNK))
        if not data:
            return None
        crc, length = zlib.crc32(data, crc), length - len(data)
    return crc
