"""Results side by side: runs of one experiment under several seeds over training, and scores by class."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from vidgan.errors import UserError
from vidgan.forms import MAYBE, WHOLE, Fields, Table
from vidgan.report.collect import finite
from vidgan.report.figures import Curve, Plot, Point
from vidgan.report.words import count, number
from vidgan.run.best import lower
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_results, read_ticks
from vidgan.spec import differences, to_json

WORDS = ("name", "description", "source", "deviations", "reporting")
"""Fields of an experiment that do not change what it computes."""

Values = Mapping[int, float]
"""A run's values by step."""


Line = Mapping[str, Any]
"""A result in ``metrics.jsonl``."""


SCORED: Final = Fields({"per_class": Table(MAYBE)})
"""what a result by class has among its values"""
MOVED: Final = Fields(
    {**SCORED.needed, "real_motion_per_class": Table(MAYBE), "real_clips_per_class": Table(WHOLE)}
)
"""and one of motion-by-class"""


class Group(NamedTuple):
    """Runs that differ in their seed alone."""

    name: str
    runs: tuple[RunDirectory, ...]


def over_training(
    runs: Sequence[RunDirectory], protocols: Sequence[str], scalars: Sequence[str], level: int | None = None
) -> tuple[list[Plot], list[str]]:
    """A plot per protocol and per logged scalar, with a curve per group of runs (Clark et al. 2019, Figure 7), and
    words about results that were left out.

    Of a cascade those of ``level``, from 1; None: results of the last, logs of the first.

    Raises:
        UserError: if a run has no value, or the runs of a group share no step.
    """
    groups = group(runs)
    everything = [run for each in groups for run in each.runs]
    plots, notes = [], []
    for name in protocols:
        values, said = measured(everything, name, level)
        plots.append(Plot(name, "step", "value", group_curves(name, groups, values)))
        notes += said
    for name in scalars:
        values = logged(everything, name, level or 1)
        plots.append(Plot(name, "step", "logged value", group_curves(name, groups, values)))
    return plots, notes


def group_curves(title: str, groups: Sequence[Group], values: Sequence[Values]) -> list[Curve]:
    """A curve per group; ``values`` are those of all groups' runs in order."""
    curves, remaining = [], iter(values)
    for each in groups:
        own = [next(remaining) for _ in each.runs]
        for run, found in zip(each.runs, own, strict=True):
            if not found:
                raise UserError(f"{run.path} has nothing of {title} that can be compared with the others'")
        curves.append(mean_curve(each.name, own))
    return curves


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


def measured(
    runs: Sequence[RunDirectory], protocol: str, level: int | None = None
) -> tuple[list[Values], list[str]]:
    """Each run's results by ``protocol``, and words about lines that cannot be compared with them.

    Of a cascade those of ``level``, from 1; None: the last.

    Results count only if all their settings but the seed agree; of several kinds the most frequent is taken. Results
    of one run and step under several seeds are averaged.
    """
    lines = [
        (place, line)
        for place, run in enumerate(runs)
        for line in read_results(run.metrics.path)
        if line.get("protocol") == protocol
        and line.get("level") == lower(run, level)
        and finite(line.get("value")) is not None
        and line.get("step") is not None
    ]
    kinds: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for place, line in lines:
        kinds.setdefault(repr(settings_of(line)), []).append((place, line))
    if not kinds:
        raise UserError(f"no run has a result of {protocol!r}; measure them with vidgan evaluate")
    kept = max(kinds.values(), key=len)
    values: list[dict[int, list[float]]] = [{} for _ in runs]
    for place, line in kept:
        values[place].setdefault(int(line["step"]), []).append(float(line["value"]))
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
        lines = [line for line in read_ticks(run.log.path) if line.get("level") == level]
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


def by_class(motion: Line, scores: Mapping[str, Line]) -> list[list[str]]:
    """Cells of a table: a row per class by its real motion, most first; then the means of both halves, and the rank
    correlations of each column with motion (SSW-GAN, Table 4).

    Args:
        motion: a result of motion-by-class, with values of form :data:`MOVED`.
        scores: results by class, with values of form :data:`SCORED`, by the name of their protocol.
    """
    real, made = finite_of(motion["values"]["real_motion_per_class"]), motion["values"]["per_class"]
    columns = {"real motion": real, "generated": finite_of(made)}
    columns |= {
        name.removesuffix("-by-class"): finite_of(line["values"]["per_class"])
        for name, line in scores.items()
    }
    names = sorted(real, key=lambda name: -real[name])
    half = len(names) // 2
    clips = motion["values"]["real_clips_per_class"]
    rows = [["class", *columns, "real clips"]]
    rows += [
        [name, *(cell(values.get(name)) for values in columns.values()), str(clips.get(name, "–"))]
        for name in names
    ]
    for title, part in (("more motion, mean", names[:half]), ("less motion, mean", names[-half:])):
        if part:
            known = [[values[name] for name in part if name in values] for values in columns.values()]
            rows.append([title, *(cell(statistics.fmean(each) if each else None) for each in known), ""])
    ranks = [rank_correlation(real, values) for values in columns.values()]
    rows.append(["rank correlation with motion", "", *map(cell, ranks[1:]), ""])
    return rows


def finite_of(values: Mapping[str, float | None]) -> dict[str, float]:
    """Those that are numbers."""
    return {name: value for name, value in values.items() if value is not None}


def cell(value: float | None) -> str:
    """A number with four digits; a dash where there is none."""
    return "–" if value is None else number(value)


def rank_correlation(a: Mapping[str, float], b: Mapping[str, float]) -> float | None:
    """Spearman's, over the classes that both have; None below three, or where one of them is constant."""
    names = [name for name in a if name in b]
    ranks = [ranked([values[name] for name in names]) for values in (a, b)]
    if len(names) < 3 or any(np.ptp(each) == 0 for each in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def ranked(values: Sequence[float]) -> list[float]:
    """The rank of every value; equal ones share the mean of theirs."""
    return [sum(v < value for v in values) + sum(v == value for v in values) / 2 for value in values]
