"""``vidgan curves RUN...``: how runs compare over training, as a figure."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from vidgan.cli.checks import at_least
from vidgan.cli.parse import parse
from vidgan.errors import UserError
from vidgan.report.compare import over_training
from vidgan.report.figures import Plot, check_target, save
from vidgan.report.words import number
from vidgan.run.directory import RunDirectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Draws results or logged values of several runs over training: mean and deviation over seeds.

    Runs that differ in their seed alone make one curve, with error bars of one standard deviation.
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN ...")]
    """run directories"""
    out: Path
    """file to write: .svg, .pdf or .png"""
    protocol: tuple[str, ...] = ()
    """results of vidgan evaluate, a plot each"""
    scalar: tuple[str, ...] = ()
    """logged values such as loss/generator or discriminator/clip/real, a plot each"""
    level: int = 1
    """level of a cascade whose log is read for --scalar, from 1"""


def run(args: list[str]) -> int:
    """Parse ``args`` and draw."""
    options = parse(Options, "curves", args)
    if not options.runs:
        raise UserError("name at least one RUN")
    if not options.protocol and not options.scalar:
        raise UserError("say what to draw: --protocol NAME for results, --scalar NAME for logged values")
    at_least("--level", options.level, 1)
    check_target(options.out)
    runs = [RunDirectory.open(Path(path)) for path in options.runs]
    plots, notes = over_training(runs, options.protocol, options.scalar, options.level)
    for note in notes:
        print(note)
    save(options.out, plots)
    for each in plots:
        show(each)
    print(f"wrote {options.out}")
    return 0


def show(drawn: Plot) -> None:
    """Print the last point of every curve."""
    for curve in drawn.curves:
        last = curve.points[-1]
        spread = "" if last.deviation is None else f" ± {number(last.deviation, 2)}"
        print(f"{drawn.title}, {curve.name}: {number(last.y)}{spread} at step {number(last.x)}")
