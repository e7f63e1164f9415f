"""Evaluations while a run trains: the best checkpoint, when to stop, what to keep."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vidgan.data.dataset import Dataset
from vidgan.evaluation.evaluated import ModelSamples, subject_of
from vidgan.evaluation.protocols import adjusted, protocol
from vidgan.evaluation.protocols.protocol import Resources
from vidgan.evaluation.record import evaluate_by
from vidgan.evaluation.rows import Shares, Work
from vidgan.models.cascade import FrozenLevel
from vidgan.run.best import DURING, Best, best_of_run
from vidgan.run.checkpoints import checkpoint_path, steps_of
from vidgan.run.collapse import RULES, CollapseDetector, alarms_in
from vidgan.run.directory import RunDirectory
from vidgan.run.distributed import Replicas
from vidgan.run.logs import read_lines
from vidgan.sample.model import Model
from vidgan.sample.standing import GivenFrames, StatisticsStore
from vidgan.train.trainer import LevelState


class Validation(NamedTuple):
    """What an evaluation means for training."""

    better: bool
    """the best so far, so its checkpoint is kept"""
    enough: bool
    """patience is at its end"""
    said: str = ""
    """in words, for people; empty where nothing was measured, and on all processes but the main one"""


NOTHING = Validation(False, False)


class Validator:
    """Measures the top level of a run by its own protocol (``reporting.best``).

    Args:
        dataset: clips that it trains on; what a frame-conditional model is given.
        against: clips to measure against. Luc et al. 2020, 4.1 choose by the training split.
        cache: folder that keeps features of real clips; None: in memory.

    Raises:
        UserError: if the protocol does not apply or lacks its weights, before anything is trained.
    """

    def __init__(
        self,
        run: RunDirectory,
        dataset: Dataset,
        against: Dataset,
        replicas: Replicas,
        resources: Resources = Resources(),
        cache: Path | None = None,
    ) -> None:
        spec = run.experiment.reporting.best
        assert spec.protocol is not None, "this run is not evaluated while it trains"
        self.run, self.dataset, self.against, self.replicas = run, dataset, against, replicas
        self.name, self.spec = spec.protocol, spec
        self.protocol = adjusted(protocol(self.name), clips=spec.clips)
        self.resources = resources
        self.work = Work(cache, Shares(replicas.rank, replicas.size, replicas.wait))
        self.protocol.check(subject_of(run.experiment, run.class_names, against))
        self.protocol.features.open(resources, run.class_names)

    def judge(self, state: LevelState, below: Sequence[FrozenLevel], labels: Sequence[int]) -> Validation:
        """Measure what the run would sample with now, where it is time; the result goes into ``metrics.jsonl``."""
        top = len(self.run.experiment.levels) - 1
        if state.index != top or state.step % self.spec.every:
            return NOTHING
        run, given = self.run, GivenFrames.of(self.dataset)
        generators = [*(level.generator for level in below), *state.sampling_generators()]
        store = StatisticsStore(write=run.statistics)
        model = Model(run.experiment, generators, run.class_names, state.step, labels, given, store)
        marks = {"during": DURING, "larger_is_better": self.protocol.metric.larger_is_better}
        evaluated, asked = ModelSamples.of(model, self.run.path), {self.name: self.protocol}
        (result,) = evaluate_by(
            evaluated, self.against, asked, self.resources, self.work, self.run.metrics, marks
        )
        # The others do not write, nor read half-written lines.
        best = best_of_run(self.run) if self.replicas.is_rank_zero else None
        patience = self.spec.patience
        better = best is not None and best.step == state.step
        enough = best is not None and patience is not None and best.since >= patience
        said = "" if best is None else _words(result.value, best, enough)
        return Validation(self.replicas.any(better), self.replicas.any(enough), said)


def _words(value: float, best: Best, enough: bool) -> str:
    measured = f"{value:.4g}" if math.isfinite(value) else "could not be measured"
    standing = "the best so far" if best.since == 0 else f"the best is {best.value:.4g} of step {best.step}"
    end = ": patience is at its end, and so is training" if enough else ""
    return f"{best.protocol}: {measured}, {standing}{end}"


class CheckpointRetention:
    """Watches a level of a run. What was logged before, it has seen: a resumed run goes on with the same eyes."""

    def __init__(self, run: RunDirectory, level: int) -> None:
        self.run, self.level = run, level
        self.detector = CollapseDetector(run.experiment.reporting.collapse)
        lines = read_lines(run.log.path)
        for line in lines:
            if line["level"] == level:
                self.detector.see(int(line["step"]), line["scalars"])
        self._kept = {int(step) for alarm in alarms_in(lines, level) for step in alarm["keeps"]}

    def see(self, step: int, scalars: Mapping[str, float]) -> list[dict[str, Any]]:
        """The alarms of a tick, for the log: rule, onset, words, and the checkpoints that are kept for it."""
        found = []
        for alarm in self.detector.see(step, scalars):
            keeps = self._from_before(alarm.onset)
            self._kept.update(keeps)
            found.append({**alarm._asdict(), "keeps": sorted(keeps)})
        return found

    def kept(self) -> set[int]:
        """Steps whose checkpoints rotation must not reach: the best, those of alarms, and of what may become one."""
        onset = self.detector.onset()
        best = self.best()
        kept = self._kept if best is None else self._kept | {best}
        return kept if onset is None else kept | self._from_before(onset)

    def best(self, before: int | None = None) -> int | None:
        """Step of the best checkpoint, on the level that is measured; of all or of those ``before`` a step."""
        if self.level < len(self.run.experiment.levels):
            return None
        best = best_of_run(self.run, before)
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
