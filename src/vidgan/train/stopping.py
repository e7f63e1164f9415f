"""Being told to stop: signals end training after the current step, with everything saved."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SAID = "{}: training stops after this step and saves; Ctrl-C again ends it at once, unsaved\n"


class StopRequests:
    """Remembers the signal that asks to stop.

    Args:
        speaks: say on standard error that it came; a step of a large model takes a while.
    """

    def __init__(self, speaks: bool) -> None:
        self.speaks = speaks
        self.name: str | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: stop after the current step. A second Ctrl-C acts at once; SIGTERM may come twice, from a
        scheduler to all processes of a job and from a launcher that passes it on."""
        if self.name is not None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        self.name = signal.Signals(number).name
        if self.speaks:
            os.write(2, SAID.format(self.name).encode())  # print may be what the signal interrupted


@contextmanager
def stop_requests(speaks: bool) -> Iterator[StopRequests]:
    """SIGTERM and Ctrl-C end training after the current step while this is open."""
    requests = StopRequests(speaks)
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, requests.note) for number in numbers]
    try:
        yield requests
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
