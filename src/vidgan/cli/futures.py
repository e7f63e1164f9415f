"""``vidgan futures RUN...``: the best of several predictions, frame by frame, beside a copied frame."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from vidgan.cli.compare import read
from vidgan.cli.parse import parse
from vidgan.errors import UserError
from vidgan.report.figures import best_of, check_target, save

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
    """file to write: .svg, .pdf or .png"""


def run(args: list[str]) -> int:
    """Parse ``args`` and draw."""
    options = parse(Options, "futures", args)
    if not options.results:
        raise UserError("name at least one RUN")
    check_target(options.out)
    plots = [best_of(Path(name).resolve().name, newest(Path(name))) for name in options.results]
    save(options.out, plots)
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
