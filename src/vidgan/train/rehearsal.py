"""A level in training on made-up clips: what the loop does in a step, without reading data."""

import torch
from torch import Tensor

from vidgan.data.loader import to_float
from vidgan.models.below import Below
from vidgan.nn.initialise import Normal
from vidgan.nn.statistics import BatchStatistics
from vidgan.run.experiment import Experiment
from vidgan.sample.settling import window_of
from vidgan.seeds import stream
from vidgan.shapes import as_video
from vidgan.train.batches import BelowSource, Randomness
from vidgan.train.level_state import LevelState
from vidgan.train.monitor import Monitor
from vidgan.train.replicas import Replicas
from vidgan.train.step import Micro, Scalars, training_step, update_critics, update_generator

ALONE = Replicas()


class Rehearsal:
    """A level whose steps can be repeated. On the meta device nothing is computed, only counted."""

    def __init__(
        self,
        experiment: Experiment,
        index: int,
        device: torch.device,
        state: LevelState | None = None,
        replicas: Replicas = ALONE,
    ) -> None:
        # Orthogonal weights would take minutes at full width, and how fast a step is does not depend on them.
        experiment = experiment.replace(training=experiment.training.replace(initial=Normal()))
        self.experiment, self.device, self.replicas = experiment, device, replicas
        self.state = state or LevelState(experiment, index, device)
        self.statistics = BatchStatistics()
        level, clips = self.state.level, experiment.training.batch.global_batch // replicas.size
        side = experiment.size
        rng = stream(0, "made-up clips")
        shape = (clips, window_of(experiment, index).frames, side, side, 3)
        self.video = torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)
        self.label = torch.arange(clips) % experiment.classes
        self.source = None
        if level.below is not None:
            self.source = noise_below(level.below, level.spec.trained_frames // level.below.factor)
        self.randomness = Randomness(experiment.training, index, level, replicas)

    def micros(self, update: int) -> list[Micro]:
        """The real clips, sent to the device, and all that is drawn for an update."""
        clip = to_float(self.video.to(self.device, non_blocking=True))
        real = self.state.level.evidence(clip, self.label.to(self.device), self.experiment.smooth_views)
        return self.randomness.micros(self.state.step, update, real, self.source, self.device)

    def step(self, monitor: Monitor | None = None) -> Scalars:
        """A whole training step, moving average included."""
        state, training = self.state, self.experiment.training
        updates = [self.micros(update) for update in range(training.critic_updates)]
        last = self.micros(training.critic_updates)
        scalars = training_step(
            state.level,
            state.optimisers,
            training,
            state.step,
            updates,
            last,
            self.statistics,
            self.replicas,
            monitor,
        )
        state.step += 1
        if state.average is not None:
            state.average.update(state.level.generator, state.step)
        return scalars

    def critics_step(self) -> Scalars:
        """One update of the critics alone."""
        state, training = self.state, self.experiment.training
        return update_critics(
            state.level,
            state.optimisers,
            training,
            self.micros(0),
            self.statistics,
            self.replicas,
        )

    def generator_step(self) -> Scalars:
        """The generator's update alone."""
        state, training = self.state, self.experiment.training
        batch = self.micros(training.critic_updates)
        return update_generator(
            state.level, state.optimisers, training, state.step, batch, self.statistics, self.replicas
        )


def noise_below(below: Below, frames: int) -> BelowSource:
    """Stands in for the levels below, whose cost is not that of this level."""

    def sample(label: Tensor, step: int, update: int, first: int) -> Tensor:
        rng = stream(0, "noise below", step, update)
        shape = (len(label), frames, 3, below.size, below.size)
        return as_video(torch.rand(shape, generator=rng).mul_(2).sub_(1).to(label.device))

    return sample
