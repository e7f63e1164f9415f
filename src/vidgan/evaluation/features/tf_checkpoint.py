"""TensorFlow's checkpoint files (format V2), read without TensorFlow.

A checkpoint ``NAME`` is ``NAME.index``, a sorted string table (LevelDB's format) from variable names to
places, and ``NAME.data-00000-of-00001``, ..., the raw bytes.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidgan.errors import UserError

MAGIC = 0xDB4775248B80FB57
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
TRAILER = 5  # A block is followed by one byte of compression and four of checksum.


class Place(NamedTuple):
    """Where a variable lies."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


def is_checkpoint(path: Path) -> bool:
    """Whether ``path`` names a checkpoint: a prefix, an index file or a SavedModel folder."""
    return _index_of(path) is not None


def checkpoint_files(path: Path) -> list[Path]:
    """The files of the checkpoint at ``path``: the index, then the shards in order."""
    index = _index_file(path)
    count, _ = _read_index(index)
    return [index, *(_shard(index, number, count) for number in range(count))]


def read_checkpoint(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """The numeric variables of the checkpoint at ``path``, by name.

    Raises:
        UserError: if the index or a shard is missing, cut short or of another format.
    """
    index = _index_file(path)
    count, places = _read_index(index)
    shards: dict[int, npt.NDArray[np.uint8]] = {}
    variables: dict[str, npt.NDArray[np.generic]] = {}
    for name, place in places.items():
        if place.dtype not in DTYPES:
            continue  # The graph's text and the like.
        if place.shard not in shards:
            file = _shard(index, place.shard, count)
            if not file.is_file():
                raise UserError(f"{file} is missing: a checkpoint needs its data file beside {index.name}")
            shards[place.shard] = np.memmap(file, dtype=np.uint8, mode="r")
        raw = shards[place.shard][place.offset : place.offset + place.size]
        dtype = np.dtype(DTYPES[place.dtype])
        if raw.size != place.size or place.size != dtype.itemsize * int(np.prod(place.shape)):
            raise UserError(f"{index} and its data file do not fit together at {name!r}; copy both again")
        variables[name] = np.frombuffer(raw.tobytes(), dtype).reshape(place.shape)
    return variables


def _index_of(path: Path) -> Path | None:
    candidates = [path / "variables" / "variables.index", path.with_name(path.name + ".index")]
    if path.name.endswith(".index"):
        candidates.append(path)
    if path.is_dir():
        inside = sorted(path.glob("*.index"))
        candidates += inside if len(inside) == 1 else []
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _index_file(path: Path) -> Path:
    index = _index_of(path)
    if index is None:
        raise UserError(f"{path} is no TensorFlow checkpoint: there is no {path.name}.index")
    return index


def _shard(index: Path, number: int, count: int) -> Path:
    return index.with_name(f"{index.name.removesuffix('.index')}.data-{number:05d}-of-{count:05d}")


def _read_index(path: Path) -> tuple[int, dict[str, Place]]:
    """The number of shards and the places of all variables."""
    data = path.read_bytes()
    try:
        entries = dict(_table(data))
        header = dict(_message(entries.pop(b"")))
        if header.get(2, 0) != 0:
            raise UserError(f"{path} holds big-endian numbers, which are not supported")
        places = {key.decode(): _place(value) for key, value in entries.items()}
    except (IndexError, KeyError, ValueError, struct.error) as error:
        raise UserError(f"{path} is not the index of a TensorFlow V2 checkpoint, or is damaged") from error
    return int(header.get(1, 1)), places


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """All keys and values of a sorted string table."""
    footer = data[-48:]
    if len(footer) < 48 or struct.unpack("<Q", footer[40:])[0] != MAGIC:
        raise ValueError("not a table")
    _, at = _handle(footer, 0)  # The meta index, which is not needed.
    (offset, size), _ = _handle(footer, at)
    for _, handle in _block(data, offset, size):
        (offset, size), _ = _handle(handle, 0)
        yield from _block(data, offset, size)


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Entries of one block: each key shares a prefix with the one before it."""
    block = data[offset : offset + size]
    if len(data) < offset + size + TRAILER or data[offset + size] != 0:
        raise ValueError("compressed or cut short")
    restarts = struct.unpack("<I", block[-4:])[0]
    end = size - 4 - 4 * restarts
    key, at = b"", 0
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + fresh]
        at += fresh
        yield key, block[at : at + length]
        at += length


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return (offset, size), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _message(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of a protocol buffer message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            number, at = _varint(data, at)
            yield field, number
        elif kind == 2:
            length, at = _varint(data, at)
            yield field, data[at : at + length]
            at += length
        elif kind in (1, 5):
            width = 8 if kind == 1 else 4
            yield field, int.from_bytes(data[at : at + width], "little")
            at += width
        else:
            raise ValueError("not a message")


def _place(data: bytes) -> Place:
    """tensorflow.BundleEntryProto: dtype 1, shape 2, shard_id 3, offset 4, size 5, slices 7."""
    fields = dict(_message(data))
    if 7 in fields:
        raise ValueError("variables in slices are not supported")
    shape = []
    for field, dimension in _message(_bytes(fields.get(2, b""))):
        if field == 2:
            shape.append(_number(dict(_message(_bytes(dimension))).get(1, 0)))
    numbers = [_number(fields.get(field, 0)) for field in (1, 3, 4, 5)]
    return Place(numbers[0], tuple(shape), *numbers[1:])


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    raise ValueError("expected bytes")


def _number(value: int | bytes) -> int:
    if isinstance(value, int):
        return value
    raise ValueError("expected a number")
