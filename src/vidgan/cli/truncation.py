"""``vidgan truncation RUN --protocol NAME``: a metric against the deviation of the noise."""

import dataclasses
from pathlib import Path
from typing import Any

from vidgan.cli import evaluate
from vidgan.cli.checks import at_least
from vidgan.cli.parse import parse
from vidgan.errors import UserError
from vidgan.report.figures import check_target, save, truncation
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
    """file to write: .svg, .pdf or .png; without it truncation.svg in the run directory"""


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
    check_target(target)
    results: list[tuple[float, dict[str, Any]]] = []
    for sigma in sigmas:
        before = len(read_lines(directory.metrics.path))
        print(f"sigma {sigma:g}")
        evaluate.run([*words(options), "--sigma", str(sigma)])
        results += [(sigma, line) for line in read_lines(directory.metrics.path)[before:]]
    save(target, truncation(directory.path.resolve().name, results))
    print(f"wrote {target}")
    return 0


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
