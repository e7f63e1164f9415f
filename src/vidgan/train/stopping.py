"""Being told to stop: signals end training after the current step, with everything saved."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequests:
    """Remembers the signal that asks to stop."""

    name: str | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: stop after the current step. A second Ctrl-C acts at once; SIGTERM may come twice, from a
        scheduler to all processes of a job and from a launcher that passes it on."""
        if self.name is not None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        self.name = signal.Signals(number).name


@contextmanager
def stop_requests() -> Iterator[StopRequests]:
    """SIGTERM and Ctrl-C end training after the current step while this is open."""
    requests = StopRequests()
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, requests.note) for number in numbers]
    try:
        yield requests
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
