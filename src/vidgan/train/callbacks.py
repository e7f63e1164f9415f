"""What happens around the steps: the contract for callbacks, and those that write a run directory."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vidgan.data.dataset import Dataset
from vidgan.errors import UserError
from vidgan.models.cascade import FrozenLevel
from vidgan.run.best import CheckpointRetention
from vidgan.run.checkpoints import checkpoint_path, parent_hashes, prune, save
from vidgan.run.directory import RunDirectory
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import Experiment
from vidgan.run.logs import seconds_logged
from vidgan.sample.previews import write_previews, write_real_clips, write_views
from vidgan.tensor_file import State
from vidgan.train.monitor import Monitor
from vidgan.train.state import TrainState


@dataclass
class Requests:
    """What signals and callbacks have asked of a trainer, on this process."""

    finish: bool = False
    keep: bool = False
    stop: str | None = None
    """the cause"""


class TrainContext(ABC):
    """A training in progress, as callbacks see it: a :class:`vidgan.Trainer`.

    Attributes:
        experiment: what is trained, with the data's number of classes.
        dataset: the clips.
        labels: how often they have each class, in lowest terms.
        run: where it is written; None where nothing is.
        replicas: this process among those that share every batch.
        callbacks: what is called around the steps, in this order.
        below: the levels under the one in training, finished.
        ending: whether this is the last step of the level, or of this process.
        finished: whether the level wants no more steps.
        minutes: after which a level ends, however many steps it has made by then; None: no limit.
    """

    experiment: Experiment
    dataset: Dataset
    labels: Sequence[int]
    run: RunDirectory | None
    device: torch.device
    replicas: Replicas
    callbacks: Sequence["Callback"]
    below: Sequence[FrozenLevel]
    ending: bool
    finished: bool
    minutes: float | None
    requests: Requests

    @property
    @abstractmethod
    def state(self) -> TrainState:
        """The level in training; the first time, it is made or read from the run."""

    @abstractmethod
    def step(self, monitor: Monitor | None = None) -> dict[str, Tensor]:
        """Make one step of the level in training."""

    @abstractmethod
    def save(self) -> None:
        """Write a checkpoint of the level in training."""

    @abstractmethod
    def say(self, text: str) -> None:
        """Print a line, on one of the processes, unless the trainer is to be silent."""

    def finish(self) -> None:
        """End this level after the step, on every process, and count it as finished."""
        self.requests.finish = True

    def stop(self, cause: str) -> None:
        """Stop after the step, on every process, with all saved, to be resumed another time."""
        self.requests.stop = cause

    def keep(self) -> None:
        """Save a checkpoint after the step."""
        self.requests.keep = True


class Callback(ABC):  # noqa: B024 - any of the methods may be left out
    """What a trainer calls around its steps, on every process; each method does nothing unless it is overridden.

    A :class:`UserError` raised in one of them, on whichever process, ends training on all. Raised by :meth:`on_tick`,
    all is saved before.
    """

    def on_level_start(self, trainer: TrainContext) -> None:  # noqa: B027
        """A level is about to be trained, from ``trainer.state.steps`` on."""

    def on_tick(self, trainer: TrainContext, scalars: Mapping[str, float]) -> None:  # noqa: B027
        """Every ``reporting.tick`` steps and at the end: means over the steps since the last tick and all processes."""

    def on_step(self, trainer: TrainContext, scalars: Mapping[str, Tensor]) -> None:  # noqa: B027
        """A step was made.

        Args:
            scalars: 0-d tensors that stand on the device; reading them waits for it.
        """

    def looks(self, trainer: TrainContext) -> bool:
        """Whether :meth:`on_step` of this step takes long, or memory of its own: a checkpoint is written before.

        All processes must answer alike.
        """
        return False

    def on_checkpoint(self, trainer: TrainContext, finished: bool) -> None:  # noqa: B027
        """All state is saved, every ``reporting.checkpoint`` steps, wherever a callback :meth:`looks`, and at the end,
        before :meth:`on_step` of that step.

        It is once more where a callback of that step ends the level.

        Args:
            finished: the level ends here and wants no more steps.
        """

    def on_level_end(self, trainer: TrainContext) -> None:  # noqa: B027
        """Nothing more of the level is trained by this process, whatever the reason; called after errors too."""


class RunWriter(Callback):
    """Appends ticks to ``log.jsonl``, with the alarms of the collapse detector, and saves checkpoints: all state, whole
    or not at all. Old ones are removed."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.began = self.spent = 0.0
        self._retention: CheckpointRetention | None = None
        self._below: list[str] = []

    def on_level_start(self, trainer: TrainContext) -> None:
        self.spent = seconds_logged(self.run.log.path, trainer.state.index + 1)  # by earlier processes
        self.began = time.monotonic()

    def retention(self, trainer: TrainContext) -> CheckpointRetention:
        """Which checkpoints of the level in training stay."""
        level = trainer.state.index + 1
        if self._retention is None or self._retention.level != level:
            self._retention = CheckpointRetention(self.run, level)
            self._below = parent_hashes([lower.generator for lower in trainer.below])
        return self._retention

    def on_tick(self, trainer: TrainContext, scalars: Mapping[str, float]) -> None:
        state, retention = trainer.state, self.retention(trainer)
        alarms = retention.alarms(state.steps, scalars)
        line = {
            "level": state.index + 1,
            "step": state.steps,
            "clips": state.clips,
            "seconds": round(self.spent + time.monotonic() - self.began, 2),
            "scalars": dict(scalars),
        }
        self.run.log.append(line | ({"alarms": alarms} if alarms else {}))
        for alarm in alarms:
            trainer.say(retention.words(alarm))
        if alarms and trainer.experiment.reporting.collapse.stop:
            raise UserError(
                f"the collapse detector stopped training at step {state.steps}, all saved; its words stand above and "
                "in log.jsonl. --resume continues, with --reporting.collapse.stop False to its end"
            )

    def on_checkpoint(self, trainer: TrainContext, finished: bool) -> None:
        state, retention = trainer.state, self.retention(trainer)
        level = state.index + 1
        facts = {
            "level": level,
            "step": state.steps,
            "finished": finished,
            "asked": trainer.experiment.steps_of(state.index),
            "labels": list(trainer.labels),
            "below": self._below,
        }
        folder, reporting = self.run.checkpoints, trainer.experiment.reporting
        save(checkpoint_path(folder, level, state.steps), State(state.tensors(), facts))
        prune(folder, level, reporting.keep, {*retention.kept(), *reporting.keep_at})


class Previews(Callback):
    """Writes a few real clips at the start, and a grid of samples from fixed latents now and then, and at the end.

    Processes that train together share the samples' statistics."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self._has_real = False

    def looks(self, trainer: TrainContext) -> bool:
        every = trainer.experiment.reporting.samples
        return every is not None and trainer.state.steps % every == 0

    def on_step(self, trainer: TrainContext, scalars: Mapping[str, Tensor]) -> None:
        state = trainer.state
        if (
            not self._has_real and trainer.replicas.is_rank_zero
        ):  # not before: a first step may fail and leave no run
            if not trainer.experiment.levels[0].context_frames:
                write_real_clips(self.run, trainer.dataset)
            write_views(self.run, trainer.dataset)
            self._has_real = True
        shows = trainer.experiment.reporting.samples is not None
        if self.looks(trainer) or (shows and trainer.ending):
            index, generators = state.index, state.generators()
            with trainer.replicas.during("samples"):
                write_previews(
                    self.run,
                    index,
                    generators,
                    state.steps,
                    trainer.below,
                    trainer.labels,
                    trainer.dataset,
                    trainer.replicas,
                )
