"""How far work on clips has come, on stderr: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

LINE_EVERY = 10.0
"""seconds between progress lines where there is no terminal"""

Advance = Callable[[int], None]
"""called with a number of clips that are done"""
Begin = Callable[[str, int, int], Advance]
"""called with what is looked at, the number of clips, and of those that an earlier run has done"""


@contextmanager
def clips_progress() -> Iterator[Begin]:
    """Shows the work that is begun inside."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:

        def begin(what: str, total: int, kept: int) -> Advance:
            task = progress.add_task(what, total=total, completed=kept)
            return lambda done: progress.advance(task, done)

        yield begin


class _Rate(TextColumn):
    """Clips per second."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} clips/s")


class _Lines:
    """Progress as plain lines, one every :data:`LINE_EVERY` seconds and one at the end."""

    def __init__(self, what: str, total: int, kept: int) -> None:
        self._what, self._total, self._kept, self._done = what, total, kept, kept
        if kept:
            print(f"{kept} of {total} {what} were done before", file=sys.stderr, flush=True)
        self._start = self._shown = time.monotonic()

    def __call__(self, done: int) -> None:
        self._done += done
        now = time.monotonic()
        if self._done < self._total and now - self._shown < LINE_EVERY:
            return
        self._shown = now
        rate = (self._done - self._kept) / max(now - self._start, 1e-9)
        left = (self._total - self._done) / max(rate, 1e-9)
        print(
            f"{self._done}/{self._total} {self._what}, {rate:.1f} clips/s, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )
