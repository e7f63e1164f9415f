"""One training step: the critics' updates, then the generator's; it reads like the papers' equations."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vidgan.models.class_margin import ClassMargin
from vidgan.models.level import Game
from vidgan.models.views import Evidence
from vidgan.nn.layers import power_iterate
from vidgan.nn.statistics import Statistics
from vidgan.run.experiment import TrainingSpec
from vidgan.train.monitor import Monitor
from vidgan.train.penalty import orthogonal_penalty
from vidgan.train.replicas import Replicas, trainable

Draws = dict[str, Tensor]
"""Each critic's random numbers."""


class Micro(NamedTuple):
    """What one forward and backward pass works on: a micro-batch and all that was drawn for it."""

    real: Evidence
    z: Tensor
    """(B, latent)"""
    below: Callable[[], Tensor | None]
    """makes the lower level's video (B T' 3 h w) for the fake clips"""
    real_draws: Draws
    fake_draws: Draws


class Optimisers(NamedTuple):
    """Adam for each side."""

    generator: torch.optim.Optimizer
    critics: torch.optim.Optimizer


Scalars = dict[str, Tensor]
"""Numbers to log, still on the device."""


def training_step(
    level: Game,
    optimisers: Optimisers,
    spec: TrainingSpec,
    step: int,
    critic_batches: Sequence[Sequence[Micro]],
    generator_batch: Sequence[Micro],
    statistics: Statistics,
    replicas: Replicas,
    monitor: Monitor | None = None,
) -> Scalars:
    """All updates of one step.

    Args:
        step: updates of the generator before this one.
        critic_batches: the micro-batches of each critic update.
        generator_batch: the micro-batches of the generator's update.
        statistics: batch statistics over this replica's group.
        monitor: looks on, where the step is watched.
    """
    scalars: Scalars = {}
    for batch in critic_batches:
        scalars |= update_critics(level, optimisers, spec, batch, statistics, replicas, monitor)
    return scalars | update_generator(
        level, optimisers, spec, step, generator_batch, statistics, replicas, monitor
    )


def update_critics(
    level: Game,
    optimisers: Optimisers,
    spec: TrainingSpec,
    batch: Sequence[Micro],
    statistics: Statistics,
    replicas: Replicas,
    monitor: Monitor | None = None,
) -> Scalars:
    """min over D of E[relu(1 - D(x))] + E[relu(1 + D(G(z)))] (Clark et al. 2019, 2.2), for all critics."""
    dtype = torch.bfloat16 if spec.bf16 else None
    trainable(level.critics.values(), True)
    optimisers.critics.zero_grad(set_to_none=True)
    logged: list[Scalars] = []
    for micro in batch:
        with torch.no_grad():
            fake = level.imitate(micro.real, micro.z, micro.below(), statistics, dtype)
        seen = level.features([micro.real, fake], [micro.real_draws, micro.fake_draws], dtype)
        on_real, on_fake = (level.score(h, micro.real.label) for h in seen)
        loss = level.spec.objective.critic_loss(on_real, on_fake)
        scalars = {"loss/critics": loss} | critic_scalars(level, on_real, on_fake)
        if spec.class_margin is not None:
            short = class_loss(level, spec.class_margin, seen[0], micro.real.label)
            loss, scalars["loss/class_margin"] = loss + spec.class_margin.weight * short, short
        (loss / len(batch)).backward()
        logged.append(scalars)
        if monitor is not None:
            monitor.critics(level, micro.real, fake, on_real, on_fake)
    replicas.average_gradients(level.critics)
    if monitor is not None:
        monitor.gradients(dict(level.critics.items()))
    optimisers.critics.step()
    power_iterate(level.critics)
    return mean_scalars(logged)


def update_generator(
    level: Game,
    optimisers: Optimisers,
    spec: TrainingSpec,
    step: int,
    batch: Sequence[Micro],
    statistics: Statistics,
    replicas: Replicas,
    monitor: Monitor | None = None,
) -> Scalars:
    """max over G of E[D(G(z))] (Clark et al. 2019, 2.2); the critics stand still."""
    dtype = torch.bfloat16 if spec.bf16 else None
    trainable(level.critics.values(), False)
    optimisers.generator.zero_grad(set_to_none=True)
    logged: list[Scalars] = []
    for micro in batch:
        real = micro.real if spec.variety is None else micro.real.rows(spec.variety.rows(len(micro.z)))
        fake = level.imitate(real, micro.z, micro.below(), statistics, dtype)
        (on_fake,) = level.judge([fake], [micro.fake_draws], dtype)
        loss = level.spec.objective.generator_loss(on_fake)
        scalars = {"loss/generator": loss}
        if spec.pixel_loss is not None and step >= spec.pixel_loss.start:
            pixels = spec.pixel_loss.loss(real.clip, fake.clip)  # Du 2020, Eq. 4.1
            loss, scalars["loss/pixels"] = loss + pixels, pixels
        if spec.variety is not None:
            nearest = spec.variety.loss(real.clip, fake.clip)
            loss, scalars["loss/variety"] = loss + nearest, nearest
        (loss / len(batch)).backward()
        logged.append(scalars)
    if spec.orthogonal_penalty:
        penalty = orthogonal_penalty(level.generator)
        (spec.orthogonal_penalty * penalty).backward()
    replicas.average_gradients(level.generator)
    if monitor is not None:
        monitor.gradients({"generator": level.generator})
    optimisers.generator.step()
    power_iterate(level.generator)
    return mean_scalars(logged)


def class_loss(level: Game, margin: ClassMargin, features: Mapping[str, Tensor], label: Tensor) -> Tensor:
    """Sum over critics of the class margin's loss on real clips."""
    losses = [margin.loss(level.critic(name).head, h, label) for name, h in features.items()]
    return torch.stack(losses).sum()


def critic_scalars(level: Game, on_real: Sequence[Tensor], on_fake: Sequence[Tensor]) -> Scalars:
    """What enters the hinge of each critic, in the mean over real and over fake clips."""
    table = {}
    by_critic = level.spec.objective.by_critic
    for name, real, fake in zip(level.critics, by_critic(on_real), by_critic(on_fake), strict=True):
        table[f"critic/{name}/real"] = real.detach().mean()
        table[f"critic/{name}/fake"] = fake.detach().mean()
    return table


def mean_scalars(logged: Sequence[Scalars]) -> Scalars:
    """Means over micro-batches."""
    return {name: torch.stack([scalars[name].detach() for scalars in logged]).mean() for name in logged[0]}
