"""``vidgan inspect``: what is in a prepared dataset, and what is wrong with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vidgan.cli.parse import option_set, parse
from vidgan.cli.prepare import options_for
from vidgan.cli.shared import file_to_write, refuse_idle
from vidgan.data.dataset import Dataset
from vidgan.data.inspect import class_counts, mean_length, problems, remarks_on, write_contact_sheet
from vidgan.data.open import open_dataset, open_fitting
from vidgan.data.rates import in_words, rate_counts
from vidgan.data.store import PreparedDataset
from vidgan.data.window import WindowSpec, resizing, without_room
from vidgan.errors import some
from vidgan.names import printable, tell
from vidgan.report.words import count


@option_set
class Options:
    """Shows what a dataset holds, and names every clip that is short, small or damaged."""

    dest: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DEST")]
    """folder made by `vidgan prepare`, its URL in an object store, FILE.py:NAME, or built-in clips such as synthetic"""
    frames: int = 1
    """frames per window that every clip must hold"""
    stride: int = 1
    """source frames from one frame of the window to the next"""
    size: int = 1
    """side of the square that every clip must hold (pixels)"""
    contact_sheet: Path | None = None
    """PNG file to write: clips of every class, their frames over time"""
    skip_checksums: bool = False
    """do not read all data to compare it with the checksums taken while preparing"""


def run(args: list[str]) -> int:
    """Parse ``args`` and show; the exit status is 2 if a clip is short, small or damaged."""
    options = parse(Options, "inspect", args)
    if options.frames == 1:
        refuse_idle(args, "of windows of one frame; --frames says how many", "--stride")
    window = WindowSpec(size=options.size, frames=options.frames, stride=options.stride)
    if options.contact_sheet is not None:
        file_to_write(options.contact_sheet, ".png")
    dataset = (
        open_fitting(options.dest, window.size, window.span)
        if window.size > 1
        else open_dataset(options.dest)
    )
    prepared = isinstance(dataset, PreparedDataset)
    if not prepared:
        refuse_idle(args, "of data that are not prepared, which have no checksums", "--skip-checksums")
    _show(dataset, options.dest)
    if options.contact_sheet is not None:
        write_contact_sheet(dataset, options.contact_sheet)
        tell(f"contact sheet: {options.contact_sheet}")
    if options.size > 1 and (told := resizing(dataset, window)):
        tell(told)
    found = list(problems(dataset, window, checksums=not options.skip_checksums))
    for problem in found:
        tell(f"problem: {problem.name}: {problem.reason}")
    if told := without_room(dataset, window, most=0):  # all are named above
        tell(told)
    read = "checksums not read" if options.skip_checksums else "checksums fit"
    none = f"no problems ({read})" if prepared else "no problems"
    tell(count(len(found), "problem") if found else none)
    return 2 if found else 0


def _show(dataset: Dataset, dest: str) -> None:
    head = ("class", "clips", "frames: least", "median", "most")
    table = Table(*head, title=Text(printable(dest)), title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for each in class_counts(dataset):
        numbers = (str(each.clips), str(each.shortest), f"{each.median:g}", str(each.longest))
        table.add_row(Text(printable(each.name)), *numbers)
    Console().print(table)
    frames = int(dataset.sizes()[:, 0].sum())
    sizes, counts = np.unique(dataset.sizes()[:, :0:-1], axis=0, return_counts=True)
    common = np.argsort(-counts, kind="stable")
    shown = some([f"{sizes[i][0]}x{sizes[i][1]} ({counts[i]})" for i in common], 5)
    rate = in_words(rate_counts(dataset.rates())) or "frame rate not known"
    mean, seconds = mean_length(dataset)
    for line in (
        f"{count(len(dataset), 'clip')}, {count(frames, 'frame')}, "
        f"{count(len(dataset.classes), 'class', 'classes')}, {rate}",
        f"mean length: {mean:.4g} frames{'' if seconds is None else f', {seconds:.3g} s'}",
        f"sizes: {shown}",
        *(_stored(dataset) if isinstance(dataset, PreparedDataset) else []),
        f"fingerprint {dataset.fingerprint}",
        *(_preparing(dataset) if isinstance(dataset, PreparedDataset) else []),
    ):
        tell(line)


def _stored(dataset: PreparedDataset) -> Iterator[str]:
    """How much it takes, and how it was prepared."""
    index = dataset.index
    yield f"{int(index.clips['bytes'].sum()) / 1e6:.1f} MB"
    yield f"prepared with {' '.join(options_for(index.spec))}"


def _preparing(dataset: PreparedDataset) -> Iterator[str]:
    """What was left out and remarked when it was prepared."""
    for name, reason in dataset.index.left_out:
        yield f"left out while preparing: {name}: {reason}"
    for remark in remarks_on(dataset):
        yield f"remark: {remark}"
