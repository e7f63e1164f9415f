"""BAIR robot pushing, and the TFRecords that it lies in.

A file is a row of records: the length (uint64, little-endian), its masked CRC-32C, the bytes, their masked CRC-32C.
The CRC of the length is checked, that of the bytes is not: in pure Python it would cost a hundred times the reading.
An Example is a protocol buffer: a map from names to lists of bytes, floats or integers.

A record is a trajectory of 30 frames: ``0/image_aux1/encoded`` to ``29/image_aux1/encoded`` hold 64 x 64 x 3 plain
bytes each. The other camera (``image_main``) is passed over: prediction is measured on ``image_aux1``.
"""

import functools
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from vidgan.data.codecs import Frame
from vidgan.data.layouts import FoundClips, Split, below, not_this
from vidgan.data.listing import Remark, list_files
from vidgan.data.resize import Resizer
from vidgan.data.timeline import MAX_GAP
from vidgan.data.video import BrokenClipError, ClipSource, Opened

HEADER, FOOTER = 12, 4
"""bytes before and after a record's own"""
POLYNOMIAL = 0x82F63B78
"""CRC-32C (Castagnoli), its bits reversed"""


class Record(NamedTuple):
    """Where a record's bytes lie in its file."""

    offset: int
    bytes: int


def records(path: Path) -> Iterator[Record]:
    """The records of ``path`` in order, without reading them.

    Raises:
        OSError, ValueError: where it cannot be read, is no TFRecord file or is cut off.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        place = 0
        while place < size:
            file.seek(place)
            header = file.read(HEADER)
            if len(header) < HEADER:
                raise ValueError("the file is cut off")
            length, crc = struct.unpack("<QI", header)
            if crc != masked_crc(header[:8]):
                raise ValueError("not a TFRecord file: the checksum of a length does not fit")
            if place + HEADER + length + FOOTER > size:
                raise ValueError("the file is cut off")
            yield Record(place + HEADER, length)
            place += HEADER + length + FOOTER


def read_record(path: Path, record: Record) -> bytes:
    """The bytes of ``record``; raises ``OSError``."""
    with path.open("rb") as file:
        file.seek(record.offset)
        return file.read(record.bytes)


def byte_features(example: bytes) -> dict[str, memoryview]:
    """The first value of every feature of an Example that is a list of bytes, by name.

    Raises:
        ValueError: where ``example`` is not such a message.
    """
    table: dict[str, memoryview] = {}
    for features in _fields(memoryview(example), 1):
        for entry in _fields(features, 1):
            name = b"".join(_fields(entry, 1)).decode()
            for feature in _fields(entry, 2):
                for values in _fields(feature, 1):
                    for value in _fields(values, 1):
                        table.setdefault(name, value)
    return table


def _fields(message: memoryview, wanted: int) -> Iterator[memoryview]:
    # The fields number ``wanted`` of a message that have a length; others are passed over.
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == 2:
            length, place = _varint(message, place)
            if place + length > len(message):
                raise ValueError("a message that ends too early")
            if tag >> 3 == wanted:
                yield message[place : place + length]
            place += length
        elif kind == 0:
            _, place = _varint(message, place)
        elif kind in (1, 5):
            place += 8 if kind == 1 else 4
        else:
            raise ValueError(f"not a protocol buffer: wire type {kind}")


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(message) and shift < 64:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
    raise ValueError("not a protocol buffer: a number that does not end")


def masked_crc(data: bytes) -> int:
    """CRC-32C of ``data``, turned and shifted as TFRecord files have it; slow, for a few bytes."""
    crc, table = 0xFFFFFFFF, _table()
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@functools.cache
def _table() -> tuple[int, ...]:
    entries = []
    for entry in range(256):
        for _ in range(8):
            entry = entry >> 1 ^ POLYNOMIAL * (entry & 1)
        entries.append(entry)
    return tuple(entries)


TRAINS = 0.7
"""part of the training trajectories that the balanced split trains on (Luc et al. 2020, C.1)"""


class Bair(Split):
    """BAIR's TFRecords, without classes.

    ``train`` and ``test`` are the original split (43,264 and 256 trajectories). Balanced (Luc et al. 2020, C.1):
    the first 70 % of the training trajectories train, the others and the 256 test.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "test", "balanced-train", "balanced-test")

    def find(self, source: Path) -> FoundClips:
        if self.split in ("train", "test"):
            clips, remarks = _trajectories(source, self.split)
            return FoundClips(("all",), clips, [], remarks)
        # Our choice: "first" is by the numbers in the files' names, then the order in the file; rounded down.
        train, of_train = _trajectories(source, "train")
        share = int(TRAINS * len(train))
        if self.split == "balanced-train":
            return FoundClips(("all",), train[:share], [], of_train)
        test, of_test = _trajectories(source, "test")
        return FoundClips(("all",), [*train[share:], *test], [], (*of_train, *of_test))


def _trajectories(source: Path, part: str) -> tuple[list[ClipSource], tuple[Remark, ...]]:
    folder = below(source, "BAIR Robot Pushing", f"softmotion30_44k/{part}", part)
    listing = list_files(folder, (".tfrecords", ".tfrecord"), deep=False)
    files = sorted(listing.files, key=_number)
    if not files:
        raise not_this(folder, "BAIR Robot Pushing", "no .tfrecords files")
    clips: list[ClipSource] = []
    for file in files:
        try:
            found = list(records(file))
        except (OSError, ValueError) as error:
            raise not_this(folder, "BAIR Robot Pushing", f"{file.name}: {error}") from error
        name = f"{part}/{file.name}"
        clips += [Trajectory(file, f"{name}#{place}", 0, record=record) for place, record in enumerate(found)]
    return clips, listing.remarks


def _number(file: Path) -> tuple[int, str]:
    first = re.search(r"\d+", file.stem)
    return (int(first[0]) if first else 0, file.name)


@dataclass(frozen=True, kw_only=True)
class Trajectory(ClipSource):
    """A record whose features ``0/image_aux1/encoded``, ``1/...`` are the frames."""

    record: Record
    """where it lies in the file"""

    def open(self, resizer: Resizer, max_gap: float = MAX_GAP) -> Opened:
        return Opened(None, self._frames(resizer))

    def _frames(self, resizer: Resizer) -> Iterator[Frame]:
        try:
            features = byte_features(read_record(self.path, self.record))
        except (OSError, ValueError) as error:
            raise BrokenClipError(str(error)) from error
        number = 0
        while (data := features.get(f"{number}/image_aux1/encoded")) is not None:
            side = isqrt(len(data) // 3)
            if len(data) != 3 * side * side:
                raise BrokenClipError(f"frame {number} has {len(data)} bytes, which are no square image")
            yield resizer.image(np.frombuffer(data, np.uint8).reshape(side, side, 3))
            number += 1
        if number == 0:
            raise BrokenClipError("holds no 0/image_aux1/encoded")
