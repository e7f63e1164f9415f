"""The best checkpoint of a run, by the protocol that it evaluates while it trains, and which checkpoints are kept."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vidgan.run.checkpoints import checkpoint_path, steps_of
from vidgan.run.collapse import RULES, CollapseDetector, alarms_in
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_results, read_ticks

DURING = "training"
"""marks results, in ``metrics.jsonl``, of evaluations that the run made itself"""


class Best(NamedTuple):
    """The best result so far."""

    step: int
    protocol: str
    value: float
    since: int
    """evaluations after it, none of them better"""


def best_of(
    lines: Sequence[Mapping[str, Any]], before: int | None = None, level: int | None = None
) -> Best | None:
    """The best of a run's own evaluations, of all or of those of steps ``before`` one; None where there is none.

    ``level`` is that of a cascade whose evaluations count; None: the top one, whose results do not name it.
    Those made by the newest one's protocol and settings count; of equal results the first is the best.
    """
    own = [
        line
        for line in lines
        if line.get("during") == DURING
        and line.get("level") == level
        and "larger_is_better" in line
        and line.get("step") is not None
    ]
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


def best_of_run(run: RunDirectory, before: int | None = None, level: int | None = None) -> Best | None:
    """:func:`best_of` the run's results; ``level`` counts from 1, and None is the top one."""
    return best_of(read_results(run.metrics.path), before, lower(run, level))


def lower(run: RunDirectory, level: int | None) -> int | None:
    """How results name a level of the run: not at all, if it is the top one."""
    return None if level == len(run.experiment.levels) else level


def fed_by(run: RunDirectory, level: int) -> int | None:
    """The step of the checkpoint of ``level`` (from 1) that feeds the levels above it; None: the last.

    Our choice: where a run measures its levels while it trains, the best one. CVG stops early "if the metrics for a
    model stop improving" and does not say which weights it takes then.
    """
    best = best_of_run(run, None, level)
    return best.step if best is not None and best.step in steps_of(run.checkpoints, level) else None


def fed_steps(run: RunDirectory, levels: int) -> list[int | None]:
    """:func:`fed_by` of the first levels of a run; the last of all feeds none, and is taken as it ended."""
    last = run.experiment.rounds[-1]
    return [None if index == last else fed_by(run, index + 1) for index in range(levels)]


class CheckpointRetention:
    """Which checkpoints of a level rotation must not reach: the best one, and those from before a collapse.

    Args:
        level: from 1. The collapse detector sees what was logged of it before.
    """

    def __init__(self, run: RunDirectory, level: int) -> None:
        self.run, self.level = run, level
        self.detector = CollapseDetector(self.run.experiment.reporting.collapse)
        lines = read_ticks(self.run.log.path)
        for line in lines:
            if line["level"] == level:
                self.detector.see(int(line["step"]), line["scalars"])
        self._kept = {int(step) for alarm in alarms_in(lines, level) for step in alarm["keeps"]}

    def alarms(self, step: int, scalars: Mapping[str, float]) -> list[dict[str, Any]]:
        """The alarms of a tick, for the log: rule, onset, words, and the checkpoints that are kept for it."""
        found = []
        for alarm in self.detector.see(step, scalars):
            keeps = self._from_before(alarm.onset)
            self._kept.update(keeps)
            found.append({**alarm._asdict(), "keeps": sorted(keeps)})
        return found

    def kept(self) -> set[int]:
        """Steps of the best checkpoint, of those kept for alarms, and of those kept for what may become one."""
        onset = self.detector.onset()
        best = self.best()
        kept = self._kept if best is None else self._kept | {best}
        return kept if onset is None else kept | self._from_before(onset)

    def best(self, before: int | None = None) -> int | None:
        """Step of the level's best checkpoint, of all or of those ``before`` a step."""
        best = best_of_run(self.run, before, self.level)
        return None if best is None else best.step

    def words(self, alarm: Mapping[str, Any]) -> str:
        """An alarm for people: what is seen, what is kept, what to try."""
        names = [checkpoint_path(self.run.checkpoints, self.level, step).name for step in alarm["keeps"]]
        kept = f"kept from before: {', '.join(names)}" if names else "no checkpoint is from before"
        about = next(rule.about for rule in RULES if rule.name == alarm["rule"])
        return f"ALARM: {alarm['text']}; {kept}. To try: {about} (docs/monitoring.md)"

    def _from_before(self, onset: int) -> set[int]:
        """Steps of the newest and of the best checkpoint from before ``onset``: a broken model may be
        evaluated better."""
        there = [step for step in steps_of(self.run.checkpoints, self.level) if step < onset]
        best = self.best(onset)
        return set(there[-1:]) | ({best} if best in there else set())
