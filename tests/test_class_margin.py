"""The class margin in the discriminators' update, beside the hinge."""

import pytest
import torch
from torch import Tensor

from steps import batched, level_state, micro_batches
from vidgan.models.discriminator import Head
from vidgan.nn.norm import BatchStatistics
from vidgan.presets import preset
from vidgan.run.tiny import tiny
from vidgan.spec import SpecError
from vidgan.train.step import update_discriminators

CLIPS = 4


def score(head: Head, h: Tensor, label: Tensor) -> Tensor:
    """The mean over frames of linear(h) + e(y) . h (Clark et al. 2019, A.3), a clip at a time."""
    rows = [head.score(h[b]).mean() + h[b].mean(0) @ head.embed(y) for b, y in enumerate(label)]
    return torch.stack(rows)


@pytest.mark.parametrize("only", [(), ("frames",)])
def test_an_update_of_the_discriminators_adds_the_margin_of_each(only: tuple[str, ...]) -> None:
    experiment = batched(tiny(preset("demo")), CLIPS)
    margin = experiment.training.class_margin
    assert margin is not None
    margin = margin.replace(only=only)
    experiment = experiment.replace(training=experiment.training.replace(class_margin=margin))
    state = level_state(experiment, 0)
    level = state.level
    (micro,), _ = micro_batches(state)
    before = {name: tensor.clone() for name, tensor in level.state_dict().items()}

    label = micro.real.label
    with torch.no_grad():
        fake = level.generate_fake(micro.real, micro.z, None, BatchStatistics(), None)
    loss = torch.zeros((), dtype=torch.float64)
    for name in level.discriminators:
        discriminator = level.discriminator(name)
        (real_h,) = discriminator.features([micro.real], [micro.real_draws[name]])
        (fake_h,) = discriminator.features([fake], [micro.fake_draws[name]])
        loss = loss + torch.relu(1 - score(discriminator.head, real_h, label)).mean()
        loss = loss + torch.relu(1 + score(discriminator.head, fake_h, label)).mean()
        nearness = real_h.mean(1) @ discriminator.head.embed(torch.arange(experiment.classes)).T
        short = [
            torch.relu(margin.margin - nearness[b, y] + nearness[b, other])
            for b, y in enumerate(label.tolist())
            for other in range(experiment.classes)
            if other != y
        ]
        if not only or name in only:
            loss = loss + margin.weight * torch.stack(short).mean()
    named = dict(level.discriminators.named_parameters())
    gradients = torch.autograd.grad(loss, list(named.values()))

    update_discriminators(state, [micro])
    adam, moved = experiment.training.adam, 0
    for (name, parameter), gradient in zip(named.items(), gradients, strict=True):
        old = before[f"discriminators.{name}"]
        # Kingma and Ba 2014, algorithm 1: the first step with beta1 = 0 is that of the gradient over its size.
        expected = old - adam.discriminator_rate * gradient / (gradient.abs() + adam.epsilon)
        torch.testing.assert_close(parameter.detach(), expected, rtol=0, atol=1e-7, msg=name)
        moved += int((parameter != old).any())
    assert moved > 10


def test_a_margin_for_a_discriminator_that_is_not_there_is_refused() -> None:
    experiment = preset("demo")
    margin = experiment.training.class_margin
    assert margin is not None
    with pytest.raises(SpecError, match="names crops; there are clip, frames"):
        experiment.replace(training=experiment.training.replace(class_margin=margin.replace(only=("crops",))))
