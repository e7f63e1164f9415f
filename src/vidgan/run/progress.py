"""Whether processes get on: how long each has stood in one place, and which of them hang.

A thread that works is somewhere else in its program whenever a layer, a clip or a file is done, so nothing counts
these: a process gets on while the place of its main thread in vidgan's or a user's code changes. That holds for any
work, however long it takes. One that hangs stands still, and so does one that waits for the others, which its place
tells.
"""

import json
import os
import sysconfig
from collections.abc import Sequence
from types import FrameType
from typing import Final, NamedTuple, Self

import torch.distributed as dist

import vidgan

COLLECTIVE: Final = os.path.join(os.path.dirname(str(dist.__file__)), "")
"""where the program of a process stands while it waits for the others"""
OWN: Final = os.path.join(os.path.dirname(str(vidgan.__file__)), "")
LIBRARIES: Final = tuple(
    os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
"""what asks again and again in here may hang all the same"""


class Pace:
    """How long a thread has stood in one place.

    Attributes:
        still: seconds.
        waits: whether it waits there for other processes.
        place: file of vidgan and line.
    """

    def __init__(self) -> None:
        self.still, self.waits, self.place = 0.0, False, ""
        self._known: tuple[int, list[tuple[object, int]]] | None = None
        self._since = 0.0

    def look(self, frame: FrameType | None, meetings: int, now: float) -> None:
        """Note where the thread is; often, as it may come back to the same place again and again.

        Args:
            frame: the innermost one of the thread; None where it has ended.
            meetings: how often all processes have met.
            now: seconds by any clock.
        """
        stack: list[tuple[object, int]] = []
        self.waits, self.place = frame is not None and frame.f_code.co_filename.startswith(COLLECTIVE), ""
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith(OWN) or not file.startswith(LIBRARIES):
                stack.append((frame.f_code, frame.f_lasti))
            if not self.place and file.startswith(OWN):
                self.place = f"{file.removeprefix(OWN)}:{frame.f_lineno}"
            frame = frame.f_back
        if (meetings, stack) != self._known:
            self._known, self._since = (meetings, stack), now
        self.still = now - self._since


class Beat(NamedTuple):
    """What a process tells the others every few seconds."""

    number: int
    meetings: int
    """how often all have met, as far as it got"""
    in_step: bool
    still: float = 0.0
    """seconds that it has stood in one place"""
    waits: bool = False
    """whether it waits there for others"""
    work: str = ""
    """what it does between steps, in words"""
    place: str = ""

    def text(self) -> str:
        """For the store."""
        return json.dumps(self)

    @classmethod
    def read(cls, text: bytes) -> Self:
        """What :meth:`text` gave."""
        return cls(*json.loads(text))

    def where(self) -> str:
        """What it does and where, in words; begins with a comma, or is empty."""
        work = f", in {self.work}" if self.work else ""
        return work + (f", at {self.place}" if self.place else "")


def standing_still(beats: Sequence[Beat], step: float, between: float) -> tuple[list[int], str] | None:
    """Which processes hang, and what they have not done; None where none does.

    Where all are in a step, the whole step has its limit, and nobody is named here.

    Args:
        beats: of all processes, by rank.
        step: seconds that one may stand still in a step; ``between``: at other work.
    """
    if all(beat.in_step for beat in beats):
        return None

    def is_still(beat: Beat) -> bool:
        return beat.still > (step if beat.in_step else between)

    still = [rank for rank, beat in enumerate(beats) if is_still(beat) and not beat.waits]
    if still:
        least = min(beats[rank].meetings for rank in still)
        behind = [
            rank for rank in still if beats[rank].meetings == least
        ]  # others may wait for these on a GPU
        first = beats[behind[0]]
        limit = step if first.in_step else between
        return behind, f"not got on for {limit / 60:.3g} minutes{first.where()}"
    if all(map(is_still, beats)):
        return list(
            range(len(beats))
        ), f"waited for each other for {between / 60:.3g} minutes{beats[0].where()}"
    return None
