"""Evaluations while a run trains: the best checkpoint, and when to stop."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from vidgan.data.dataset import Dataset
from vidgan.errors import UserError
from vidgan.evaluation.evaluated import ModelSamples, subject_of
from vidgan.evaluation.protocols import Protocol, adjusted, protocol
from vidgan.evaluation.protocols.base import Resources
from vidgan.evaluation.record import evaluate_by
from vidgan.evaluation.rows import Work
from vidgan.evaluation.shares import Shares
from vidgan.run.best import DURING, Best, best_of_run
from vidgan.sample.model import Model
from vidgan.sample.standing import GivenFrames, StatisticsStore, frozen_levels
from vidgan.train.callbacks import Callback, TrainContext


class Validator(Callback):
    """Measures each of a run's levels by its own protocols (``reporting.protocols``); results go into
    ``metrics.jsonl``.

    The first protocol decides which checkpoint is the best.

    Args:
        against: clips to measure against; None: those that are trained on, by which Luc et al. 2020, 4.1 choose.
        resources: what the protocol needs, as weights.
        cache: folder that keeps features of real clips; None: in memory.

    Attributes:
        measured: the best result by now, after a step that was measured; None after others, and on all processes but
            one.
    """

    def __init__(
        self,
        against: Dataset | None = None,
        resources: Resources = Resources(),
        cache: Path | None = None,
    ) -> None:
        self.against, self.resources, self.cache = against, resources, cache
        self.measured: Best | None = None
        self._left_out: set[int] = set()

    def check(self, trainer: TrainContext) -> None:
        """See that the protocols apply, have their weights and get clips enough, before anything is trained.

        A lower level of a cascade, to whose videos one does not apply, is not measured, and that is said.

        Raises:
            UserError: where one does not apply to the top level, or weights are missing.
        """
        if trainer.run is None:
            raise UserError("evaluations while training (reporting.best) are written into a run: give out")
        asked, names = self.protocols_of(trainer), trainer.run.class_names
        self.resources.require_use([each.features for each in asked.values()])
        for each in asked.values():
            each.features.open(self.resources, names)
        *lower, top = trainer.experiment.rounds
        self._check_level(trainer, top, asked)
        for index in lower:
            try:
                self._check_level(trainer, index, asked)
            except UserError as fault:
                self._left_out.add(index)
                trainer.say(f"level {index + 1} is not measured while it trains: {fault}")

    def _check_level(self, trainer: TrainContext, index: int, asked: Mapping[str, Protocol]) -> None:
        """Raise :class:`UserError` where a protocol does not apply to the videos of a level."""
        assert trainer.run is not None
        experiment, against = trainer.experiment.up_to(index + 1), self.against or trainer.dataset
        subject = subject_of(experiment, trainer.run.class_names, against)
        for each in asked.values():
            each.check(subject)
        untrained = Model(experiment, (), trainer.run.class_names, 0, trainer.labels)
        samples = ModelSamples.of(untrained, trainer.run.path)
        for name, each in asked.items():
            samples.sides(name, each, against).checked()

    def protocols_of(self, trainer: TrainContext) -> dict[str, Protocol]:
        """The protocols of a run by name, with its number of clips; the one that decides comes first."""
        reporting = trainer.experiment.reporting
        return {name: adjusted(protocol(name), clips=reporting.best.clips) for name in reporting.protocols}

    def looks(self, trainer: TrainContext) -> bool:
        state, every = trainer.state, trainer.experiment.reporting.best.every
        return state.index not in self._left_out and state.steps % every == 0

    def on_step(self, trainer: TrainContext, scalars: Mapping[str, Tensor]) -> None:
        """Measure what the run would sample with now, where it is time, and keep the best."""
        self.measured = None
        run, state, replicas = trainer.run, trainer.state, trainer.replicas
        if run is None or not self.looks(trainer):
            return
        experiment = trainer.experiment.up_to(state.index + 1)
        generators = [*(level.generator for level in trainer.below), *state.generators()]
        given, store = GivenFrames.of(trainer.dataset), StatisticsStore(write=run.statistics)
        about = (run.class_names, state.steps, trainer.labels)
        model = Model(experiment, generators, *about, given, store, processes=replicas.size)
        # Together, before each process makes its share of the clips.
        with replicas.during("standing statistics"):
            frozen_levels(experiment, generators, trainer.labels, given, store, replicas=replicas)
        asked, against = self.protocols_of(trainer), self.against or trainer.dataset
        marks: dict[str, dict[str, Any]] = {name: {"during": DURING} for name in asked}
        decides, *_ = asked
        marks[decides]["larger_is_better"] = asked[decides].metric.larger_is_better
        work = Work(self.cache, Shares.of(replicas))
        samples = ModelSamples.of(model, run.path)
        most = trainer.experiment.training.standing_statistics.at_once
        resources = self.resources._replace(micro_batch=most)
        with replicas.during("an evaluation"):
            result, *others = evaluate_by(samples, against, asked, resources, work, run.metrics, marks)
        if not replicas.is_rank_zero:  # the others do not write, nor read half-written lines
            return
        for other in others:
            trainer.say(f"step {state.steps}  {other.protocol}: {said(other.value)}")
        self.measured = best = best_of_run(run, None, state.index + 1)
        if best is not None:
            trainer.say(f"step {state.steps}  {words(result.value, best)}")
            if best.step == state.steps:
                trainer.keep()


class EarlyStopping(Callback):
    """Ends training after so many evaluations in a row without a better result.

    Args:
        validator: comes before it among the trainer's callbacks.
    """

    def __init__(self, validator: Validator, patience: int) -> None:
        self.validator, self.patience = validator, patience

    def on_step(self, trainer: TrainContext, scalars: Mapping[str, Tensor]) -> None:
        best = self.validator.measured
        if best is not None and best.since >= self.patience:
            index, experiment = trainer.state.index, trainer.experiment
            what = "training" if index + 1 == len(experiment.levels) else f"level {index + 1}"
            evaluations = "evaluation" if best.since == 1 else "evaluations"
            trainer.say(f"{best.since} {evaluations} in a row without a better result: {what} ends")
            trainer.finish()


def words(value: float, best: Best) -> str:
    """A result beside the best one."""
    standing = "the best so far" if best.since == 0 else f"the best is {best.value:.4g} of step {best.step}"
    return f"{best.protocol}: {said(value)}, {standing}"


def said(value: float) -> str:
    """A number, or that there is none."""
    return f"{value:.4g}" if math.isfinite(value) else "could not be measured"
