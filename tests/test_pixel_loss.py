"""The pixel loss of Du 2020, 4.5, against loops over pixels, and where it enters the generator's loss."""

import pytest
import torch
from torch import Tensor

import catalog
import steps
from vidgan.models.losses import PixelLossSpec
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import Experiment
from vidgan.spec import SpecError
from vidgan.train.loop import Meter
from vidgan.train.step import update_generator

F64 = torch.float64


def clips(seed: int) -> Tensor:
    return torch.rand((2, 3, 3, 2, 4), generator=torch.Generator().manual_seed(seed), dtype=F64) * 2 - 1


def test_the_formula_is_over_pixels() -> None:
    """alpha / n * sum over t, h, w, c of |x - G(z)|, the mean over clips (Du 2020, Eq. 4.1)."""
    real, fake = clips(0), clips(1)
    total = 0.0
    for x, made in zip(real, fake, strict=True):
        differences = [abs(a - b) for a, b in zip(x.flatten().tolist(), made.flatten().tolist(), strict=True)]
        total += 0.5 * sum(differences) / len(differences) / len(real)
    assert PixelLossSpec(weight=0.5).loss(real, fake).item() == pytest.approx(total, rel=1e-12)


def test_by_its_name_it_compares_mean_pixel_values() -> None:
    real, fake = clips(0), clips(1)
    means = [sum(x.flatten().tolist()) / x.numel() for x in (real, fake)]
    loss = PixelLossSpec(weight=2.0, of_means=True)
    assert loss.loss(real, fake).item() == pytest.approx(2 * abs(means[0] - means[1]), rel=1e-12)
    # Clips may change places, and pixels too.
    assert loss.loss(real, real.flip(0)).item() == pytest.approx(0, abs=1e-12)
    assert PixelLossSpec(weight=2.0).loss(real, real.flip(0)).item() > 0.1


@pytest.mark.parametrize("of_means", [False, True])
def test_it_brightens_what_is_too_dark(of_means: bool) -> None:
    fake = (clips(1) * 0.1 - 0.9).requires_grad_()
    PixelLossSpec(weight=1.0, of_means=of_means).loss(torch.full_like(fake, 0.2), fake).backward()
    assert fake.grad is not None
    assert (fake.grad < 0).all()


def losing(experiment: Experiment, loss: PixelLossSpec | None) -> Experiment:
    return experiment.replace(training=experiment.training.replace(pixel_loss=loss))


def gradients(loss: PixelLossSpec | None, step: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The generator's gradients and the scalars of an update from the same start."""
    experiment = losing(catalog.experiments()["guide-original"], loss)
    state = steps.level_state(experiment, 0)
    batch = steps.micro_batches(state)[-1]
    state.steps = step
    scalars = update_generator(state, batch)
    found = {name: p.grad for name, p in state.level.generator.named_parameters() if p.grad is not None}
    return found, scalars


@pytest.mark.slow
def test_it_is_added_to_the_generators_loss_from_its_step_on() -> None:
    """The discriminators' part stays; gradients differ by the weight's share of the pixel loss, and not
    before ``start``."""
    plain, without = gradients(None, 5)
    assert "loss/pixels" not in without
    early, before = gradients(PixelLossSpec(weight=1.0, start=6), 5)
    assert before.keys() == without.keys()
    assert all(torch.equal(early[name], plain[name]) for name in plain)
    once, scalars = gradients(PixelLossSpec(weight=1.0, start=5), 5)
    twice, more = gradients(PixelLossSpec(weight=2.0, start=5), 5)
    assert more["loss/pixels"].item() == pytest.approx(2 * scalars["loss/pixels"].item(), rel=1e-9)
    assert scalars["loss/generator"].item() == pytest.approx(without["loss/generator"].item(), rel=1e-9)
    name = "to_pixels.bias"
    share = once[name] - plain[name]
    assert share.abs().max() > 1e-4
    torch.testing.assert_close(twice[name], plain[name] + 2 * share)


@pytest.mark.parametrize(
    ("values", "said"), [({"weight": 0.0}, "None leaves"), ({"weight": 1.0, "start": -1}, "start")]
)
def test_wrong_values_are_refused(values: dict[str, float], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        PixelLossSpec(**values)  # type: ignore[arg-type]


def test_a_loss_that_begins_between_two_ticks_is_the_mean_of_the_steps_that_had_it() -> None:
    meter = Meter()
    meter.add({"loss/generator": torch.tensor(1.0)})
    meter.add({"loss/generator": torch.tensor(2.0), "loss/pixels": torch.tensor(4.0)})
    assert meter.take(Replicas(), 1) == {"loss/generator": 1.5, "loss/pixels": 4.0}
    assert meter.take(Replicas(), 1) == {}
