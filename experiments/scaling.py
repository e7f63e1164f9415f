"""How the distance to real clips falls with compute, for networks of several widths, and what a line through it says.

    vidgan train experiments/scaling.py:width_16 --data data/driving --out runs/scaling/16 --minutes 90
    vidgan evaluate runs/scaling/16 --protocol frechet-clips-efficientnet-lite0 --checkpoint STEP --clips 384
    python experiments/scaling.py runs/scaling/8 runs/scaling/16 runs/scaling/32 --out scaling.svg

The script reads what was measured of each run, at whichever steps, and counts what training to there took: operations
as ``vidgan plan`` counts them, so that a machine's speed is not in the figure. The line goes through the least distance
at each compute, less what two halves of the real clips are apart, from ``--since`` operations on; what it says far
beyond the last point is a guess, and is called one.
"""

import argparse
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from vidgan.errors import UserError
from vidgan.presets import preset
from vidgan.report.figures import Curve, Plot, Point, save
from vidgan.run.directory import RunDirectory
from vidgan.run.experiment import Experiment
from vidgan.run.logs import read_results
from vidgan.train.plan import step_operations

PROTOCOL: Final = "frechet-clips-efficientnet-lite0"
GPU: Final = 1e14
"""operations per second of one GPU that are guessed to be of use, about a fifth of what bfloat16 has on paper"""
DAY: Final = 24 * 60 * 60
"""seconds"""


def at_width(width: int) -> Experiment:
    """``dvd-gan-12x64-cpu``, which has width 8, with all networks of another width."""
    narrow = preset("dvd-gan-12x64-cpu")
    said = tuple(text.replace("width 8 instead", f"width {width} instead") for text in narrow.deviations)
    return narrow.with_width(width).replace(name=f"driving-width-{width}", deviations=said)


def width_8() -> Experiment:
    """As the preset."""
    return at_width(8)


def width_16() -> Experiment:
    """Four times the operations."""
    return at_width(16)


def width_32() -> Experiment:
    """Sixteen times the operations."""
    return at_width(32)


class Measured(NamedTuple):
    """A checkpoint."""

    step: int
    compute: float
    """operations of training to there"""
    distance: float
    deviation: float | None
    floor: float
    """of two halves of as many real clips"""


class Law(NamedTuple):
    """distance = floor + factor * compute ** power."""

    factor: float
    power: float
    floor: float

    def at(self, compute: float) -> float:
        """The distance that it says."""
        return self.floor + self.factor * compute**self.power


def operations_of(experiment: Experiment) -> int:
    """Of a training step of a model of one level."""
    return step_operations(experiment, 0).of(experiment.training.batch.global_batch)


def measured(run: RunDirectory, protocol: str) -> list[Measured]:
    """What the protocol gave for the run's checkpoints, the latest figure of each, by steps."""
    step = operations_of(run.experiment)
    found = {
        line["step"]: Measured(
            line["step"],
            line["step"] * step,
            line["value"],
            value_of(line.get("deviation")),
            value_of(line.get("two_real_halves")) or 0.0,
        )
        for line in read_results(run.metrics.path)
        if line["protocol"] == protocol and line["step"] is not None and line["value"] is not None
    }
    if not found:
        raise UserError(
            f"{run.path}: nothing was measured by {protocol}; vidgan evaluate --protocol {protocol}"
        )
    return [found[key] for key in sorted(found)]


def value_of(part: Mapping[str, Any] | None) -> float | None:
    """Of a part of a line of results; None where there is none."""
    found: float | None = None if part is None else part.get("value")
    return found


def frontier(runs: Sequence[Sequence[Measured]]) -> list[Measured]:
    """What no checkpoint that took as little or less came nearer than, of any run."""
    best: list[Measured] = []
    for each in sorted((each for run in runs for each in run), key=lambda each: each.compute):
        if not best or each.distance < best[-1].distance:
            best.append(each)
    return best


def law(points: Sequence[Measured]) -> Law:
    """The line through logarithms, by least squares; the floor is the last point's."""
    if len(points) < 2:
        raise UserError("a line needs two points or more: measure checkpoints of more steps")
    floor = points[-1].floor
    above = [math.log(max(each.distance - floor, 1e-9)) for each in points]
    fit = statistics.linear_regression([math.log(each.compute) for each in points], above)
    return Law(math.exp(fit.intercept), fit.slope, floor)


def main() -> None:
    """Print a table and the line, and draw both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="runs of one level, measured at several steps")
    parser.add_argument("--protocol", default=PROTOCOL, help=f"a distance ({PROTOCOL})")
    parser.add_argument(
        "--since", type=float, default=0.0, help="operations from which on the line counts (0)"
    )
    parser.add_argument(
        "--at", type=float, nargs="+", default=[], help="operations of which it is to say more"
    )
    parser.add_argument("--out", type=Path, required=True, help="the figure, .svg, .png or .pdf")
    given = parser.parse_args()
    opened = [RunDirectory.open(path) for path in given.runs]
    names = [run.experiment.name for run in opened]
    found = [measured(run, given.protocol) for run in opened]
    print("| run | step | operations | distance |\n|---|---:|---:|---:|")
    for name, points in zip(names, found, strict=True):
        for each in points:
            spread = "" if each.deviation is None else f" ± {each.deviation:.2g}"
            print(f"| {name} | {each.step:,} | {each.compute:.2e} | {each.distance:.4g}{spread} |")
    best = [each for each in frontier(found) if each.compute >= given.since]
    line = law(best)
    print(
        f"\nthrough {len(best)} points: "
        f"distance = {line.floor:.3g} + {line.factor:.3g} * operations^{line.power:.3f}"
    )
    for operations in given.at:
        print(f"it says of {operations:.3g} operations: {line.at(operations):.3g}")
    print(f"a guess, for a day of a GPU at {GPU:.0e} operations per second: {line.at(GPU * DAY):.3g}")
    ends = (best[0].compute, max(best[-1].compute, *given.at, 0))
    curves = [
        *(
            Curve(name, [Point(math.log10(each.compute), math.log10(each.distance), None) for each in points])
            for name, points in zip(names, found, strict=True)
        ),
        Curve(
            "the line", [Point(math.log10(compute), math.log10(line.at(compute)), None) for compute in ends]
        ),
    ]
    save(given.out, [Plot(given.protocol, "log10 operations", "log10 distance", curves)])


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from error
