"""A training step: the discriminators' updates, then the generator's, then its average.

Everything random is drawn for the global batch from (seed, purpose, level, step, update), sliced by process and cut
into micro-batches: neither the number of processes nor the size of a micro-batch changes what is drawn.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from vidgan.data.loader import Batch, to_float
from vidgan.models.level import AdversarialLevel
from vidgan.models.losses import ClassMarginSpec, orthogonal_penalty
from vidgan.models.views import DiscriminatorInput
from vidgan.nn.layers import held_weights, power_iterate
from vidgan.run.batch import evenly
from vidgan.run.distributed import Replicas
from vidgan.run.transfer import sent
from vidgan.seeds import stream
from vidgan.train.kernels import training_kernels
from vidgan.train.lower_videos import LowerVideos
from vidgan.train.monitor import Monitor
from vidgan.train.state import TrainState

Draws = dict[str, Tensor]
"""Each discriminator's random numbers."""

Scalars = dict[str, Tensor]
"""Numbers to log, still on the device."""


class MicroBatch(NamedTuple):
    """What one forward and backward pass works on: a micro-batch and all that was drawn for it."""

    real: DiscriminatorInput
    z: Tensor
    """(B, latent)"""
    label: Tensor
    """classes of the fake clips (B,): those of the real ones, unless their lower videos were made for others"""
    below: Callable[[], Tensor | None]
    """gives the lower level's video (B T' 3 h w) for the fake clips"""
    real_draws: Draws
    fake_draws: Draws

    @property
    def like(self) -> DiscriminatorInput:
        """What fakes are the counterparts of: the real clips, with the fakes' classes."""
        return self.real._replace(label=self.label)


@training_kernels()
def training_step(
    state: TrainState, reals: Iterable[DiscriminatorInput], monitor: Monitor | None = None
) -> Scalars:
    """All updates of one step. Nothing in it waits for the device.

    Args:
        reals: the real clips of each discriminator update, this process's share of them.
        monitor: measures the step.
    """
    scalars: Scalars = {}
    lower = None if state.below is None else LowerVideos.of_step(state, state.below)
    state.set_rates()
    with held_weights(*state.lower_generators):
        with held_weights(state.level.generator):
            for update, real in enumerate(reals):
                scalars |= update_discriminators(state, micro_batches(state, real, update, lower), monitor)
        # Our choice: all fakes take labels (and conditioning frames) of real clips, the discriminators' of the batch
        # that they are set against, the generator's of the last one: so they are as frequent as in the data.
        with held_weights(state.level.discriminators):
            scalars |= update_generator(state, micro_batches(state, real, update + 1, lower), monitor)
    state.steps += 1
    if state.average is not None:
        state.average.update(state.level.generator, state.steps)
    return scalars


def update_discriminators(
    state: TrainState, batch: Sequence[MicroBatch], monitor: Monitor | None = None
) -> Scalars:
    """min over D of E[relu(1 - D(x))] + E[relu(1 + D(G(z)))] (Clark et al. 2019, 2.2), for all discriminators."""
    level, spec = state.level, state.experiment.training
    level.discriminators.requires_grad_(True)
    state.optimisers.discriminators.zero_grad(set_to_none=True)
    logged: list[Scalars] = []
    clips = state.batch.global_batch
    for micro in batch:
        with torch.no_grad():
            fake = level.generate_fake(micro.like, micro.z, micro.below(), state.statistics, state.dtype)
        seen = level.features([micro.real, fake], [micro.real_draws, micro.fake_draws], state.dtype)
        on_real, on_fake = (
            level.score(h, each.label) for h, each in zip(seen, (micro.real, fake), strict=True)
        )
        loss = level.spec.objective.discriminator_loss(on_real, on_fake)
        scalars = {"loss/discriminators": loss} | discriminator_scalars(level, on_real, on_fake)
        if spec.class_margin is not None:
            short = class_loss(level, spec.class_margin, seen[0], micro.real.label)
            loss, scalars["loss/class_margin"] = loss + spec.class_margin.weight * short, short
        state.gradients.discriminators.backward(loss * (len(micro.z) / clips), last=micro is batch[-1])
        logged.append(scalars)
        if monitor is not None:
            monitor.discriminators(level, micro.real, fake, on_real, on_fake)
    if monitor is not None:
        monitor.gradients(dict(level.discriminators.items()))
    state.optimisers.discriminators.step()
    power_iterate(level.discriminators, remember=True)
    return mean_scalars(logged, [len(micro.z) for micro in batch])


def update_generator(
    state: TrainState, batch: Sequence[MicroBatch], monitor: Monitor | None = None
) -> Scalars:
    """max over G of E[D(G(z))] (Clark et al. 2019, 2.2); the discriminators stand still."""
    level, spec = state.level, state.experiment.training
    level.discriminators.requires_grad_(False)
    state.optimisers.generator.zero_grad(set_to_none=True)
    logged: list[Scalars] = []
    clips = state.batch.global_batch
    if spec.orthogonal_penalty:
        penalty = spec.orthogonal_penalty * orthogonal_penalty(level.generator)
        own = sum(len(micro.z) for micro in batch)
        state.gradients.generator.backward(penalty * (own / clips), last=False)
    for micro in batch:
        real = micro.like
        if spec.variety is not None:
            real = real.rows(spec.variety.rows(len(micro.z), micro.z.device))
        fake = level.generate_fake(real, micro.z, micro.below(), state.statistics, state.dtype)
        (on_fake,) = level.discriminate([fake], [micro.fake_draws], state.dtype)
        loss = level.spec.objective.generator_loss(on_fake)
        scalars = {"loss/generator": loss}
        if spec.pixel_loss is not None and state.steps >= spec.pixel_loss.start:
            pixels = spec.pixel_loss.loss(real.clip, fake.clip)  # Du 2020, Eq. 4.1
            loss, scalars["loss/pixels"] = loss + pixels, pixels
        if spec.variety is not None:
            nearest = spec.variety.loss(real.clip, fake.clip)
            loss, scalars["loss/variety"] = loss + nearest, nearest
        state.gradients.generator.backward(loss * (len(micro.z) / clips), last=micro is batch[-1])
        logged.append(scalars)
    if monitor is not None:
        monitor.gradients({"generator": level.generator})
    state.optimisers.generator.step()
    power_iterate(level.generator, remember=True)
    return mean_scalars(logged, [len(micro.z) for micro in batch])


def class_loss(
    level: AdversarialLevel, margin: ClassMarginSpec, features: Mapping[str, Tensor], label: Tensor
) -> Tensor:
    """Sum over the discriminators that learn it of the class margin's loss on real clips."""
    losses = [
        margin.loss(level.discriminator(name).head, h, label)
        for name, h in features.items()
        if not margin.only or name in margin.only
    ]
    if not losses:  # where levels have different ones
        return label.new_zeros((), dtype=torch.float32)
    return torch.stack(losses).sum()


def discriminator_scalars(
    level: AdversarialLevel, on_real: Sequence[Tensor], on_fake: Sequence[Tensor]
) -> Scalars:
    """What enters the hinge of each discriminator, in the mean over real and over fake clips."""
    table = {}
    by_discriminator = level.spec.objective.by_discriminator
    for name, real, fake in zip(
        level.discriminators, by_discriminator(on_real), by_discriminator(on_fake), strict=True
    ):
        table[f"discriminator/{name}/real"] = real.detach().mean()
        table[f"discriminator/{name}/fake"] = fake.detach().mean()
    return table


def mean_scalars(logged: Sequence[Scalars], clips: Sequence[int]) -> Scalars:
    """Means over micro-batches of so many clips."""
    return {
        name: torch.stack(
            [n * scalars[name].detach() for n, scalars in zip(clips, logged, strict=True)]
        ).sum()
        / sum(clips)
        for name in logged[0]
    }


def real_input(state: TrainState, batch: Batch) -> DiscriminatorInput:
    """Real clips and their labels on the device, as the level's discriminators see them."""
    clip = to_float(batch.video.to(state.device, non_blocking=True))  # which the loader has pinned
    label = batch.label if state.experiment.conditional else torch.zeros_like(batch.label)
    (label,) = sent([label], state.device)
    return state.level.real_input(clip, label, state.experiment.smooth_views)


def micro_batches(
    state: TrainState, real: DiscriminatorInput, update: int, lower: LowerVideos | None = None
) -> list[MicroBatch]:
    """The micro-batches of update number ``update`` of the next step; the generator's comes after the discriminators'.

    Args:
        real: this process's share of the real clips.
        lower: the lower videos of the step, some of which may be there from the update before; None: new ones.
    """
    level, replicas, spec = state.level, state.replicas, state.experiment.training
    clips, passes = state.batch.global_batch, state.batch.passes(replicas.size, replicas.rank)

    def random(purpose: str) -> torch.Generator:
        return stream(spec.seed, purpose, state.index, state.steps, update)

    def draws(purpose: str) -> Draws:
        return {name: replicas.slice(draw) for name, draw in level.draws(clips, random(purpose)).items()}

    z = replicas.slice(torch.randn((clips, level.latent), generator=random("noise"))).to(real.clip.dtype)
    of_real, of_fake = draws("views of real"), draws("views of fake")
    places = replicas.slice(level.places(clips, random("places")))
    z, places, *others = sent([z, places, *of_real.values(), *of_fake.values()], state.device)
    of_real, of_fake = (
        dict(zip(of_real, others, strict=False)),
        dict(zip(of_fake, others[len(of_real) :], strict=True)),
    )
    real = level.at(real, places)
    if lower is None and state.below is not None:
        lower = LowerVideos(state.below, state.steps, update + 1)
    label = real.label if lower is None else lower.labels(update, real.label)
    cut = []
    for part in passes:
        rows = slice(part.start - passes[0].start, part.stop - passes[0].start)
        below = no_video if lower is None else partial(lower.video, update, part.start, label[rows])
        drawn = ({name: draw[rows] for name, draw in table.items()} for table in (of_real, of_fake))
        cut.append(MicroBatch(real.rows(rows), z[rows], label[rows], below, *drawn))
    return cut


def no_video() -> None:
    """There is no level below the first."""


def data_indices(clips: int, replicas: Replicas, first: int) -> Iterator[Sequence[int]]:
    """Indices into the endless stream of items for every batch of ``clips`` clips from number ``first`` on, this
    process's share."""
    own = evenly(clips, replicas.size)[replicas.rank]
    for batch in itertools.count(first):
        yield range(batch * clips + own.start, batch * clips + own.stop)
