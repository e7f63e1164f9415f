"""Runs of one experiment under several seeds as one curve: means and deviations over training."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vidgan.errors import UserError
from vidgan.report.collect import finite
from vidgan.report.figure import Curve, Point
from vidgan.report.words import count
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_lines
from vidgan.spec import differences, to_json

WORDS = ("name", "description", "source", "deviations", "reporting")
"""Fields of an experiment that do not change what it computes."""

Values = Mapping[int, float]
"""A run's values by step."""


class Group(NamedTuple):
    """Runs that differ in their seed alone."""

    name: str
    runs: tuple[RunDirectory, ...]


def group(runs: Sequence[RunDirectory]) -> list[Group]:
    """Runs by what they compute, in the order in which they were given.

    A group is called by its preset; of several groups of one preset, the later ones name what they change against the
    first. The number of steps may differ: longer runs are cut.
    """
    found: dict[str, tuple[Any, list[RunDirectory]]] = {}
    first: dict[str, Any] = {}
    for run in runs:
        computes = without_seed(run)
        name = run.experiment.name
        changes = list(differences(first.setdefault(name, computes), computes))
        label = ", ".join([name, *changes])
        found.setdefault(label, (computes, []))[1].append(run)
    return [Group(label, tuple(members)) for label, (_, members) in found.items()]


def without_seed(run: RunDirectory) -> Any:
    """The experiment as data, without seed, steps and words."""
    data = {key: value for key, value in to_json(run.experiment).items() if key not in WORDS}
    training = {key: value for key, value in data["training"].items() if key not in ("seed", "steps")}
    return data | {"training": training}


def measured(runs: Sequence[RunDirectory], protocol: str) -> tuple[list[Values], list[str]]:
    """Each run's results by ``protocol``, and words about lines that cannot be compared with them.

    Results count only if all their settings but the seed agree; of several kinds the most frequent is taken. Results
    of one run and step under several seeds are averaged.
    """
    lines = [
        (number, line)
        for number, run in enumerate(runs)
        for line in read_lines(run.metrics.path)
        if line.get("protocol") == protocol
        and finite(line.get("value")) is not None
        and line.get("step") is not None
    ]
    kinds: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for number, line in lines:
        kinds.setdefault(repr(settings_of(line)), []).append((number, line))
    if not kinds:
        raise UserError(f"no run has a result of {protocol!r}; measure them with vidgan evaluate")
    kept = max(kinds.values(), key=len)
    values: list[dict[int, list[float]]] = [{} for _ in runs]
    for number, line in kept:
        values[number].setdefault(int(line["step"]), []).append(float(line["value"]))
    notes = [
        f"left out {len(others)} of {count(len(lines), 'result')} of {protocol}: "
        + "; ".join(differences(settings_of(kept[0][1]), settings_of(others[0][1])))
        for others in kinds.values()
        if others is not kept
    ]
    return [{step: statistics.fmean(found) for step, found in table.items()} for table in values], notes


def settings_of(line: Mapping[str, Any]) -> Any:
    """What a result depends on besides the model and the seed."""
    settings = line.get("settings")
    known = {k: v for k, v in settings.items() if k != "seed"} if isinstance(settings, dict) else {}
    return known | {"data": line.get("data")}


def logged(runs: Sequence[RunDirectory], scalar: str, level: int) -> list[Values]:
    """Each run's logged values of ``scalar`` on ``level``.

    Raises:
        UserError: if none has it; names those that there are.
    """
    tables: list[Values] = []
    known: dict[str, None] = {}
    for run in runs:
        lines = [line for line in read_lines(run.log.path) if line.get("level") == level]
        known |= dict.fromkeys(name for line in lines for name in line["scalars"])
        found = {int(line["step"]): finite(line["scalars"].get(scalar)) for line in lines}
        tables.append({step: each for step, each in found.items() if each is not None})
    if not any(tables):
        raise UserError(
            f"no run has logged {scalar!r} on level {level}; there are: {', '.join(known) or 'none'}"
        )
    return tables


def mean_curve(name: str, runs: Sequence[Values]) -> Curve:
    """Mean over runs at the steps that all of them have; the deviation is the unbiased one, for two runs or more.

    Raises:
        UserError: if they have no step in common.
    """
    steps = set(runs[0]).intersection(*runs[1:])
    if not steps:
        raise UserError(
            f"{name}: no step in common at which there is a value for each of {count(len(runs), 'run')}"
        )
    points = []
    for step in sorted(steps):
        values = [values[step] for values in runs]
        points.append(
            Point(step, statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)
        )
    return Curve(name if len(runs) == 1 else f"{name} ({len(runs)} runs)", points)
