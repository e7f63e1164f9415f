"""``vidgan inspect``: what is in a prepared dataset, and what is wrong with it."""

from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from vidgan.data.inspect import class_counts, problems
from vidgan.data.store import PreparedDataset, open_dataset
from vidgan.data.window import WindowSpec
from vidgan.spec import to_json

HELP: str = "show what a prepared dataset holds and what is wrong with it"


def run(args: list[str]) -> int:
    """Run the command; returns its exit status: 2 if a clip is short, small or damaged."""
    return tyro.cli(_inspect, args=args, prog="vidgan inspect")


def _inspect(
    dest: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DEST")],
    frames: int = 1,
    stride: int = 1,
    size: int = 1,
    skip_checksums: bool = False,
) -> int:
    """Show what a prepared dataset holds, and name every clip that is short, small or damaged.

    Args:
        dest: folder made by `vidgan prepare`.
        frames: frames per window that every clip must hold.
        stride: source frames from one frame of the window to the next.
        size: side of the square that every clip must hold (pixels).
        skip_checksums: do not read all data to compare it with the checksums taken while preparing.
    """
    window = WindowSpec(size=size, frames=frames, stride=stride)
    dataset = open_dataset(dest)
    console = Console()
    _show(dataset, dest, console)
    found = list(problems(dataset, window, checksums=not skip_checksums))
    for problem in found:
        console.print(f"problem: {problem.name}: {problem.reason}", markup=False, soft_wrap=True)
    read = "checksums not read" if skip_checksums else "checksums fit"
    console.print(f"{len(found)} problems" if found else f"no problems ({read})")
    return 2 if found else 0


def _show(dataset: PreparedDataset, dest: Path, console: Console) -> None:
    clips, spec = dataset.index.clips, dataset.index.spec
    table = Table("class", "clips", "frames: least", "median", "most", title=f"{dest}", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for count in class_counts(dataset):
        table.add_row(
            count.name, str(count.clips), str(count.shortest), f"{count.median:g}", str(count.longest)
        )
    console.print(table)
    sizes, counts = np.unique(np.stack([clips["width"], clips["height"]], 1), axis=0, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:5]
    shown = ", ".join(f"{sizes[i][0]}x{sizes[i][1]} ({counts[i]})" for i in most)
    rates = clips["rate"][~np.isnan(clips["rate"])]
    rate = f"{rates.min():.4g} to {rates.max():.4g} frames/s" if len(rates) else "frame rate not known"
    more = f" and {len(sizes) - 5} more" if len(sizes) > 5 else ""
    options = ", ".join(f"{key} {_plain(value)}" for key, value in to_json(spec).items() if key != "is")
    for line in (
        f"{len(dataset)} clips, {int(clips['frames'].sum())} frames, {len(dataset.classes)} classes, {rate}",
        f"sizes: {shown}{more}",
        f"{int(clips['bytes'].sum()) / 1e6:.1f} MB; prepared with {options}",
        f"fingerprint {dataset.fingerprint}",
        *(f"left out while preparing: {name}: {reason}" for name, reason in dataset.index.left_out),
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _plain(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    inner = " ".join(f"{key} {item}" for key, item in value.items() if key != "is")
    return f"{value['is'].lower()} {inner}".strip()
