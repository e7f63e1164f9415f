"""Training steps on made-up clips: what tests of replicas, accumulation and presets run."""

from collections.abc import Callable

import torch
from torch import Tensor

from vidgan.models.level import AdversarialLevel
from vidgan.models.views import DiscriminatorInput
from vidgan.nn.norm import BatchStatistics, Statistics
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import BatchSpec, Experiment
from vidgan.shapes import as_video
from vidgan.train.trainer import LevelState, MicroBatch, Randomness, training_step

CPU = torch.device("cpu")


def batched(experiment: Experiment, clips: int, **changes: int | bool) -> Experiment:
    """``experiment`` with another batch of ``clips`` clips."""
    batch = BatchSpec(**{"global_batch": clips, "micro_batch": clips} | changes)
    return experiment.replace(training=experiment.training.replace(batch=batch))


def one_discriminator_update(experiment: Experiment) -> Experiment:
    """``experiment`` with a single discriminator update per step, for tests that need no second one."""
    return experiment.replace(training=experiment.training.replace(discriminator_updates=1))


def level_state(experiment: Experiment, index: int, dtype: torch.dtype = torch.float64) -> LevelState:
    """A level before its first step, in ``dtype``; gains of attention are opened, so that all of it takes part."""
    state = LevelState(experiment, index, CPU)
    with torch.no_grad():
        for name, parameter in state.level.named_parameters():
            if parameter.dim() == 0 and name.endswith("gain"):
                parameter.fill_(0.5)
    state.level.to(dtype)
    if state.average is not None:
        state.average.module.to(dtype)
    return state


def real_batch(
    experiment: Experiment, state: LevelState, update: int, dtype: torch.dtype
) -> DiscriminatorInput:
    """The global batch of one update: smooth noise and every class in turn."""
    spec, clips = state.level.spec, experiment.training.batch.global_batch
    rng = torch.Generator().manual_seed(1000 + update)
    clip = torch.tanh(torch.randn((clips, spec.seen_frames, 3, spec.size, spec.size), generator=rng))
    return state.level.real_input(as_video(clip.to(dtype)), torch.arange(clips) % experiment.classes, False)


def share(real: DiscriminatorInput, replicas: Replicas) -> DiscriminatorInput:
    """This replica's part of a global batch."""
    below = None if real.below is None else replicas.slice(real.below)
    return DiscriminatorInput(replicas.slice(real.clip), below, replicas.slice(real.label))


def micro_batches(
    experiment: Experiment, state: LevelState, step: int, replicas: Replicas, dtype: torch.dtype
) -> list[list[MicroBatch]]:
    """The micro-batches of every update of a step: the discriminators', then the generator's, as the loop puts them."""
    randomness = Randomness(experiment.training, state.index, state.level, replicas)
    updates = experiment.training.discriminator_updates
    reals = [
        share(real_batch(experiment, state, step * updates + n, dtype), replicas) for n in range(updates)
    ]
    source = None if state.level.below is None else below_source(experiment, state.level, dtype)
    return [
        [
            micro._replace(z=micro.z.to(dtype))
            for micro in randomness.micro_batches(step, n, real, source, CPU)
        ]
        for n, real in enumerate([*reals, reals[-1]])
    ]


def below_source(
    experiment: Experiment, level: AdversarialLevel, dtype: torch.dtype
) -> Callable[[Tensor, int, int, int], Tensor]:
    """A stand-in for the levels below: noise that depends on a clip's place in the global batch alone."""
    assert level.below is not None
    below, frames = level.below, level.spec.trained_frames // level.below.factor
    clips = experiment.training.batch.global_batch

    def sample(label: Tensor, step: int, update: int, first: int) -> Tensor:
        rng = torch.Generator().manual_seed(10_000 + 100 * step + update)
        video = torch.tanh(torch.randn((clips, frames, 3, below.size, below.size), generator=rng))
        return as_video(video.to(dtype)[first : first + len(label)])

    return sample


def run_step(
    experiment: Experiment,
    state: LevelState,
    replicas: Replicas = Replicas(),
    statistics: Statistics | None = None,
    dtype: torch.dtype = torch.float64,
) -> dict[str, Tensor]:
    """One whole training step; its scalars."""
    batches = micro_batches(experiment, state, state.step, replicas, dtype)
    statistics = statistics or BatchStatistics(replicas.group)
    scalars = training_step(
        state.level,
        state.optimisers,
        experiment.training,
        state.step,
        batches[:-1],
        batches[-1],
        statistics,
        replicas,
    )
    state.step += 1
    if state.average is not None:
        state.average.update(state.level.generator, state.step)
    return scalars


def gradients(state: LevelState) -> dict[str, Tensor]:
    """All gradients that a step left behind."""
    return {n: p.grad.clone() for n, p in state.level.named_parameters() if p.grad is not None}
