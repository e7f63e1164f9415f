"""``vidgan futures RUN...``: the best of several predictions, frame by frame, beside a copied frame."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from vidgan.cli.checks import file_to_write
from vidgan.cli.compare import read
from vidgan.cli.parse import parse
from vidgan.errors import UserError
from vidgan.files import write_text
from vidgan.report.figure import Curve, Plot, Point, figure

PROTOCOL = "ssim-best-of-100"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Draws SSIM over the predicted frames for the best of 1, 10, 100 predictions (Luc et al. 2020, Figure 5).

    Draws what vidgan evaluate --protocol ssim-best-of-100 has measured: for each result the newest, a plot each. The
    copy of the last given frame stands beside it.
    """

    results: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN|FOLDER|FILE.jsonl")]
    """run directories, folders of videos that were evaluated, or files of results"""
    out: Path
    """SVG file to write"""


def run(args: list[str]) -> int:
    """Parse ``args`` and draw."""
    options = parse(Options, "futures", args)
    if not options.results:
        raise UserError("name at least one RUN")
    file_to_write(options.out, ".svg")
    plots = [plot(name, newest(Path(name))) for name in options.results]
    write_text(options.out, figure(plots))
    for each in plots:
        for curve in each.curves:
            mean = sum(point.y for point in curve.points) / len(curve.points)
            print(f"{each.title}, {curve.name}: {mean:.4f}")
    print(f"wrote {options.out}")
    return 0


def newest(path: Path) -> dict[str, Any]:
    """The last result with a curve over frames.

    Raises:
        UserError: where there is none.
    """
    lines = [entry.line for entry in read(path) if entry.line["protocol"] == PROTOCOL]
    found = [dict(line) for line in lines if "best_of" in line.get("values", {})]
    if not found:
        raise UserError(
            f"{path} has no result of {PROTOCOL}: make one with vidgan evaluate {path} --protocol {PROTOCOL}"
        )
    return found[-1]


def plot(name: str, line: dict[str, Any]) -> Plot:
    """A curve per number of predictions, and the copied frame's."""
    values = line["values"]
    curves = [curve(f"best of {number}", ssim) for number, ssim in values["best_of"].items()]
    if "copy_last_per_frame" in values:
        curves.append(curve("copy of the last given frame", values["copy_last_per_frame"]))
    step = "" if line.get("step") is None else f", step {line['step']}"
    title = f"{Path(name).resolve().name}{step}, {line['clips']} clips"
    return Plot(title, "predicted frame", "SSIM", curves)


def curve(name: str, ssim: list[float]) -> Curve:
    """SSIM by frame, from 1 on."""
    return Curve(name, [Point(frame, value, None) for frame, value in enumerate(ssim, 1)])
