"""Measuring: rows of both sides, the number, its deviation, and how far the number of clips can be trusted."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vidgan.evaluation.clips import Clips
from vidgan.evaluation.protocols.extractors import Extractor
from vidgan.evaluation.protocols.metrics import Metric, Result, Table, pick
from vidgan.evaluation.protocols.protocol import Protocol
from vidgan.evaluation.rows import Begin, Shares, compute_rows
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

    result: Result
    deviation: Deviation | None
    per_run: Sequence[float]
    floor: Floor | None
    dimension: int | None
    fake: int
    """evaluated clips"""
    real: int | None
    rows: tuple[Path, ...]
    """folders with rows of evaluated clips, which may be removed"""


def measure(
    protocol: Protocol,
    fakes: Callable[[int], Clips],
    real: Clips | None,
    extractor: Extractor,
    cache: Path,
    shares: Shares,
    begin: Begin,
) -> Measured:
    """Measure by a protocol in which everything is filled in.

    Args:
        fakes: evaluated clips by the number of the run, from 0.
        real: real clips, where the metric needs them.

    Raises:
        UserError: where clips cannot be read, or the rows do not allow the number.
    """
    metric = protocol.metric
    table = None
    if real is not None:
        table, _ = compute_rows(real, extractor, cache, shares, "real clips", begin)
    score = metric.against(table)
    results: list[Result] = []
    rows: list[Path] = []
    first: Table | None = None
    for run in range(protocol.runs):
        what = (
            "evaluated clips" if protocol.runs == 1 else f"evaluated clips, run {run + 1} of {protocol.runs}"
        )
        fake, folder = compute_rows(fakes(run), extractor, cache, shares, what, begin)
        results.append(score(fake))
        rows.append(folder)
        first = fake if first is None else first
    assert first is not None
    values = [result.value for result in results]
    if len(values) > 1:
        deviation: Deviation | None = Deviation(statistics.stdev(values), "runs", len(values))
    else:
        deviation = bootstrap(metric, score, first, protocol.seed)
    mean = over_runs(results)
    floor = None if table is None else two_halves(metric, table, len(first.labels), protocol.seed)
    count = len(first.labels) // metric.rows_per_clip
    return Measured(
        mean,
        deviation,
        values,
        floor,
        metric.dimension(first),
        count,
        None if real is None else real.count,
        tuple(rows),
    )


def bootstrap(metric: Metric, score: Callable[[Table], Result], fake: Table, seed: int) -> Deviation | None:
    """The deviation of the number over resamples of the evaluated clips; None for fewer than two clips."""
    clips = len(fake.labels) // metric.rows_per_clip
    if clips < 2:
        return None
    values = []
    for number in range(RESAMPLES):
        rng = np.random.Generator(np.random.PCG64(derive(seed, "bootstrap", number)))
        values.append(score(pick(fake, rng.integers(0, clips, clips).tolist(), metric.rows_per_clip)).value)
    return Deviation(float(np.std(values, ddof=1)), "bootstrap", RESAMPLES)


def over_runs(results: Sequence[Result]) -> Result:
    """Means over runs of the number and of those beside it; a table is the first run's."""
    value = statistics.fmean(result.value for result in results)
    return results[0]._replace(value=value, values=mean_of([result.values for result in results]))


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


def warnings_of(measured: Measured, wanted: int, splits: int | None) -> list[str]:
    """What a reader must know before using the number, in sentences.

    Args:
        wanted: evaluated clips that the named protocol asks for.
        splits: parts of an Inception Score; None for other metrics.
    """
    said = []
    if measured.fake < wanted:
        said.append(f"only {measured.fake} clips were evaluated; the protocol asks for {wanted}")
    if measured.dimension is not None:
        least = measured.fake if measured.real is None else min(measured.fake, measured.real)
        if least <= measured.dimension:
            said.append(
                f"{least} clips are too few for {measured.dimension} dimensions: their covariance has no full rank, "
                "and the number says more about the count than about the videos"
            )
        floor, value = measured.floor, measured.result.value
        if floor is not None and (least <= measured.dimension or floor.value > SHARE * abs(value)):
            said.append(
                f"bias: two sets of {floor.clips} real clips that share none are {floor.value:.4g} apart, where 0 "
                f"would be right; the number is {value:.4g}"
            )
        elif floor is None and least <= measured.dimension:
            said.append("the bias cannot be estimated: there are too few real clips for two halves")
    if splits is not None and measured.fake < 5000:
        said.append(
            f"an Inception Score of {measured.fake} clips in {splits} parts is biased by their number: compare it with "
            "scores of the same number and parts only"
        )
    return said


def as_json(measured: Measured) -> dict[str, Any]:
    """The parts of a result line that come from measuring."""
    line: dict[str, Any] = {"value": measured.result.value, "values": dict(measured.result.values)}
    line["deviation"] = None if measured.deviation is None else measured.deviation._asdict()
    if len(measured.per_run) > 1:
        line["per_run"] = list(measured.per_run)
    if measured.floor is not None:
        line["two_real_halves"] = measured.floor._asdict()
    line["counts"] = {"evaluated": measured.fake, "real": measured.real}
    if measured.result.table is not None:
        line["table"] = dict(measured.result.table)
    return line
