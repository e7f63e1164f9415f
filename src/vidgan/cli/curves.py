"""``vidgan curves RUN...``: how runs compare over training, as a figure."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from vidgan.cli.checks import at_least, file_to_write
from vidgan.cli.parse import parse
from vidgan.errors import UserError
from vidgan.files import write_text
from vidgan.report.figure import Plot, figure
from vidgan.report.groups import Group, Values, group, logged, mean_curve, measured
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
    """SVG file to write"""
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
    file_to_write(options.out, ".svg")
    runs = [RunDirectory.open(Path(path)) for path in options.runs]
    groups = group(runs)
    everything = [run for each in groups for run in each.runs]
    plots = []
    for name in options.protocol:
        values, notes = measured(everything, name)
        plots.append(plot(name, "value", groups, values))
        for note in notes:
            print(note)
    for name in options.scalar:
        plots.append(plot(name, "logged value", groups, logged(everything, name, options.level)))
    write_text(options.out, figure(plots))
    for each in plots:
        show(each)
    print(f"wrote {options.out}")
    return 0


def plot(title: str, what: str, groups: list[Group], values: list[Values]) -> Plot:
    """A curve per group; ``values`` are those of all groups' runs in order.

    Raises:
        UserError: if a run has no value, or the runs of a group share no step.
    """
    curves, first = [], 0
    for each in groups:
        own = values[first : first + len(each.runs)]
        first += len(each.runs)
        for run, found in zip(each.runs, own, strict=True):
            if not found:
                raise UserError(f"{run.path} has nothing of {title} that can be compared with the others'")
        curves.append(mean_curve(each.name, own))
    return Plot(title, "step", what, curves)


def show(drawn: Plot) -> None:
    """Print the last point of every curve."""
    for curve in drawn.curves:
        last = curve.points[-1]
        spread = "" if last.deviation is None else f" ± {number(last.deviation, 2)}"
        print(f"{drawn.title}, {curve.name}: {number(last.y)}{spread} at step {number(last.x)}")
