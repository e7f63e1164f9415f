"""``vidgan inspect``: what is in a prepared dataset, and what is wrong with it."""

from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vidgan.cli.parse import option_set, parse
from vidgan.cli.shared import file_to_write, refuse_idle
from vidgan.data.inspect import class_counts, problems, remarks_on, write_contact_sheet
from vidgan.data.rates import in_words, rate_counts
from vidgan.data.store import PreparedDataset, open_prepared
from vidgan.data.window import WindowSpec, resizing
from vidgan.errors import some
from vidgan.names import printable, tell
from vidgan.report.words import count
from vidgan.spec import to_json


@option_set
class Options:
    """Shows what a prepared dataset holds, and names every clip that is short, small or damaged."""

    dest: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DEST")]
    """folder made by `vidgan prepare`"""
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
    dataset = open_prepared(options.dest)
    _show(dataset, options.dest)
    if options.contact_sheet is not None:
        write_contact_sheet(dataset, options.contact_sheet)
        tell(f"contact sheet: {options.contact_sheet}")
    if options.size > 1 and (told := resizing(dataset, window)):
        tell(told)
    found = list(problems(dataset, window, checksums=not options.skip_checksums))
    for problem in found:
        tell(f"problem: {problem.name}: {problem.reason}")
    read = "checksums not read" if options.skip_checksums else "checksums fit"
    tell(count(len(found), "problem") if found else f"no problems ({read})")
    return 2 if found else 0


def _show(dataset: PreparedDataset, dest: Path) -> None:
    clips, spec = dataset.index.clips, dataset.index.spec
    head = ("class", "clips", "frames: least", "median", "most")
    table = Table(*head, title=Text(printable(str(dest))), title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for each in class_counts(dataset):
        numbers = (str(each.clips), str(each.shortest), f"{each.median:g}", str(each.longest))
        table.add_row(Text(printable(each.name)), *numbers)
    Console().print(table)
    sizes, counts = np.unique(np.stack([clips["width"], clips["height"]], 1), axis=0, return_counts=True)
    common = np.argsort(-counts, kind="stable")
    shown = some([f"{sizes[i][0]}x{sizes[i][1]} ({counts[i]})" for i in common], 5)
    rate = in_words(rate_counts(dataset.rates())) or "frame rate not known"
    options = ", ".join(f"{key} {_plain(value)}" for key, value in to_json(spec).items() if key != "is")
    for line in (
        f"{count(len(dataset), 'clip')}, {count(int(clips['frames'].sum()), 'frame')}, "
        f"{count(len(dataset.classes), 'class', 'classes')}, {rate}",
        f"sizes: {shown}",
        f"{int(clips['bytes'].sum()) / 1e6:.1f} MB; prepared with {options}",
        f"fingerprint {dataset.fingerprint}",
        *(f"left out while preparing: {name}: {reason}" for name, reason in dataset.index.left_out),
        *(f"remark: {remark}" for remark in remarks_on(dataset)),
    ):
        tell(line)


def _plain(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    inner = " ".join(f"{key} {item}" for key, item in value.items() if key != "is")
    return f"{value['is'].lower()} {inner}".strip()
