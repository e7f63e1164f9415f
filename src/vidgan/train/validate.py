"""Evaluations while a run trains: the best checkpoint, and when to stop."""

import math
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from vidgan.data.dataset import Dataset
from vidgan.errors import UserError
from vidgan.evaluation.evaluated import ModelSamples, subject_of
from vidgan.evaluation.protocols import Protocol, adjusted, protocol
from vidgan.evaluation.protocols.base import Resources
from vidgan.evaluation.record import evaluate_by
from vidgan.evaluation.rows import Shares, Work
from vidgan.run.best import DURING, Best, best_of_run
from vidgan.sample.model import Model
from vidgan.sample.standing import GivenFrames, StatisticsStore
from vidgan.train.callbacks import Callback, TrainContext


class Validator(Callback):
    """Measures a run's top level by its own protocol (``reporting.best``); results go into ``metrics.jsonl``.

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

    def check(self, trainer: TrainContext) -> None:
        """See that the protocol applies, has its weights and gets clips enough, before anything is trained.

        Raises:
            UserError: where it does not.
        """
        if trainer.run is None:
            raise UserError("evaluations while training (reporting.best) are written into a run: give out")
        asked, names, against = self.protocol_of(trainer), trainer.run.class_names, self.against
        asked.check(subject_of(trainer.experiment, names, against or trainer.dataset))
        self.resources.require_use([asked.features])
        asked.features.open(self.resources, names)
        untrained = Model(trainer.experiment, (), names, 0, trainer.labels)
        samples = ModelSamples.of(untrained, trainer.run.path)
        name = trainer.experiment.reporting.best.protocol or ""
        samples.sides(name, asked, against or trainer.dataset).checked()

    def protocol_of(self, trainer: TrainContext) -> Protocol:
        """The protocol of a run, with its number of clips."""
        spec = trainer.experiment.reporting.best
        assert spec.protocol is not None, "this run is not evaluated while it trains"
        return adjusted(protocol(spec.protocol), clips=spec.clips)

    def on_step(self, trainer: TrainContext, scalars: Mapping[str, Tensor]) -> None:
        """Measure what the run would sample with now, where it is time, and keep the best."""
        self.measured = None
        run, state, replicas = trainer.run, trainer.state, trainer.replicas
        spec = trainer.experiment.reporting.best
        top = len(trainer.experiment.levels) - 1
        if run is None or spec.protocol is None or state.index != top or state.steps % spec.every:
            return
        generators = [*(level.generator for level in trainer.below), *state.generators()]
        given, store = GivenFrames.of(trainer.dataset), StatisticsStore(write=run.statistics)
        model = Model(
            trainer.experiment, generators, run.class_names, state.steps, trainer.labels, given, store
        )
        asked, against = self.protocol_of(trainer), self.against or trainer.dataset
        marks = {"during": DURING, "larger_is_better": asked.metric.larger_is_better}
        work = Work(self.cache, Shares(replicas.rank, replicas.size, replicas.wait))
        samples, by = ModelSamples.of(model, run.path), {spec.protocol: asked}
        (result,) = evaluate_by(samples, against, by, self.resources, work, run.metrics, marks)
        if not replicas.is_rank_zero:  # the others do not write, nor read half-written lines
            return
        self.measured = best = best_of_run(run)
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
            trainer.say(f"{best.since} evaluations in a row were no better: training ends")
            trainer.finish()


def words(value: float, best: Best) -> str:
    """A result beside the best one."""
    measured = f"{value:.4g}" if math.isfinite(value) else "could not be measured"
    standing = "the best so far" if best.since == 0 else f"the best is {best.value:.4g} of step {best.step}"
    return f"{best.protocol}: {measured}, {standing}"
