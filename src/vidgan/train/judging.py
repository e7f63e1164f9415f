"""Evaluation while a run trains, to know its best checkpoint and when it gets no better."""

from collections.abc import Sequence
from typing import NamedTuple

from vidgan.data.dataset import Dataset
from vidgan.evaluate.protocols import Protocol, protocol
from vidgan.evaluate.record import Setup, evaluate, subject_of
from vidgan.evaluate.rows import Shares
from vidgan.models.cascade import Settled
from vidgan.run.best import DURING, Best, best_of_run
from vidgan.run.directory import RunDirectory
from vidgan.run.turns import main_first
from vidgan.sample.published import GivenFrames, settled_on
from vidgan.sample.trained import Trained
from vidgan.train.level_state import LevelState
from vidgan.train.replicas import Replicas


class Verdict(NamedTuple):
    """What an evaluation means for training."""

    better: bool
    """the best so far, so its checkpoint is kept"""
    enough: bool
    """patience is at its end"""
    said: str = ""
    """in words, for people; empty where nothing was measured, and on all processes but the main one"""


NOTHING = Verdict(False, False)


class Judge:
    """Measures the top level of a run by its own protocol (``reporting.best``).

    Args:
        dataset: clips that it trains on; what a frame-conditional model settles on.
        against: clips to measure against. Luc et al. 2020, 4.1 choose by the training split.

    Raises:
        UserError: if the protocol does not apply or lacks its weights, before anything is trained.
    """

    def __init__(
        self, run: RunDirectory, dataset: Dataset, against: Dataset, replicas: Replicas, setup: Setup
    ) -> None:
        spec = run.experiment.reporting.best
        assert spec.protocol is not None, "this run is not judged while it trains"
        self.run, self.dataset, self.against, self.replicas = run, dataset, against, replicas
        self.name, self.spec = spec.protocol, spec
        self.protocol: Protocol = protocol(self.name)
        if spec.clips is not None:
            self.protocol = self.protocol.replace(clips=spec.clips)
        self.setup = setup._replace(shares=Shares(replicas.rank, replicas.size, replicas.wait))
        self.protocol.check(subject_of(run, against))
        self.setup.open(self.protocol, run.class_names)

    def judge(self, state: LevelState, below: Sequence[Settled], labels: Sequence[int]) -> Verdict:
        """Measure what the run would publish now, where it is time; the result goes into ``metrics.jsonl``."""
        top = len(self.run.experiment.levels) - 1
        if state.index != top or state.step % self.spec.every:
            return NOTHING
        generators, given = state.published(), GivenFrames.of(self.dataset)
        device = next(generators[0].parameters()).device
        with main_first(self.replicas.main, self.replicas.wait):  # it writes the statistics
            levels = settled_on(self.run, generators, below, labels, given, device)
        model = Trained(self.run.experiment, tuple(levels), self.run.class_names, state.step, device)
        marks = {"during": DURING, "larger_is_better": self.protocol.metric.larger_is_better}
        line = evaluate(self.run, model, self.against, self.name, self.protocol, self.setup, marks)
        # The others do not write, nor read half-written lines.
        best = best_of_run(self.run) if self.replicas.main else None
        patience = self.spec.patience
        better = best is not None and best.step == state.step
        enough = best is not None and patience is not None and best.since >= patience
        said = "" if best is None else _words(line["value"], best, enough)
        return Verdict(self.replicas.any(better), self.replicas.any(enough), said)


def _words(value: float | None, best: Best, enough: bool) -> str:
    measured = "could not be measured" if value is None else f"{value:.4g}"
    standing = "the best so far" if best.since == 0 else f"the best is {best.value:.4g} of step {best.step}"
    end = ": patience is at its end, and so is training" if enough else ""
    return f"{best.protocol}: {measured}, {standing}{end}"
