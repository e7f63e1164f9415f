"""Reading video files frame by frame: in order, from the right time, upright, resized.

Every place that reads videos does it here, so that they show the same everywhere. A file is first looked through
without decoding anything (:class:`Scan`); then as many frames are decoded as are asked for.
"""

import itertools
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vidgan.data.codecs import Frame
from vidgan.data.orientation import Orientation, orientation_of
from vidgan.data.resize import Resizer
from vidgan.data.timeline import MAX_GAP, Stamp, Timeline, timeline_of
from vidgan.files import LARGEST_FILE
from vidgan.names import ffmpeg_file

VIDEOS = (
    *(
        ".mp4",
        ".avi",
        ".webm",
        ".mkv",
        ".mov",
        ".gif",
        ".m4v",
        ".mpg",
        ".mpeg",
        ".ts",
        ".wmv",
        ".flv",
        ".3gp",
    ),
    *(".ogv", ".y4m", ".vob", ".mts", ".m2ts", ".apng", ".asf", ".f4v", ".3g2", ".m2v", ".mxf", ".dv", ".qt"),
    *(".ogm", ".nut", ".ivf", ".divx", ".mjpeg", ".mjpg", ".h264", ".264", ".h265", ".265", ".hevc"),
)
"""suffixes of files that FFmpeg reads"""
COMPLETE = 0.9
"""a file is cut off if it yields less than this part of the frames that its header declares"""
ANIMATIONS = {"gif", "apng"}
"""formats that say how long the last frame is shown"""
SOUGHT = {"mp4", "matroska", "webm"}
"""formats in which a frame is found without decoding from the start; elsewhere its time stamp may change by that"""
MOST_PIXELS = 2**26
"""of a resized frame: more are of a shape that is wrong"""
FAR = 32
"""frames that are rather decoded than sought"""
COVER = Disposition.attached_pic
TRANSPARENT = "transparent in parts, which is not seen"
ENLARGED = "smaller than the size that they are brought to"
UNREADABLE = (av.FFmpegError, OSError, ValueError)
"""what reading a file raises that is broken"""


@dataclass(frozen=True)
class Scan:
    """What is known of a video file before any frame is decoded."""

    path: Path
    timeline: Timeline
    can_seek: bool
    remarks: tuple[str, ...]


def scan_video(path: Path, max_gap: float = MAX_GAP) -> Scan:
    """Look through a video file.

    Args:
        max_gap: longest time between two frames that is kept (seconds).

    Raises:
        av.FFmpegError, OSError, ValueError: with what is wrong with the file.
    """
    sent, held, end = 0, 0, 0
    seen: list[tuple[int | None, bool]] = []
    begun, begin = False, None
    container, stream = _open(path)
    with container:
        for packet in container.demux(stream):
            sent += packet.size > 0 or packet.dts is not None
            end = max(end, (packet.pts or 0) + (packet.duration or 0))
            # What was recorded before decoding can begin is never seen.
            if packet.is_keyframe and not begun:
                seen, begun, begin = [], True, packet.pts
            if begin is not None and packet.pts is not None and packet.pts < begin:
                continue
            # What an edit list hides is decoded, since other frames need it, and not shown.
            if packet.size and not packet.is_discard:
                seen.append((packet.pts, packet.is_keyframe))
                held = packet.duration or 0
        # An edit list can leave out most frames of a file, and says how long the others are.
        lasts = (stream.start_time or 0) + COMPLETE * (stream.duration or 0)
        if sent < COMPLETE * stream.frames and not 0 < lasts <= end:
            raise ValueError(f"cut off: {sent} of {stream.frames} frames")
        base, rate = stream.time_base, stream.guessed_rate or stream.average_rate
        remarks = tuple(_passed_over(container, stream))
        kinds = set(container.format.name.split(","))
        reorders = bool(stream.codec_context.has_b_frames)
    stamps = [Stamp(time, is_key) for time, is_key in seen if time is not None]
    if not base or len(stamps) < len(seen):  # as in a stream without a container
        stamps, base = [Stamp(number, False) for number in range(len(seen))], 1 / (rate or Fraction(25))
    timeline = timeline_of(stamps, base, max_gap, rate)
    if reorders and all(a.time <= b.time for a, b in itertools.pairwise(stamps)):
        # Frames are shown in another order than they are sent in, and the container does not know: AVI.
        timeline = timeline.by_order()
    if kinds & ANIMATIONS:
        timeline = timeline.holding(float(held * base), max_gap)
    return Scan(path, timeline, bool(kinds & SOUGHT), (*timeline.remarks, *remarks))


def _passed_over(container: InputContainer, shown: VideoStream) -> Iterator[str]:
    others = [stream for stream in container.streams.video if stream.index != shown.index]
    if any(stream.disposition & COVER for stream in others):
        yield "cover pictures passed over"
    if any(not stream.disposition & COVER for stream in others):
        yield "several video streams, of which one is read"
    if shown.metadata.get("alpha_mode") == "1":  # WebM, whose transparency FFmpeg's own decoder leaves out
        yield TRANSPARENT


class Reader(ABC):
    """Random access to the resized frames of a file, at a constant rate."""

    rate: float | None
    """frames per second; None where unknown"""
    length: int
    """frames"""
    remarks: list[str]
    """short phrases on what a user should know of the file, though it can be read; more may come with the frames"""

    @abstractmethod
    def read(self, wanted: range) -> Iterator[Frame]:
        """The frames with these numbers, all of one shape; no more are decoded than must be.

        Raises:
            av.FFmpegError, OSError, ValueError: with what is wrong with the file.
        """


class VideoReader(Reader):
    """A video file that FFmpeg reads.

    Args:
        part: from when to when (seconds after the file's first frame, the end not included); None: all of it.
        max_gap: longest time between two frames that is kept (seconds); longer ones are closed.

    Raises:
        av.FFmpegError, OSError, ValueError: with what is wrong with the file.
    """

    def __init__(
        self,
        path: Path,
        resizer: Resizer,
        part: tuple[float, float] | None = None,
        max_gap: float = MAX_GAP,
    ) -> None:
        self._scan, self._resizer = scan_video(path, max_gap), resizer
        first, timeline = (0, self._scan.timeline) if part is None else self._scan.timeline.part(*part)
        self._shown = first + timeline.shown()
        self.rate, self.length, self.remarks = timeline.rate, len(self._shown), list(self._scan.remarks)

    def read(self, wanted: range) -> Iterator[Frame]:
        numbers = self._shown[wanted.start : wanted.stop : wanted.step]
        return decoded(self._scan, numbers, self._resizer, self.remarks)


class Video(NamedTuple):
    """All of a video file while it is read."""

    rate: float | None
    """frames per second; None where unknown"""
    frames: Iterator[Frame]
    """resized, all of one shape"""


def read_video(path: Path, resizer: Resizer, part: tuple[float, float] | None = None) -> Video:
    """The frame rate and the resized frames of a video file, or a part of it, as :class:`VideoReader` reads it."""
    reader = VideoReader(path, resizer, part)
    return Video(reader.rate, reader.read(range(reader.length)))


def decoded(scan: Scan, wanted: NDArray[np.int64], resizer: Resizer, remarks: list[str]) -> Iterator[Frame]:
    """The frames with these places in the file, resized; no more are decoded than must be.

    Args:
        wanted: never decreasing. Where the decoder leaves a frame out, the one before it is taken.
        remarks: on the first frame are added.

    Raises:
        av.FFmpegError, OSError, ValueError: with what is wrong with the file.
    """
    left = iter(wanted.tolist())
    number: int | None = next(left)
    place, held = -1, None
    shown: _Shown | None = None
    for place, frame, aspect in _numbered(scan, int(wanted[0])):
        if frame.is_corrupt:
            raise ValueError(f"frame {place} is damaged")
        if shown is None:
            shown = _Shown(resizer, aspect)
            remarks += (remark for remark in _seen(frame) if remark not in remarks)
        while held is not None and number is not None and number < place:
            yield shown.picture(held)
            number = next(left, None)
        held = frame
        shown.turn(frame)
        while number == place:
            yield shown.picture(frame)
            number = next(left, None)
        if number is None:
            return
    if shown is None or held is None:
        raise ValueError("holds no frames")
    frames = len(scan.timeline.stamps)
    if place + 1 < COMPLETE * frames:
        raise ValueError(f"cut off: {place + 1} of {frames} frames")
    while number is not None:
        yield shown.picture(held)
        number = next(left, None)


def _seen(frame: VideoFrame) -> Iterator[str]:
    if frame.interlaced_frame:
        yield "interlaced, and left so"
    has_alpha = any(part.is_alpha for part in frame.format.components)
    if has_alpha and frame.reformat(format="rgba").to_ndarray()[..., 3].min() < 255:
        yield TRANSPARENT


def video_size(path: Path) -> tuple[int, int]:
    """Height and width of a video file's frames before they are turned, their pixels made square.

    Raises:
        av.FFmpegError, OSError, ValueError: with what is wrong with the file.
    """
    container, stream = _open(path)
    with container:
        return stream.height, round(stream.width * (stream.sample_aspect_ratio or 1))


class _Shown:
    """Turns decoded frames into pictures, all of one shape."""

    def __init__(self, resizer: Resizer, aspect: Fraction) -> None:
        self._resizer, self._aspect = resizer, aspect
        self._orientation = Orientation()
        self._sizes: dict[tuple[int, int], tuple[int, int]] = {}
        self._frame: VideoFrame | None = None
        self._picture: Frame | None = None

    def turn(self, frame: VideoFrame) -> None:
        """Take over the orientation that comes with ``frame``, which holds until another does."""
        self._orientation = orientation_of(frame) or self._orientation

    def picture(self, frame: VideoFrame) -> Frame:
        """``frame`` upright and resized; raises ``ValueError`` where its shape is not that of those before."""
        before = self._picture
        if before is not None and frame is self._frame:
            return before
        own = frame.height, frame.width
        if own not in self._sizes:
            height, width = self._sizes[own] = self._resizer.target(*own, self._aspect)
            if height * width > MOST_PIXELS:
                raise ValueError(f"its frames would be {width}x{height} pixels")
        picture = self._orientation.apply(self._resizer.video_frame(frame, *self._sizes[own]))
        if before is not None and before.shape != picture.shape:
            old, new = (f"{shape[1]}x{shape[0]}" for shape in (before.shape, picture.shape))
            raise ValueError(f"its frames change shape, from {old} to {new} pixels when resized")
        self._frame, self._picture = frame, picture
        return picture


def _open(path: Path) -> tuple[InputContainer, VideoStream]:
    if (size := path.stat().st_size) > LARGEST_FILE:  # reading it to its end would take hours
        raise ValueError(f"is too large to be a video: {size / 2**30:.0f} GiB")
    # Tags may be in any encoding; nothing here reads them.
    container = av.open(ffmpeg_file(path), metadata_errors="replace")
    streams = [stream for stream in container.streams.video if not stream.disposition & COVER]
    if not streams:
        covers = len(container.streams.video)
        container.close()
        raise ValueError("holds a cover picture and no video" if covers else "holds no video stream")
    best = container.streams.best("video")
    stream = next((stream for stream in streams if stream is best), streams[0])
    decoder: object = stream.codec_context  # PyAV's own type says that there is one
    if decoder is None:
        container.close()
        raise ValueError("is in a coding that FFmpeg cannot decode")
    stream.thread_count = 1  # the worker processes fill the cores
    return container, stream


def _numbered(scan: Scan, first: int) -> Iterator[tuple[int, VideoFrame, Fraction]]:
    """Frames with their places in the file, from one at or before ``first`` on, and the shape of their pixels."""
    key = _key_before(scan, first)
    if key is not None:
        container, stream = _open(scan.path)
        with container:
            container.seek(key, stream=stream)
            packets = container.demux(stream)
            start = next(packets, None)
            if start is not None and start.is_keyframe and start.pts is not None and start.pts <= key:
                yield from _places(itertools.chain([start], packets), scan.timeline, stream, start.pts)
                return
    container, stream = _open(scan.path)
    with container:
        yield from _places(container.demux(stream), scan.timeline, stream, None)


def _key_before(scan: Scan, first: int) -> int | None:
    """The stamp to begin decoding at for the frame at ``first``; None: at the start."""
    timeline = scan.timeline
    if not scan.can_seek or not timeline.is_ordered:
        return None
    stamp = timeline.stamps[first]
    keys = timeline.keys[timeline.keys <= stamp]
    if not len(keys) or np.searchsorted(timeline.stamps, keys[-1]) < FAR:
        return None
    return int(keys[-1])


def _places(
    packets: "Iterator[Packet[VideoStream]]", timeline: Timeline, stream: VideoStream, start: int | None
) -> Iterator[tuple[int, VideoFrame, Fraction]]:
    place = -1 if start is None else timeline.place_of(start, -1) - 1
    for packet in packets:
        for frame in packet.decode():
            assert isinstance(frame, VideoFrame)
            place = timeline.place_of(frame.pts, place)
            yield place, frame, stream.sample_aspect_ratio or Fraction(1)


class BrokenClipError(Exception):
    """A source that cannot be used, and why (a short phrase)."""


class Opened(NamedTuple):
    """A clip while it is read."""

    rate: float | None
    """frames per second, where the source says so"""
    frames: Iterator[Frame]
    """resized frames, all of one size, read as they are asked for; raises :class:`BrokenClipError`"""
    remarks: Sequence[str] = ()
    """short phrases on what a user should know of the clip, though it can be used; all of them once it is read"""


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

    def stamp(self) -> tuple[int, int]:
        """What tells whether it is still the same: its size (bytes) and another number where it was changed."""
        return stamp_of(self.path)

    @abstractmethod
    def open(self, resizer: Resizer, max_gap: float = MAX_GAP) -> Opened:
        """Start reading; raises :class:`BrokenClipError` where it cannot be read.

        Args:
            max_gap: longest time between two frames of a video that is kept (seconds).
        """


def stamp_of(path: Path) -> tuple[int, int]:
    """Size and time of change; of a folder the sums of those of its files, its own time included."""
    try:
        state = path.stat()
        if not path.is_dir():
            return state.st_size, state.st_mtime_ns
        with os.scandir(path) as entries:
            inside = [entry.stat() for entry in entries]
    except OSError:
        return 0, 0
    times = sum(each.st_mtime_ns for each in [state, *inside])
    return sum(each.st_size for each in inside), times % 2**53


class VideoFile(ClipSource):
    """A video file that FFmpeg reads."""

    def open(self, resizer: Resizer, max_gap: float = MAX_GAP) -> Opened:
        return _opened(self.path, resizer, None, max_gap)


@dataclass(frozen=True, kw_only=True)
class VideoPart(ClipSource):
    """A part of a longer video file."""

    start: float
    """seconds after the file's start"""
    end: float
    """seconds after the file's start"""

    def open(self, resizer: Resizer, max_gap: float = MAX_GAP) -> Opened:
        return _opened(self.path, resizer, (self.start, self.end), max_gap)


def _opened(path: Path, resizer: Resizer, part: tuple[float, float] | None, max_gap: float) -> Opened:
    try:
        reader = VideoReader(path, resizer, part, max_gap)
    except UNREADABLE as error:
        raise BrokenClipError(reason_of(error)) from error
    return Opened(reader.rate, guarded(reader.read(range(reader.length))), reader.remarks)


def guarded(frames: Iterator[Frame]) -> Iterator[Frame]:
    """The same; what is wrong with the file is raised as :class:`BrokenClipError`."""
    try:
        yield from frames
    except UNREADABLE as error:
        raise BrokenClipError(reason_of(error)) from error


def reason_of(error: Exception) -> str:
    """What is wrong with a file, in a short phrase on one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
