"""What ends all processes of a training when one of them ends, or hangs: at once, and with one line from one of them.

Processes tell each other through the store in which they met that they are alive, how far they are and whether they get
on. A thread does so, because the main one may stand in a collective operation that nobody else will ever come to.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch.distributed as dist

from vidgan.names import tell
from vidgan.run.progress import Beat, Pace, standing_still

BEAT: Final = 2.0
"""seconds after which a process shows that it is alive"""
LOOK: Final = 0.05
"""seconds between two looks at what this process does"""
LOST: Final = 60.0
"""seconds after which a process that shows nothing counts as gone: stopped, or its machine is"""
GRACE: Final = 10.0
"""seconds that a process gets to end by itself when another has ended"""
LINGER: Final = 2 * GRACE
"""seconds that the process which keeps the store waits for the others to end before it: without it, they would not
learn why, and each would say that it is gone"""
STALL: Final = 1800.0
"""seconds after which a step that no process ends counts as hanging"""
IDLE: Final = 3600.0
"""seconds after which a process hangs that stands in one place between steps: more than the longest file or the largest
layer takes"""
STATUS: Final = 2
"""exit status of processes that end because of another"""
FAULT: Final = "fault"
"""key of the process that says what went wrong"""
TRAINING: Final = "training stopped, its checkpoints are intact: resume with --resume"
"""what follows from the end of one process, in words for the user"""


class Watch:
    """Shows the others that this process is alive, and ends it where one of them is gone or hangs.

    Args:
        store: where the processes met; this process's own connection.
        stall: seconds that a step may take.
        keeps: whether the store is gone when this process is.
        speaks_alone: whether this process says why it ends where the store is gone: one on each machine.
        ending: what follows where one process ends, in words.
        idle: seconds that a process may stand in one place at work between steps; the thread that makes this watch is
            the one that works.
    """

    def __init__(
        self,
        store: dist.distributed_c10d.Store,
        rank: int,
        size: int,
        stall: float = STALL,
        keeps: bool = False,
        speaks_alone: bool = True,
        ending: str = TRAINING,
        idle: float = IDLE,
    ) -> None:
        self.idle = idle
        self.rank, self.size, self.stall, self.ending = rank, size, stall, ending
        self.keeps, self.speaks_alone = keeps, speaks_alone
        self.meetings = 0
        """how often all have met, as far as this process got"""
        self._in_step, self._work = False, ""
        self._thread, self._pace = threading.get_ident(), Pace()
        self._store, self._done = store, threading.Event()
        self._lost = min(LOST, stall)
        self._answered, self._faulty, self._leaving = time.monotonic(), False, False
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._look, self._guard)]
        for thread in self._threads:
            thread.start()

    @contextmanager
    def step(self) -> Iterator[None]:
        """What must end within ``stall`` seconds; other work may take long, on whichever process, if it gets on."""
        self._in_step = True
        try:
            yield
        finally:
            self._in_step = False

    @contextmanager
    def during(self, work: str) -> Iterator[None]:
        """Names what is done between steps, where it hangs."""
        before, self._work = self._work, work
        try:
            yield
        finally:
            self._work = before

    def speaks(self) -> bool:
        """Whether this process is the first to end, and so the one that says why."""
        try:
            return self._store.compare_set(FAULT, "", str(self.rank)) == str(self.rank).encode()
        except RuntimeError:
            return self.speaks_alone

    def has_fault(self) -> bool:
        """Whether some process has said, or is about to say, what went wrong; also where the store is gone."""
        try:
            return self._store.check([FAULT])
        except RuntimeError:
            return True

    def wait_for_fault(self, seconds: float) -> None:
        """Wait for another process to say what went wrong."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.has_fault():
            time.sleep(0.1)

    def close(self) -> None:
        """Show no more life."""
        self._leaving = True
        self._leave()
        self._done.set()
        for thread in self._threads:
            thread.join(timeout=BEAT)

    def _leave(self) -> None:
        """Tell the others that this process ends; the one that keeps the store waits for them, though not for long."""
        try:
            self._store.set(f"left {self.rank}", "")
            end = time.monotonic() + LINGER
            others = [f"left {rank}" for rank in range(self.size) if rank != self.rank]
            while self.keeps and time.monotonic() < end and not self._store.check(others):
                time.sleep(0.1)
        except RuntimeError:
            pass  # it is gone already

    def _guard(self) -> None:
        """End the process where the store is gone, or does not answer: what asks it then waits for ever."""
        while not self._done.wait(BEAT):
            if time.monotonic() - self._answered > (LINGER if self._faulty else self._lost):
                if self.speaks_alone and not self._faulty:
                    self._say("the process through which all met is gone")
                os._exit(STATUS)

    def _look(self) -> None:
        beat, last = 0, -BEAT
        changed = [time.monotonic()] * self.size
        seen = [b""] * self.size
        met, since, faulty = -1, time.monotonic(), None
        while not self._done.wait(min(LOOK, BEAT)):
            now, pace = time.monotonic(), self._pace
            pace.look(sys._current_frames().get(self._thread), self.meetings, now)
            if now - last < BEAT:
                continue
            beat, last = beat + 1, now
            doing = round(pace.still, 1), pace.waits, self._work, pace.place
            own = Beat(beat, self.meetings, self._in_step, *doing)
            try:
                self._store.set(f"beat {self.rank}", own.text())
                there = [r for r in range(self.size) if seen[r] or self._store.check([f"beat {r}"])]
                found = dict(zip(there, self._store.multi_get([f"beat {r}" for r in there]), strict=True))
                faulty = (faulty or now) if self._store.check([FAULT]) else None
            except RuntimeError:  # a connection that is lost does not come back
                return
            self._answered, self._faulty = now, faulty is not None
            if faulty is not None and now - faulty > GRACE and not self._leaving:
                self._end()
            for rank, value in found.items():
                if value != seen[rank]:
                    seen[rank], changed[rank] = value, now
            if gone := [
                r for r in range(self.size) if now - changed[r] > self._lost and not self._has_left(r)
            ]:
                self._end(f"{named(gone, self.size)} shown no sign of life for {self._lost:.0f} s")
            if not all(seen):
                continue
            beats = [Beat.read(value) for value in seen]
            if standing_still(beats, self.stall, self.idle) is not None:
                # What a process said last that has ended since does not count.
                beats = [
                    each._replace(still=0.0) if self._has_left(r) else each for r, each in enumerate(beats)
                ]
                if (hanging := standing_still(beats, self.stall, self.idle)) is not None:
                    ranks, what = hanging
                    self._end(f"{named(ranks, self.size)} {what}")
            if not all(each.in_step for each in beats):
                met = -1
                continue
            counts = [each.meetings for each in beats]
            if min(counts) != met:
                met, since = min(counts), now
            if now - since > self.stall:
                behind = [rank for rank, count in enumerate(counts) if count == met]
                self._end(f"{named(behind, self.size)} not ended a step for {self.stall / 60:.3g} minutes")

    def _has_left(self, rank: int) -> bool:
        try:
            return self._store.check([f"left {rank}"])
        except RuntimeError:
            return True

    def _end(self, why: str | None = None) -> None:
        """End the process, whatever its main thread does.

        Args:
            why: what to say, unless another process speaks; None: one has spoken.
        """
        if why is not None and self.speaks():
            self._say(why)
        self._answered, self._faulty = time.monotonic(), True
        self._leave()
        os._exit(STATUS)

    def _say(self, why: str) -> None:
        """Say why all end, as an error of the command line."""
        tell(f"vidgan: error: {why}: {self.ending}", to=sys.stderr, flush=True)


def named(ranks: list[int], size: int) -> str:
    """Some of ``size`` processes as a subject, with its "have"."""
    if len(ranks) == size:
        return f"all {size} processes have"
    if len(ranks) == 1:
        return f"process {ranks[0]} of {size} (counted from 0) has"
    return f"processes {', '.join(map(str, ranks))} of {size} (counted from 0) have"


def is_lost_connection(error: BaseException) -> bool:
    """Whether a collective operation failed because another process is gone."""
    known = ("gloo", "Connection closed", "Connection reset", "Broken pipe", "NCCL")
    return isinstance(error, RuntimeError) and (
        isinstance(error, dist.DistError) or any(words in str(error) for words in known)
    )
