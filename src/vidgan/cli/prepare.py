"""``vidgan prepare``: videos on disk -> a prepared dataset."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from vidgan.data.codecs import Jpeg, Png, Raw
from vidgan.data.layouts import Folder, Strips
from vidgan.data.prepare import Advance, Begin, prepare
from vidgan.data.prepare_spec import PrepareSpec

HELP: str = "turn a folder of videos into a dataset to train on"
LINE_EVERY = 10.0
"""seconds between progress lines where there is no terminal"""


def run(args: list[str]) -> int:
    """Run the command; returns its exit status. Raises ``UserError`` for bad input."""
    return tyro.cli(_prepare, args=args, prog="vidgan prepare")


def _prepare(
    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    dest: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DEST")],
    layout: Literal["folder", "strips"] = "folder",
    size: int = 64,
    resize: Literal["bilinear", "area"] = "bilinear",
    codec: Literal["raw", "png", "jpeg"] = "raw",
    quality: int = 95,
    workers: int | None = None,
) -> int:
    """Turn a folder of videos into a dataset to train on.

    The shorter side is resized, the aspect kept; training crops squares and picks frames as it reads.
    Broken files are left out and listed. An interrupted run goes on where it stopped.

    Args:
        source: folder with the data as it lies on disk.
        dest: folder to make; a preparation that was interrupted there is continued.
        layout: folder: a folder of videos (mp4, avi, webm, mkv, mov, gif) per class, or videos without
            classes. strips: the same with an image per clip, its square frames side by side.
        size: shorter side of the stored frames (pixels).
        resize: filter: bilinear (antialiased) or area (exact average).
        codec: how frames are stored: raw and png keep every bit, jpeg is smaller and lossy.
        quality: of jpeg, 1 to 100.
        workers: worker processes; None is one per core, 0 works in this process.
    """
    codecs: dict[str, Raw | Png | Jpeg] = {"raw": Raw(), "png": Png(), "jpeg": Jpeg(quality=quality)}
    spec = PrepareSpec(
        layout=Strips() if layout == "strips" else Folder(), size=size, resize=resize, codec=codecs[codec]
    )
    if workers is None:
        workers = os.cpu_count() or 1
    try:
        with _progress() as begin:
            dataset = prepare(source, dest, spec, workers, begin)
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on in {dest}", file=sys.stderr)
        return 130
    frames = int(dataset.index.clips["frames"].sum())
    print(f"{dest}: {len(dataset)} clips, {frames} frames, {len(dataset.classes)} classes")
    if left_out := dataset.index.left_out:
        print(f"left out ({len(left_out)}):")
        for name, reason in left_out:
            print(f"  {name}: {reason}")
    return 0


@contextmanager
def _progress() -> Iterator[Begin]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("clips"), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:

        def begin(total: int, kept: int) -> Advance:
            task = progress.add_task("clips", total=total, completed=kept)
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

    def __init__(self, total: int, kept: int) -> None:
        self._total, self._kept, self._done = total, kept, kept
        if kept:
            print(f"{kept} of {total} clips were done before: going on", file=sys.stderr, flush=True)
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
            f"{self._done}/{self._total} clips, {rate:.1f} clips/s, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )
