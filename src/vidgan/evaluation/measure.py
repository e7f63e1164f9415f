"""Measuring: rows of both sides, the number, its deviation, and how far the number of clips can be trusted."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vidgan.evaluation.clips import Clips
from vidgan.evaluation.protocols.base import Extractor, Metric, Protocol, Score, Scorer, Table
from vidgan.evaluation.rows import Wanted, Work, compute_rows
from vidgan.seeds import derive

RESAMPLES = 20
"""bootstrap resamples of the evaluated clips"""
SHARE = 0.1
"""part of a number that two halves of real data may be apart before a warning"""


class Deviation(NamedTuple):
    """How far the number moves."""

    value: float
    """standard deviation (divided by n - 1)"""
    over: str
    """of what: ``runs`` with other noise, or ``bootstrap`` resamples of the evaluated clips"""
    times: int


class Floor(NamedTuple):
    """What the metric says of two sets of real clips that share none: its error, where zero is right."""

    value: float
    clips: int
    """in each set"""


class Measured(NamedTuple):
    """A number and how far it can be trusted."""

    score: Score
    deviation: Deviation | None
    per_run: Sequence[float]
    floor: Floor | None
    dimension: int | None
    fake: int
    """evaluated clips"""
    real: int | None
    folders: Sequence[Path]
    """with rows of evaluated clips, which may be removed"""


def measure(
    protocol: Protocol,
    fakes: Callable[[int], Clips],
    real: Clips | None,
    extractor: Extractor,
    work: Work,
    beside: Callable[[int | None], Sequence[Wanted]] = lambda run: (),
) -> Measured:
    """Measure by a protocol in which everything is filled in.

    Args:
        fakes: evaluated clips by the number of the run, from 0.
        real: real clips, where the metric needs them.
        beside: rows that will be wanted next, of the evaluated clips of a run, or of the real ones (None).

    Raises:
        UserError: where clips cannot be read, or the rows do not allow the number.
    """
    metric = protocol.metric
    table = None if real is None else compute_rows(real, extractor, work, "real clips", beside(None))[0]
    scorer = metric.against(table)
    scores, folders = [], []
    first: Table | None = None
    for run in range(protocol.runs):
        of_several = "" if protocol.runs == 1 else f", run {run + 1} of {protocol.runs}"
        what = f"evaluated clips{of_several}"
        rows, folder = compute_rows(fakes(run), extractor, work, what, beside(run))
        scores.append(scorer(rows))
        folders.append(folder)
        first = first or rows
    assert first is not None
    values = [score.value for score in scores]
    if len(values) > 1:
        deviation: Deviation | None = Deviation(statistics.stdev(values), "runs", len(values))
    else:
        deviation = bootstrap(metric, scorer, first, protocol.seed)
    return Measured(
        over_runs(scores),
        deviation,
        values,
        None if table is None else two_halves(metric, table, len(first.labels), protocol.seed),
        metric.dimension(first),
        len(first.labels) // metric.futures,
        None if real is None else real.count,
        [folder for folder in folders if folder is not None],
    )


def bootstrap(metric: Metric, scorer: Scorer, fake: Table, seed: int) -> Deviation | None:
    """The deviation of the number over resamples of the evaluated clips, of as many of each class where classes are
    measured apart; None for fewer than two clips."""
    clips = len(fake.labels) // metric.futures
    if clips < 2:
        return None
    labels = fake.labels[:: metric.futures] if metric.stratified else np.zeros(clips, np.int64)
    strata = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    values = []
    for number in range(RESAMPLES):
        rng = np.random.Generator(np.random.PCG64(derive(seed, "bootstrap", number)))
        drawn = [members[rng.integers(0, len(members), len(members))] for members in strata]
        first = np.concatenate(drawn)[:, None] * metric.futures
        values.append(scorer(fake.take((first + np.arange(metric.futures)).ravel())).value)
    return Deviation(float(np.std(values, ddof=1)), "bootstrap", RESAMPLES)


def over_runs(scores: Sequence[Score]) -> Score:
    """Means over runs of the number and of those beside it; a table is the first run's."""
    value = statistics.fmean(score.value for score in scores)
    return scores[0]._replace(value=value, values=mean_of([score.values for score in scores]))


def mean_of(found: Sequence[Any]) -> Any:
    """Numbers averaged wherever they stand in equal mappings and lists; what is no float is the first's."""
    first = found[0]
    if isinstance(first, float):
        return statistics.fmean(found)
    if isinstance(first, Mapping):
        return {name: mean_of([each[name] for each in found]) for name in first}
    if isinstance(first, list):
        return [mean_of(same) for same in zip(*found, strict=True)]
    return first


def two_halves(metric: Metric, real: Table, fakes: int, seed: int) -> Floor | None:
    """The number for two sets of real clips without a common one, each as large as the evaluated set if there are
    enough; None for fewer than four real clips."""
    each = min(fakes, len(real.labels) // 2)
    if each < 2 or metric.dimension(real) is None:
        return None
    words = np.random.PCG64(derive(seed, "two halves")).random_raw(len(real.labels))
    order = np.argsort(words, kind="stable")
    one, other = real.take(order[:each]), real.take(order[each : 2 * each])
    return Floor(metric.against(one)(other).value, each)


def warnings_of(measured: Measured, metric: Metric, wanted: int) -> list[str]:
    """What a reader must know before using the number, in sentences.

    Args:
        wanted: evaluated clips that the named protocol asks for.
    """
    said = []
    if measured.fake < wanted:
        said.append(f"only {measured.fake} clips were evaluated; the protocol asks for {wanted}")
    if measured.dimension is not None:
        least = measured.fake if measured.real is None else min(measured.fake, measured.real)
        too_few = least <= measured.dimension
        if too_few:
            said.append(
                f"{least} clips are too few for {measured.dimension} dimensions: their covariance has no full rank, "
                "and the number says more about the count than about the videos"
            )
        floor, value = measured.floor, measured.score.value
        if floor is not None and (too_few or floor.value > SHARE * abs(value)):
            said.append(
                f"bias: two sets of {floor.clips} real clips that share none are {floor.value:.4g} apart, where 0 "
                f"would be right; the number is {value:.4g}"
            )
        elif floor is None and too_few:
            said.append("the bias cannot be estimated: there are too few real clips for two halves")
    deviation, value = measured.deviation, measured.score.value
    if deviation is not None and deviation.value > abs(value):
        said.append(
            f"the deviation, {deviation.value:.2g}, is larger than the number, {value:.2g}: it says nothing yet"
        )
    return said + metric.warnings(measured.fake)
