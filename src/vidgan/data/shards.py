"""Writing one shard of a prepared dataset: a fixed group of sources, so its bytes depend on nothing else."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from vidgan.data.codecs import Codec, Raw
from vidgan.data.store import PrepareSpec, shard_name
from vidgan.data.video import BrokenClipError, ClipSource, Resizer
from vidgan.data.workers import failure_of
from vidgan.errors import UserError
from vidgan.files import write_json, write_whole


class Shard(NamedTuple):
    """A group of sources that become one file."""

    number: int
    """place in the dataset"""
    sources: list[ClipSource]
    """as many as :func:`vidgan.data.prepare.shard_clips` says"""

    def record(self, folder: Path) -> Path:
        """The file in ``folder`` that says what became of the sources."""
        return folder / f"{self.number:05d}.json"


class Stored(NamedTuple):
    """Where and how a clip was stored: the columns of ``CLIP`` (:mod:`vidgan.data.store`) known here."""

    frames: int
    height: int
    width: int
    rate: float | None
    offset: int
    bytes: int
    crc: int


def write_shard(
    shard: Shard, spec: PrepareSpec, dest: Path, records: Path, advance: Callable[[], None]
) -> None:
    """Write the shard's file to ``dest`` and then its record to ``records``; ``advance`` after each source.

    The record is a list with a :class:`Stored` or the reason why there is none, for each source.

    Raises:
        UserError: where the files cannot be written (a full disk).
    """
    outcomes: list[Stored | str] = []
    resizer = Resizer(spec.size, spec.resize)

    def fill(part: Path) -> None:
        with part.open("wb") as file:
            for source in shard.sources:
                outcomes.append(_store(source, resizer, spec.codec, file))
                advance()

    with writing_to(dest):
        write_whole(dest / shard_name(shard.number), fill)
        write_json(shard.record(records), [fingerprints(shard), outcomes])


@contextmanager
def writing_to(dest: Path) -> Iterator[None]:
    """Turns an ``OSError`` while writing to ``dest`` (a full disk) into a ``UserError``."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write to {dest}: {error.strerror or error}; mend that, then the same command goes on"
        ) from error


def fingerprints(shard: Shard) -> list[list[str | int]]:
    """What tells whether a source is still the same: its name and its size in bytes."""
    return [[source.name, _size(source.path)] for source in shard.sources]


def serve_shards(pipe: "Connection[Any, Any]", spec: PrepareSpec, dest: Path, records: Path) -> None:
    """A worker: for every shard received, send True per source and at last None, or a ``Failure``."""
    while True:
        shard = pipe.recv()
        try:
            write_shard(shard, spec, dest, records, lambda: pipe.send(True))
        except Exception as error:
            pipe.send(failure_of(error))
        else:
            pipe.send(None)


def _store(source: ClipSource, resizer: Resizer, codec: Codec, file: BinaryIO) -> Stored | str:
    offset, frames, crc, shape = file.tell(), 0, 0, (0, 0)
    ends = [0]
    try:
        rate, stream = source.open(resizer)
        for frame in stream:
            data = codec.pack(frame)
            crc, frames, shape = zlib.crc32(data, crc), frames + 1, frame.shape[:2]
            ends.append(ends[-1] + len(data))
            file.write(data)
    except BrokenClipError as error:
        file.seek(offset)
        file.truncate()
        return str(error)
    if not isinstance(codec, Raw):
        table = np.asarray(ends, "<u8").tobytes()
        crc = zlib.crc32(table, crc)
        file.write(table)
    return Stored(frames, shape[0], shape[1], rate, offset, file.tell() - offset, crc)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
