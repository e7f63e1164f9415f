"""``vidgan prepare``: videos on disk -> a prepared dataset."""

import dataclasses
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

from vidgan.cli.checks import at_least
from vidgan.cli.parse import parse
from vidgan.data.codecs import Jpeg, Png, Raw
from vidgan.data.layouts import Folder, Strips
from vidgan.data.prepare import Advance, Begin, prepare
from vidgan.data.prepare_spec import PrepareSpec

LINE_EVERY = 10.0
"""seconds between progress lines where there is no terminal"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Turns a folder of videos into a dataset to train on.

    The shorter side is resized, the aspect kept; training crops squares and picks frames as it reads.
    Broken files are left out and listed. An interrupted run goes on where it stopped.
    """

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """folder with the data as it lies on disk"""
    dest: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DEST")]
    """folder to make; a preparation that was interrupted there is continued"""
    layout: Literal["folder", "strips"] = "folder"
    """folder: a folder of videos (mp4, avi, webm, mkv, mov, gif) per class, or videos without classes;
    strips: the same with an image per clip, its square frames side by side"""
    size: int = 64
    """shorter side of the stored frames (pixels)"""
    resize: Literal["bilinear", "area"] = "bilinear"
    """filter: bilinear (antialiased) or area (exact average)"""
    codec: Literal["raw", "png", "jpeg"] = "raw"
    """how frames are stored: raw and png keep every bit, jpeg is smaller and lossy"""
    quality: int = 95
    """of jpeg, 1 to 100"""
    workers: int | None = None
    """worker processes; one per core without it, 0 works in this process"""


def run(args: list[str]) -> int:
    """Parse ``args`` and prepare."""
    options = parse(Options, "prepare", args)
    if options.workers is not None:
        at_least("--workers", options.workers, 0)
    codecs: dict[str, Raw | Png | Jpeg] = {"raw": Raw(), "png": Png(), "jpeg": Jpeg(quality=options.quality)}
    spec = PrepareSpec(
        layout=Strips() if options.layout == "strips" else Folder(),
        size=options.size,
        resize=options.resize,
        codec=codecs[options.codec],
    )
    workers = (os.cpu_count() or 1) if options.workers is None else options.workers
    try:
        with _progress() as begin:
            dataset = prepare(options.source, options.dest, spec, workers, begin)
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on in {options.dest}", file=sys.stderr)
        return 130
    frames = int(dataset.index.clips["frames"].sum())
    print(f"{options.dest}: {len(dataset)} clips, {frames} frames, {len(dataset.classes)} classes")
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
