"""Lessons: updates of critics on real clips alone, which go before a step of a short training."""

from collections.abc import Sequence

import torch

from vidgan.models.level import Game
from vidgan.nn.layers import power_iterate
from vidgan.run.experiment import TrainingSpec
from vidgan.train.replicas import Replicas, trainable
from vidgan.train.step import Micro, Optimisers, class_loss


def give_lesson(
    level: Game, optimisers: Optimisers, spec: TrainingSpec, batch: Sequence[Micro], replicas: Replicas
) -> None:
    """One update of the pupils of ``spec.class_margin`` by its loss alone, on the real clips of ``batch``."""
    assert spec.class_margin is not None
    dtype = torch.bfloat16 if spec.bf16 else None
    pupils = {name: level.critic(name) for name in spec.class_margin.pupils}
    trainable(level.critics.values(), True)
    optimisers.critics.zero_grad(set_to_none=True)  # Adam passes over weights without gradient
    for micro in batch:
        features = {
            name: critic.features([micro.real], [micro.real_draws[name]], dtype)[0]
            for name, critic in pupils.items()
        }
        (class_loss(level, spec.class_margin, features, micro.real.label) / len(batch)).backward()
    replicas.average_gradients(level.critics)
    optimisers.critics.step()
    for critic in pupils.values():
        power_iterate(critic)
