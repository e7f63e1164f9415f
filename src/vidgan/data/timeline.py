"""When the frames of a video are shown, and so which of them a sequence of constant rate repeats or passes over.

The rate of the result is that of the file's usual interval between frames, and its frame k shows what the file
shows at k / rate after its start: a frame that stays longer is repeated, of several frames within one interval
the last is kept. A file of constant rate passes unchanged, frame by frame, also where its container rounds time
stamps.

Time stamps may be wrong, or those of a recorder that paused, or of recordings that were joined. So a gap that is
longer than a limit is closed: the frame behind it comes one interval after the one before it. Where stamps start
anew, the frames behind follow those before; where they contradict the order of the frames, or stand still, frames
follow each other at the usual interval. All of that is told in ``remarks``, and where many frames are passed over.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidgan.data.codecs import Frame

MAX_GAP = 10.0
"""seconds between two frames from which on a gap is closed, unless something else is said"""
RATES: Final = (0.01, 1000.0)
"""slowest and fastest that videos are resampled to (frames per second)"""
USUAL = 1.5
"""factor by which an interval may differ from the median and be a usual one"""
REORDERED = 32
"""frames that a codec may send before one that is shown earlier: twice what H.264 and HEVC allow"""
REPEATED = (1000, 100)
"""a video may become so many frames longer by repeating its frames, and so many for each of them"""
STILL = 8
"""ticks: where the usual interval has so many, stamps that are one apart are no times (what writers put behind a stamp
that is too late, as stamps must grow)"""
MANY = 0.1
"""part of the frames: where more are passed over, it is told"""
EARLIER = 1e-6
"""seconds by which a frame may be earlier than a part and belong to it: rounding of the numbers, less than a tick"""

Ticks = NDArray[np.int64]


class Stamp(NamedTuple):
    """A frame to be, in the order in which it is sent."""

    time: int
    """ticks"""
    is_key: bool
    """decoding can begin there"""


@dataclass(frozen=True)
class Timeline:
    """The frames of a video in the order in which they are shown."""

    stamps: Ticks
    """as the file has them"""
    times: NDArray[np.float64]
    """when they are shown, gaps closed (seconds)"""
    keys: Ticks
    """stamps at which decoding can begin, ascending; none where stamps do not say which frame is which"""
    interval: Fraction | None
    """the usual one (seconds); None for a single frame"""
    held: float = 0.0
    """how long the last frame is shown, where that is known (seconds)"""
    remarks: tuple[str, ...] = ()
    """short phrases on what was wrong with the stamps"""

    @property
    def rate(self) -> float | None:
        """Frames per second of the result."""
        return None if self.interval is None else float(1 / self.interval)

    def shown(self) -> NDArray[np.int64]:
        """Which frame each frame of the result shows: (T,), never decreasing.

        Raises:
            ValueError: where the stamps would have frames repeated beyond all measure.
        """
        if self.interval is None:
            return np.zeros(1, np.int64)
        interval = float(self.interval)
        slots = np.rint((self.times - self.times[0]) / interval).astype(np.int64)
        length = int(slots[-1]) + max(1, round(self.held / interval))
        if length > REPEATED[0] + REPEATED[1] * len(slots):
            raise ValueError(f"its time stamps would make {length} frames of {len(slots)}")
        return np.searchsorted(slots, np.arange(length), side="right") - 1

    def part(self, start: float, end: float) -> tuple[int, "Timeline"]:
        """The part from ``start`` to before ``end`` (seconds after the first frame), and the place of its first frame.

        Raises:
            ValueError: where no frame lies in it.
        """
        since = (
            self.times - self.times[:1] + EARLIER
        )  # of a file that ends before its first frame there is none
        first, stop = (int(np.searchsorted(since, second, side="left")) for second in (start, end))
        if first >= stop:
            raise ValueError(f"holds no frames between second {start:g} and {end:g}")
        times = self.times[first:stop]
        gaps = np.diff(times)
        usual = usual_interval(np.rint(gaps * 1e9).astype(np.int64))
        interval = None if usual is None else usual / 10**9
        return first, replace(self, stamps=self.stamps[first:stop], times=times, interval=interval, held=0.0)

    def holding(self, held: float, max_gap: float) -> "Timeline":
        """The same, its last frame being shown for ``held`` seconds, unless that is more than ``max_gap``."""
        return replace(self, held=held if held <= max_gap else 0.0)

    def by_order(self) -> "Timeline":
        """The same, its frames told apart by their order alone."""
        return replace(self, keys=self.keys[:0])

    def place_of(self, stamp: int | None, last: int) -> int:
        """The place of the frame with this stamp, which is decoded after the one at ``last``."""
        if stamp is not None and self.is_ordered:
            place = int(np.searchsorted(self.stamps, stamp, side="right")) - 1
            if place >= 0 and self.stamps[place] == stamp:
                return max(place, last)
        return min(last + 1, len(self.stamps) - 1)

    @property
    def is_ordered(self) -> bool:
        """Whether stamps tell frames apart."""
        return bool(len(self.keys))


def usual_interval(gaps: Ticks) -> Fraction | None:
    """The usual one of the intervals between frames (ticks), or None where no two frames have different times.

    That is the mean of the intervals that are within a factor of 1.5 of their median: the mean undoes a
    container's rounding, the bound keeps pauses and gaps out of it.
    """
    gaps = np.sort(gaps[gaps > 0])
    if not len(gaps):
        return None
    parts = gaps / gaps[len(gaps) // 2]
    usual = gaps[(parts > 1 / USUAL) & (parts < USUAL)]
    return Fraction(sum(usual.tolist()), len(usual))


def timeline_of(
    sent: Sequence[Stamp], base: Fraction, max_gap: float = MAX_GAP, rate: Fraction | None = None
) -> Timeline:
    """The timeline of frames that are sent in this order.

    Args:
        base: seconds per tick.
        max_gap: longest gap that is kept (seconds).
        rate: frames per second, where all stamps are the same.
    """
    times = np.asarray([stamp.time for stamp in sent], np.int64)
    runs = [np.sort(run, kind="stable") for run in np.split(times, _anew(sent))]
    stamps = np.concatenate(runs)
    usual = usual_interval(np.concatenate([np.diff(run) for run in runs]))
    if usual is None and len(stamps) > 1 and rate:
        steady = np.arange(len(stamps)) / float(rate)
        return Timeline(stamps, steady, stamps[:0], 1 / rate, 0.0, ("time stamps are all the same",))
    if usual is None:
        return Timeline(stamps[:1], np.zeros(min(1, len(stamps))), stamps[:0], None)
    seconds, remarks = float(base), []
    interval, closed = float(usual * base), 0.0
    if len(runs) > 1:
        remarks.append("time stamps start anew")
    places = np.argsort(np.argsort(times, kind="stable"), kind="stable")
    if len(runs) == 1 and np.abs(places - np.arange(len(times))).max() > REORDERED:
        remarks.append("time stamps contradict the order of the frames")
        gaps = np.full(len(stamps) - 1, interval)
    else:
        gaps = np.diff(stamps) * seconds
        wide = (gaps > max_gap) & (gaps > USUAL * interval)
        closed = float(gaps[wide].sum())
        # Between runs, in front of which stamps go back, and where a gap is closed, the next frame comes in its turn.
        still = stands_still(np.diff(stamps), usual)
        gaps[wide | (gaps < 0) | still] = interval
        if still.any():
            remarks.append("time stamps stand still")
    shown = np.zeros(len(stamps))
    shown[1:] = np.cumsum(gaps)
    if closed:
        remarks.append(f"gaps of more than {max_gap:g} s closed")
    keys = np.asarray(sorted(stamp.time for stamp in sent if stamp.is_key), np.int64)
    if remarks:  # stamps do not tell frames apart
        keys = keys[:0]
    if len(np.unique(np.rint(shown / interval))) < (1 - MANY) * len(shown):
        remarks.append(
            f"more than {MANY:.0%} of the frames come faster than the usual rate and are passed over"
        )
    return Timeline(stamps, shown, keys, usual * base, 0.0, tuple(remarks))


def stands_still(gaps: Ticks, usual: Fraction) -> NDArray[np.bool_]:
    """Which of the intervals between frames (ticks) belong to three frames or more at one time."""
    small = (gaps == 0) | ((gaps == 1) & (usual >= STILL))
    return small & (np.append(False, small[:-1]) | np.append(small[1:], False))


def _anew(sent: Sequence[Stamp]) -> list[int]:
    """Where stamps start anew: what is decoded before a frame at which decoding can begin is shown before it."""
    found, latest = [], None
    for place, (time, is_key) in enumerate(sent):
        if latest is not None and is_key and time < latest:
            found.append(place)
            latest = time
        latest = time if latest is None else max(latest, time)
    return found


def at_rate(frames: Iterator[Frame], rate: float, fps: float) -> Iterator[Frame]:
    """``frames`` at ``rate`` as frames at ``fps``: each is the nearest in time, the earlier of two that are as near."""
    step, count, number = rate / fps, 0, 0
    last: Frame | None = None
    for last in frames:
        while ceil(round(number * step, 6) - 0.5) <= count:
            yield last
            number += 1
        count += 1
    while last is not None and round(number * step, 6) < count:
        yield last
        number += 1
