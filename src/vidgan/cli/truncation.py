"""``vidgan truncation RUN --protocol NAME``: a metric against the deviation of the noise."""

import dataclasses
from pathlib import Path
from typing import Any

from vidgan.cli import evaluate
from vidgan.cli.checks import at_least, file_to_write
from vidgan.cli.parse import parse
from vidgan.errors import UserError
from vidgan.files import write_text
from vidgan.report.collect import finite
from vidgan.report.figure import Curve, Plot, Point, figure
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_lines


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(evaluate.Options):
    """Measures a run at several deviations of the noise and draws the truncation curve.

    Takes every option of vidgan evaluate but --sigma and --threshold, and like it appends each result to the run's
    metrics.jsonl.
    """

    sigmas: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 1.0)
    """standard deviations of the noise"""
    figure: Path | None = None
    """SVG file to write; without it truncation.svg in the run directory"""


def run(args: list[str]) -> int:
    """Parse ``args``, measure and draw."""
    options = parse(Options, "truncation", args)
    sigmas = sorted(set(options.sigmas))
    if len(sigmas) < 2:
        raise UserError(f"--sigmas takes two or more different deviations, got {len(sigmas)}")
    at_least("--sigmas", sigmas[0], 0)
    if options.sigma is not None or options.threshold is not None:
        raise UserError("the noise is given by --sigmas: leave out --sigma and --threshold")
    directory = RunDirectory.open(options.evaluated)
    target = options.figure or options.evaluated / "truncation.svg"
    file_to_write(target, ".svg")
    curves: dict[str, list[Point]] = {name: [] for name in options.protocol}
    for sigma in sigmas:
        before = len(read_lines(directory.metrics.path))
        print(f"sigma {sigma:g}")
        evaluate.run([*words(options), "--sigma", str(sigma)])
        for line in read_lines(directory.metrics.path)[before:]:
            curves[line["protocol"]] += [] if (point := point_of(line, sigma)) is None else [point]
    name = directory.path.resolve().name
    plots = [
        Plot(protocol, "deviation of the noise (sigma)", "value", [Curve(name, points)])
        for protocol, points in curves.items()
        if points
    ]
    if not plots:
        raise UserError("none of the results is a finite number, so there is nothing to draw")
    write_text(target, figure(plots))
    print(f"wrote {target}")
    return 0


def point_of(line: dict[str, Any], sigma: float) -> Point | None:
    """A result as a point; None where its value is not finite."""
    value = finite(line["value"])
    deviation = line.get("deviation")
    spread = finite(deviation.get("value")) if isinstance(deviation, dict) else None
    return None if value is None else Point(sigma, value, spread)


def words(options: Options) -> list[str]:
    """The options of vidgan evaluate among ``options`` that were given, as words of a command."""
    found = [str(options.evaluated)]
    for field in dataclasses.fields(evaluate.Options):
        value = getattr(options, field.name)
        if field.name == "evaluated" or value == field.default:
            continue
        found.append(f"--{field.name.replace('_', '-')}")
        if isinstance(value, tuple):
            found += map(str, value)
        elif value is not True:
            found.append(str(value))
    return found
