"""Reading video files frame by frame: in order, from the right time, resized.

Variable frame rate: the rate of the result is that of the file's usual interval between frames, and its
frame k shows what the file shows at k / rate after its start: a frame that stays longer is repeated, of
several frames within one interval the last is kept. A file of constant rate passes unchanged, frame by
frame, also where its container rounds time stamps.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.video.stream import VideoStream

from vidgan.data.codecs import Frame
from vidgan.data.resize import Resizer
from vidgan.names import ffmpeg_file

COMPLETE = 0.9
"""a file is cut off if it yields less than this part of the frames that its header declares"""


def read_video(
    path: Path, resizer: Resizer, part: tuple[float, float] | None = None
) -> tuple[float | None, Iterator[Frame]]:
    """The frame rate (per second; None where unknown) and the resized frames of a video file.

    Args:
        part: from when to when (seconds after the file's first frame, the end not included); None: all of it.

    Raises:
        av.FFmpegError, OSError, ValueError: here or while frames are read, with what is wrong with
            the file.
    """
    times = _times(path)
    if part is None:
        interval = usual_interval(times)
        return _rate(interval), _whole(path, resizer, interval)
    first = times[0] if times else Fraction(0)
    start, end = (
        first + Fraction(round(1000 * seconds), 1000) for seconds in part
    )  # 0.2 s as a float is later
    within = [time for time in times if start <= time < end]
    if not within:
        raise ValueError(f"holds no frames between second {part[0]:g} and {part[1]:g}")
    interval = usual_interval(within)
    return _rate(interval), _part(path, resizer, interval, start, end, len(within))


def _rate(interval: Fraction | None) -> float | None:
    return None if interval is None else float(1 / interval)


def usual_interval(times: list[Fraction]) -> Fraction | None:
    """The usual time from one frame to the next (seconds), or None with fewer than two frames.

    That is the mean of the intervals that are within a factor of 1.5 of their median: the mean undoes a
    container's rounding, the bound keeps pauses and gaps out of it.
    """
    gaps = [b - a for a, b in itertools.pairwise(times) if b > a]
    if not gaps:
        return None
    median = sorted(gaps)[len(gaps) // 2]
    usual = [gap for gap in gaps if median / Fraction(3, 2) < gap < median * Fraction(3, 2)]
    return sum(usual, Fraction(0)) / len(usual)


def _open(path: Path) -> tuple[InputContainer, VideoStream]:
    container = av.open(ffmpeg_file(path))
    if not container.streams.video:
        container.close()
        raise ValueError("holds no video stream")
    stream = container.streams.best("video")
    assert isinstance(stream, VideoStream)
    stream.thread_count = 1  # the worker processes fill the cores
    return container, stream


def _times(path: Path) -> list[Fraction]:
    # The packets' time stamps, which cost no decoding. AVI and other formats of constant rate may lack them.
    container, stream = _open(path)
    with container:
        packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
        base, rate = stream.time_base, stream.average_rate or stream.guessed_rate
    stamps = [packet.pts for packet in packets if packet.pts is not None]
    if base is not None and len(stamps) == len(packets):
        return sorted(stamp * base for stamp in stamps)
    return [] if not rate else [index / rate for index in range(len(packets))]


def _whole(path: Path, resizer: Resizer, interval: Fraction | None) -> Iterator[Frame]:
    container, stream = _open(path)
    with container:
        yield from _constant(container.decode(stream), stream, resizer, interval, stream.frames)


def _part(
    path: Path, resizer: Resizer, interval: Fraction | None, start: Fraction, end: Fraction, frames: int
) -> Iterator[Frame]:
    container, stream = _open(path)
    with container:
        if stream.time_base is not None:  # to the last key frame before the part
            container.seek(int(start / stream.time_base), stream=stream)
        started = itertools.dropwhile(lambda frame: _before(frame, start), container.decode(stream))
        within = itertools.takewhile(lambda frame: _before(frame, end), started)
        yield from _constant(within, stream, resizer, interval, frames)


def _before(frame: VideoFrame, time: Fraction) -> bool:
    own = _time(frame)
    if own is None:
        raise ValueError("has no time stamps to cut it by")
    return own < time


def _constant(
    frames: Iterator[VideoFrame],
    stream: VideoStream,
    resizer: Resizer,
    interval: Fraction | None,
    declared: int,
) -> Iterator[Frame]:
    # At a constant rate; ``declared``: frames that there should be.
    shown: Frame | None = None
    origin, decoded, position = Fraction(0), 0, 0
    aspect = stream.sample_aspect_ratio or Fraction(1)
    size: tuple[int, int] | None = None
    for frame in frames:
        if frame.is_corrupt:
            raise ValueError(f"frame {decoded} is damaged")
        time = _time(frame)
        if shown is None:
            origin = time or Fraction(0)
        slot = decoded if time is None or interval is None else round((time - origin) / interval)
        if shown is not None:
            yield from itertools.repeat(shown, max(0, slot - position))
        position = max(position, slot)
        size = size or resizer.target(frame.height, frame.width, aspect)
        shown = _upright(resizer.video_frame(frame, *size), frame.rotation)
        decoded += 1
    if shown is None:
        raise ValueError("holds no frames")
    if decoded < COMPLETE * declared:
        raise ValueError(f"cut off: {decoded} of {declared} frames")
    yield shown


def _time(frame: VideoFrame) -> Fraction | None:
    if frame.pts is None or frame.time_base is None:
        return None
    return frame.pts * frame.time_base


def _upright(frame: Frame, rotation: int) -> Frame:
    # The display matrix's angle counts anticlockwise, as numpy's quarter turns do.
    return np.ascontiguousarray(np.rot90(frame, round(rotation / 90) % 4))


class Extent(NamedTuple):
    """How much a video file shows, known without decoding all of it."""

    frames: int
    """at the constant rate of :func:`read_video`"""
    height: int
    """pixels, after resizing"""
    width: int
    """pixels, after resizing"""


def video_extent(path: Path, resizer: Resizer) -> Extent:
    """The length and size of what :func:`read_video` yields, from the packets' times and the first frame.

    Raises:
        av.FFmpegError, OSError, ValueError: with what is wrong with the file.
    """
    times = _times(path)
    interval = usual_interval(times)
    frames = len(times) if interval is None else 1 + round((times[-1] - times[0]) / interval)
    first = next(_whole(path, resizer, interval))
    return Extent(frames, *first.shape[:2])


class BrokenClipError(Exception):
    """A source that cannot be used, and why (a short phrase)."""


class Opened(NamedTuple):
    """A clip while it is read."""

    rate: float | None
    """frames per second, where the source says so"""
    frames: Iterator[Frame]
    """resized frames, all of one size, read as they are asked for; raises :class:`BrokenClipError`"""


@dataclass(frozen=True)
class ClipSource(ABC):
    """One clip to be: where its bytes are. Can be sent to worker processes."""

    path: Path
    """file"""
    name: str
    """unique name within the dataset: the path below the source folder"""
    label: int
    """index into the layout's classes"""
    group: str | None = None
    """recording it was cut from, where several clips share one (clips of a group look alike)"""

    @abstractmethod
    def open(self, resizer: Resizer) -> Opened:
        """Start reading; raises :class:`BrokenClipError` where it cannot be read."""


class VideoFile(ClipSource):
    """A video file that FFmpeg reads."""

    def open(self, resizer: Resizer) -> Opened:
        return _opened(self.path, resizer, None)


@dataclass(frozen=True, kw_only=True)
class VideoPart(ClipSource):
    """A part of a longer video file."""

    start: float
    """seconds after the file's start"""
    end: float
    """seconds after the file's start"""

    def open(self, resizer: Resizer) -> Opened:
        return _opened(self.path, resizer, (self.start, self.end))


def _opened(path: Path, resizer: Resizer, part: tuple[float, float] | None) -> Opened:
    try:
        rate, frames = read_video(path, resizer, part)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BrokenClipError(_reason(error)) from error
    return Opened(rate, _guarded(frames))


def _guarded(frames: Iterator[Frame]) -> Iterator[Frame]:
    try:
        yield from frames
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BrokenClipError(_reason(error)) from error


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
