"""What ends all processes of a training when one of them ends, or hangs: at once, and with one line from one of them.

Processes tell each other through the store in which they met that they are alive and how far they are. A thread does
so, because the main one may stand in a collective operation that nobody else will ever come to.
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

BEAT: Final = 2.0
"""seconds after which a process shows that it is alive"""
LOST: Final = 60.0
"""seconds after which a process that shows nothing counts as gone: stopped, or its machine is"""
GRACE: Final = 10.0
"""seconds that a process gets to end by itself when another has ended"""
STALL: Final = 1800.0
"""seconds after which a step that no process ends counts as hanging"""
STATUS: Final = 2
"""exit status of processes that end because of another"""
FAULT: Final = "fault"
"""key of the process that says what went wrong"""
RESUME: Final = "its checkpoints are intact: resume with --resume"


class Watch:
    """Shows the others that this process is alive, and ends it where one of them is gone or hangs.

    Args:
        store: where the processes met; this process's own connection.
        stall: seconds that a step may take.
    """

    def __init__(
        self, store: dist.distributed_c10d.Store, rank: int, size: int, stall: float = STALL
    ) -> None:
        self.rank, self.size, self.stall = rank, size, stall
        self.meetings = 0
        """how often all have met, as far as this process got"""
        self._in_step = False
        self._store, self._done = store, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    @contextmanager
    def step(self) -> Iterator[None]:
        """What must end within ``stall`` seconds; other work may take long, on whichever process."""
        self._in_step = True
        try:
            yield
        finally:
            self._in_step = False

    def speaks(self) -> bool:
        """Whether this process is the first to end, and so the one that says why; also where the store is gone."""
        try:
            return self._store.compare_set(FAULT, "", str(self.rank)) == str(self.rank).encode()
        except RuntimeError:
            return True

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
        """Show no more life. The first process, which may keep the store, waits for the others, though not for long."""
        try:
            self._store.set(f"left {self.rank}", "")
            end = time.monotonic() + GRACE
            others = [f"left {rank}" for rank in range(1, self.size)]
            while self.rank == 0 and time.monotonic() < end and not self._store.check(others):
                time.sleep(0.1)
        except RuntimeError:
            pass  # it is gone already
        self._done.set()
        self._thread.join(timeout=BEAT)

    def _look(self) -> None:
        beat, lost = 0, min(LOST, self.stall)
        changed = [time.monotonic()] * self.size
        seen = [b""] * self.size
        met, since = -1, time.monotonic()
        answered, faulty = time.monotonic(), None
        while not self._done.wait(BEAT):
            beat, now = beat + 1, time.monotonic()
            try:
                self._store.set(f"beat {self.rank}", f"{beat} {self.meetings} {int(self._in_step)}")
                there = [r for r in range(self.size) if seen[r] or self._store.check([f"beat {r}"])]
                found = dict(zip(there, self._store.multi_get([f"beat {r}" for r in there]), strict=True))
                faulty = (faulty or now) if self._store.check([FAULT]) else None
            except RuntimeError:
                if now - answered > lost:
                    self._end("the process through which all met is gone")
                continue
            answered = now
            if faulty is not None and now - faulty > GRACE:
                os._exit(STATUS)
            for rank, value in found.items():
                if value != seen[rank]:
                    seen[rank], changed[rank] = value, now
            if gone := [r for r in range(self.size) if now - changed[r] > lost and not self._has_left(r)]:
                self._end(f"{named(gone, self.size)} shown no sign of life for {lost:.0f} s")
            states = [value.split() for value in seen]
            if not all(len(state) == 3 and state[2] == b"1" for state in states):
                met = -1
                continue
            counts = [int(state[1]) for state in states]
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

    def _end(self, why: str) -> None:
        if self.speaks():
            tell(f"vidgan: error: {why}: training stopped, {RESUME}", to=sys.stderr)
        os._exit(STATUS)


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
