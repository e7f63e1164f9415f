"""Training steps on made-up clips: what tests of replicas, accumulation and presets run."""

import torch
from torch import Tensor

from vidgan.models.views import DiscriminatorInput
from vidgan.nn.norm import Statistics
from vidgan.run.batch import BatchSpec
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import Experiment
from vidgan.shapes import as_video
from vidgan.train.levels_below import BelowSource
from vidgan.train.monitor import Monitor
from vidgan.train.state import TrainState
from vidgan.train.step import MicroBatch, training_step
from vidgan.train.step import micro_batches as cut

CPU = torch.device("cpu")


def batched(experiment: Experiment, clips: int, **changes: int | bool) -> Experiment:
    """``experiment`` with another batch of ``clips`` clips."""
    batch = BatchSpec(**{"global_batch": clips, "micro_batch": clips} | changes)
    return experiment.replace(training=experiment.training.replace(batch=batch))


def one_discriminator_update(experiment: Experiment) -> Experiment:
    """``experiment`` with a single discriminator update per step, for tests that need no second one."""
    return experiment.replace(training=experiment.training.replace(discriminator_updates=1))


def level_state(
    experiment: Experiment,
    index: int,
    replicas: Replicas = Replicas(),
    statistics: Statistics | None = None,
    dtype: torch.dtype = torch.float64,
) -> TrainState:
    """A level before its first step, in ``dtype``; gains of attention are opened, so that all of it takes part.

    Args:
        statistics: where normalisation gets its moments from, instead of the batch.
    """
    state = TrainState(experiment, index, CPU, replicas)
    if state.level.below is not None:
        state.below = NoiseBelow(state, dtype)
    if statistics is not None:
        state.statistics = statistics
    with torch.no_grad():
        for name, parameter in state.level.named_parameters():
            if parameter.dim() == 0 and name.endswith("gain"):
                parameter.fill_(0.5)
    state.level.to(dtype)
    if state.average is not None:
        state.average.module.to(dtype)
    return state


def real_batches(state: TrainState) -> list[DiscriminatorInput]:
    """This process's share of the real clips of each discriminator update of the next step: smooth noise and every
    class in turn."""
    spec, training = state.level.spec, state.experiment.training
    clips, updates = training.batch.global_batch, training.discriminator_updates
    dtype = next(state.level.parameters()).dtype
    found = []
    for update in range(state.steps * updates, (state.steps + 1) * updates):
        rng = torch.Generator().manual_seed(1000 + update)
        clip = torch.tanh(torch.randn((clips, spec.seen_frames, 3, spec.size, spec.size), generator=rng))
        label = torch.arange(clips) % state.experiment.classes
        found.append(share(state.level.real_input(as_video(clip.to(dtype)), label, False), state.replicas))
    return found


def share(real: DiscriminatorInput, replicas: Replicas) -> DiscriminatorInput:
    """This replica's part of a global batch."""
    below = None if real.below is None else replicas.slice(real.below)
    return DiscriminatorInput(replicas.slice(real.clip), below, replicas.slice(real.label))


def micro_batches(state: TrainState) -> list[list[MicroBatch]]:
    """The micro-batches of every update of the next step: the discriminators', then the generator's."""
    reals = real_batches(state)
    return [cut(state, real, update) for update, real in enumerate([*reals, reals[-1]])]


class NoiseBelow(BelowSource):
    """A stand-in for the levels below: noise that depends on a clip's place in the global batch alone."""

    def __init__(self, state: TrainState, dtype: torch.dtype) -> None:
        below, frames = state.level.below, state.level.spec.trained_frames
        assert below is not None
        clips = state.experiment.training.batch.global_batch
        self.shape, self.dtype = (clips, frames // below.factor, 3, below.size, below.size), dtype

    def __call__(self, label: Tensor, step: int, update: int, first: int) -> Tensor:
        rng = torch.Generator().manual_seed(10_000 + 100 * step + update)
        video = torch.tanh(torch.randn(self.shape, generator=rng))
        return as_video(video.to(self.dtype)[first : first + len(label)])


def run_step(state: TrainState, monitor: Monitor | None = None) -> dict[str, Tensor]:
    """One whole training step; its scalars."""
    return training_step(state, real_batches(state), monitor)


def gradients(state: TrainState) -> dict[str, Tensor]:
    """All gradients that a step left behind."""
    return {n: p.grad.clone() for n, p in state.level.named_parameters() if p.grad is not None}


def largest_difference(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """Of any number, relative to the largest one beside it of its tensor."""
    assert ours.keys() == theirs.keys()
    return max(float((ours[n] - theirs[n]).abs().max() / (1e-3 + theirs[n].abs().max())) for n in ours)
