"""Animated WebP, which FFmpeg does not read: looked through without decoding anything, then decoded by Pillow.

Encoders write a frame that repeats once and show it longer. Files of our own say how many frames went in, so that
all of them come out again.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from vidgan.data.codecs import Frame
from vidgan.data.resize import Resizer
from vidgan.data.timeline import MAX_GAP, Stamp, Timeline, timeline_of
from vidgan.data.video import (
    TRANSPARENT,
    UNREADABLE,
    BrokenClipError,
    ClipSource,
    Opened,
    Reader,
    guarded,
    reason_of,
)

WEBP = ".webp"
COUNT = '<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:vidgan="vidgan:" vidgan:frames="{}"/>'
"""metadata (XMP) that tells how many frames went into a file"""
UNTOLD = 100
"""how long browsers show a frame of no duration (ms)"""
MS = Fraction(1, 1000)
LARGEST = 2**32 + 8
"""bytes: lengths in RIFF files have 32 bits"""


class Chunk(NamedTuple):
    """A part of a RIFF file."""

    name: bytes
    data: bytes
    """the first bytes of it"""


class AnimationReader(Reader):
    """An animated WebP; the arguments are those of :class:`~vidgan.data.video.VideoReader`.

    Raises:
        OSError, ValueError: here or while frames are read, with what is wrong with the file.
    """

    def __init__(self, path: Path, resizer: Resizer, max_gap: float = MAX_GAP) -> None:
        self._path, self._resizer = path, resizer
        timeline = _timeline(path, max_gap)
        self.rate, self.remarks, self._shown = timeline.rate, list(timeline.remarks), timeline.shown()
        self.length = len(self._shown)

    def read(self, wanted: range) -> Iterator[Frame]:
        numbers = self._shown[wanted.start : wanted.stop : wanted.step].tolist()
        with _opened(self._path) as image:
            last, picture = -1, np.empty(0, np.uint8)
            for number in numbers:
                if number != last:
                    image.seek(number)
                    if is_transparent(image) and TRANSPARENT not in self.remarks:
                        self.remarks.append(TRANSPARENT)
                    picture = self._resizer.image(np.asarray(image.convert("RGB")))
                    last = number
                yield picture


class Animation(ClipSource):
    """An animated WebP."""

    def open(self, resizer: Resizer, max_gap: float = MAX_GAP) -> Opened:
        try:
            reader = AnimationReader(self.path, resizer, max_gap)
        except UNREADABLE as error:
            raise BrokenClipError(reason_of(error)) from error
        return Opened(reader.rate, guarded(reader.read(range(reader.length))), reader.remarks)


def is_transparent(image: Image.Image) -> bool:
    """Whether parts of an image are transparent."""
    return image.has_transparency_data and int(np.asarray(image.convert("RGBA"))[..., 3].min()) < 255


def animation_size(path: Path) -> tuple[int, int]:
    """Height and width of the frames of a WebP; raises ``OSError`` or ``ValueError`` where it is none."""
    _require_size(path)
    with _opened(path) as image:
        return image.height, image.width


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except Image.DecompressionBombError as error:
        raise ValueError("holds more pixels than a frame can have") from error
    except UNREADABLE:
        raise
    except Exception as error:  # damaged bytes make Pillow's parsers raise almost anything
        raise ValueError(reason_of(error)) from error


def is_animation(path: Path) -> bool:
    """Whether a WebP shows more than one frame; a strip of frames is a single picture."""
    if path.suffix.lower() != WEBP:
        return False
    try:
        return _timeline(path, MAX_GAP).shown().size > 1
    except UNREADABLE:
        return False


def _require_size(path: Path) -> None:
    if path.stat().st_size > LARGEST:  # Pillow reads all of it
        raise ValueError("is larger than a WebP can be")


def _timeline(path: Path, max_gap: float) -> Timeline:
    durations, count = [], 0
    _require_size(path)
    with path.open("rb") as file:
        for chunk in _chunks(file):
            if chunk.name == b"ANMF":
                durations.append(int.from_bytes(chunk.data[12:15], "little") or UNTOLD)
            if chunk.name == b"XMP " and (found := re.search(rb'vidgan:frames="(\d{1,9})"', chunk.data)):
                count = int(found[1])
    durations = durations or [UNTOLD]
    starts = [0, *accumulate(durations)]
    timeline = timeline_of([Stamp(start, True) for start in starts[:-1]], MS, max_gap)
    timeline = timeline.holding(durations[-1] / 1000, max_gap)
    if count < len(durations):
        return timeline
    interval = Fraction(starts[-1], 1000 * count)
    return replace(timeline, interval=interval, held=durations[-1] / 1000)


def _chunks(file: BinaryIO) -> Iterator[Chunk]:
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WEBP":
        raise ValueError("is no WebP")
    while len(head := file.read(8)) == 8:
        size = int.from_bytes(head[4:], "little")
        data = file.read(min(size, 1024))
        if len(data) < min(size, 1024):
            raise ValueError("cut off")
        yield Chunk(head[:4], data)
        file.seek(size - len(data) + size % 2, 1)
