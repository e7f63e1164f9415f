"""The best checkpoint of a run, by the protocol that it evaluates while it trains."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_lines

DURING = "training"
"""marks results, in ``metrics.jsonl``, of evaluations that the run made itself"""


class Best(NamedTuple):
    """The best result so far."""

    step: int
    protocol: str
    value: float
    since: int
    """evaluations after it, none of them better"""


def best_of(lines: Sequence[Mapping[str, Any]], before: int | None = None) -> Best | None:
    """The best of a run's own evaluations, of all or of those of steps ``before`` one; None where there is none.

    Those made by the newest one's protocol and settings count; of equal results the first is the best.
    """
    own = [line for line in lines if line.get("during") == DURING]
    if not own:
        return None
    alike = [
        line for line in own if all(line.get(k) == own[-1].get(k) for k in ("protocol", "settings", "data"))
    ]
    alike = [line for line in alike if before is None or line["step"] < before]
    told = [(place, line) for place, line in enumerate(alike) if line.get("value") is not None]
    if not told:
        return None
    sign = -1 if own[-1]["larger_is_better"] else 1
    place, line = min(told, key=lambda found: sign * found[1]["value"])
    return Best(int(line["step"]), str(line["protocol"]), float(line["value"]), len(alike) - 1 - place)


def best_of_run(run: RunDirectory, before: int | None = None) -> Best | None:
    """:func:`best_of` the run's results."""
    return best_of(read_lines(run.metrics.path), before)
