"""The variety loss against a loop over clips, and whose futures a generator's update compares."""

import pytest
import torch
from torch import Tensor

import catalog
import steps
from vidgan.models.level import Level
from vidgan.models.losses import VarietySpec
from vidgan.models.views import DiscriminatorInput
from vidgan.nn.norm import BatchStatistics
from vidgan.run.experiment import Experiment
from vidgan.spec import SpecError
from vidgan.train.step import update_generator

F64 = torch.float64


def clips(count: int, seed: int) -> Tensor:
    return torch.rand((count, 2, 3, 2, 4), generator=torch.Generator().manual_seed(seed), dtype=F64) * 2 - 1


def test_the_nearest_of_each_clips_futures_counts() -> None:
    """Of six fakes with four futures each, the first four continue one real clip and the last two another."""
    variety = VarietySpec(weight=3.0, futures=4)
    assert variety.rows(6).tolist() == [0, 0, 0, 0, 4, 4]
    real, fake = clips(6, 0)[[0, 0, 0, 0, 4, 4]], clips(6, 1)
    differences = [
        sum(abs(a - b) for a, b in zip(x.flatten().tolist(), made.flatten().tolist(), strict=True))
        / x.numel()
        for x, made in zip(real, fake, strict=True)
    ]
    expected = 3.0 * (min(differences[:4]) + min(differences[4:])) / 2
    assert variety.loss(real, fake).item() == pytest.approx(expected, rel=1e-12)


def test_other_futures_are_left_alone() -> None:
    real, fake = clips(1, 0).expand(3, -1, -1, -1, -1), clips(3, 1).requires_grad_()
    nearest = int((real - fake).abs().mean((1, 2, 3, 4)).argmin())
    VarietySpec(weight=1.0, futures=3).loss(real, fake).backward()
    assert fake.grad is not None
    assert [bool(g.any()) for g in fake.grad] == [i == nearest for i in range(3)]


def with_variety(name: str, variety: VarietySpec) -> Experiment:
    experiment = steps.batched(catalog.experiments()[name], 4)
    return experiment.replace(training=experiment.training.replace(variety=variety))


@pytest.mark.parametrize("name", ["dvd-gan-fp-bair-16x64", "demo"])
def test_an_update_continues_each_clip_several_times(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator is given the same frames or class with different noise; its own part of the loss stays."""
    given: list[DiscriminatorInput] = []
    generate_fake = Level.generate_fake

    def recorded(level: Level, real: DiscriminatorInput, *rest: object) -> DiscriminatorInput:
        given.append(real)
        return generate_fake(level, real, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Level, "generate_fake", recorded)
    experiment = with_variety(name, VarietySpec(weight=2.0, futures=2))
    state = steps.level_state(experiment, 0)
    (micro,) = batch = steps.micro_batches(state)[-1]
    scalars = update_generator(state, batch)
    (seen,) = given
    assert torch.equal(seen.clip, micro.real.clip[[0, 0, 2, 2]])
    assert torch.equal(seen.label, micro.real.label[[0, 0, 2, 2]])
    assert scalars["loss/variety"] > 0


def test_an_update_adds_it_to_the_discriminators_part() -> None:
    """The gradients are those of both losses, added up clip by clip."""
    experiment = with_variety("demo", VarietySpec(weight=2.0, futures=2))
    state = steps.level_state(experiment, 0)
    level = state.level
    (micro,) = batch = steps.micro_batches(state)[-1]
    real = micro.real.rows(torch.tensor([0, 0, 2, 2]))
    fake = level.generate_fake(real, micro.z, None, BatchStatistics())
    apart = [(x - made).abs().mean() for x, made in zip(real.clip, fake.clip, strict=True)]
    variety = 2.0 * (torch.minimum(apart[0], apart[1]) + torch.minimum(apart[2], apart[3])) / 2
    scores = []
    for name in level.discriminators:
        discriminator = level.discriminator(name)
        (h,) = discriminator.features([fake], [micro.fake_draws[name]])
        scores.append(
            discriminator.head(h, real.label).mean(-1)
        )  # the demo's objective takes means over frames
    loss = variety - sum((score.mean() for score in scores), torch.zeros((), dtype=F64))
    named = dict(level.generator.named_parameters())
    expected = torch.autograd.grad(loss, list(named.values()))
    scalars = update_generator(state, batch)
    assert scalars["loss/variety"].item() == pytest.approx(variety.item(), rel=1e-9)
    for (name, parameter), gradient in zip(named.items(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-7, atol=1e-10, msg=name)


def test_numbers_out_of_range_are_refused() -> None:
    for bad in ({"weight": 0.0}, {"weight": 1.0, "futures": 0}):
        with pytest.raises(SpecError):
            VarietySpec(**bad)  # type: ignore[arg-type]
