"""Models whose statistics and spectral norms are folded into constants make the videos that they made before."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from torch import nn

import runs
import vidgan
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.errors import UserError
from vidgan.models.cascade import FrozenLevel
from vidgan.nn.layers import WeightLayer
from vidgan.nn.norm import (
    BatchStatistics,
    ConditionalNormReLU,
    Context,
    GroupNormSpec,
    LearntNormReLU,
    NormReLU,
)
from vidgan.presets import preset
from vidgan.run.experiment import Experiment
from vidgan.run.tiny import tiny
from vidgan.sample.folded import FoldedModel, FoldedNormReLU, folded_generator
from vidgan.sample.model import Model
from vidgan.sample.noise import Scaled

PREDICTOR = "trivd-gan-fp-k600-16x64"
STRUCTURES = ("demo", PREDICTOR, "ssw-gan-k600-48x128", "dvd-gan-norm-all-frames")


def untrained(experiment: Experiment, folder: Path) -> Model:
    """A model with three classes; one that continues videos takes statistics of built-in clips."""
    run = runs.untrained(folder / "run", experiment, ("disc-right", "square-left", "square-grow"))
    data = SyntheticDataset(SyntheticSpec(size=32, frames=12, clips=4))
    given = data if experiment.levels[0].context_frames else None
    return vidgan.load(run.path, data=given, device="cpu")


def exact(model: Model) -> list[FrozenLevel]:
    """The levels of a model in float64."""
    return [
        level._replace(generator=copy.deepcopy(level.generator).double()) for level in model.sampler().levels
    ]


def inputs(model: Model, clips: int) -> dict[str, torch.Tensor]:
    """Classes, noise and given frames for some clips."""
    rng = torch.Generator().manual_seed(clips)
    made = {
        each.name: torch.randn((clips, *each.shape), generator=rng).clamp(-1, 1)
        for each in FoldedModel(model.sampler().levels).inputs
        if each.name != "label"
    }
    return {"label": torch.arange(clips) % model.experiment.classes, **made}


def unfolded(levels: Sequence[FrozenLevel], given: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The video of these inputs, level by level, by the generators' own layers and tables."""
    video = given.get("given")
    latents = [level.spec.generator.latent for level in levels]
    for level, z in zip(levels, given["noise"].split(latents, 1), strict=True):
        place = "given" if level.spec.context_frames else "below"
        with torch.no_grad():
            video = level.generator(
                z, given["label"], level.spec.frames, **{place: video}, statistics=level.statistics
            )
    assert video is not None
    return video


def compare(model: Model) -> None:
    """The model and its folded form make the same, in float64."""
    levels = exact(model)
    given = {k: t.double() if t.is_floating_point() else t for k, t in inputs(model, 3).items()}
    with torch.no_grad():
        folded = FoldedModel(levels)(*given.values())
    made = unfolded(levels, given)
    assert made.std() > 0.05
    torch.testing.assert_close(folded, made, rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", STRUCTURES)
def test_folding_changes_rounding_alone(name: str, tmp_path: Path) -> None:
    model = untrained(tiny(preset(name)), tmp_path)
    compare(model)


@pytest.mark.slow
def test_noise_is_that_of_samples(tmp_path: Path) -> None:
    model = untrained(tiny(preset("demo-cascade")), tmp_path)
    noise = model.noise(2, seed=5, sigma=0.5, first=1)
    with torch.no_grad():
        made = FoldedModel(model.sampler(truncation=Scaled(sigma=0.5)).levels)(torch.tensor([2, 2]), noise)
    wanted = model.sample(2, ["square-grow"], seed=5, sigma=0.5, first=1)
    torch.testing.assert_close(made, wanted, rtol=0, atol=1e-4)


def test_nothing_is_left_to_fold(tmp_path: Path) -> None:
    model = untrained(tiny(preset("demo")), tmp_path)
    before = {name: t.clone() for name, t in model.generators[0].state_dict().items()}
    (level,) = model.sampler().levels
    generator = folded_generator(level)
    assert sum(isinstance(module, FoldedNormReLU) for module in generator.modules()) > 3
    inside = {id(each.layer) for each in generator.modules() if isinstance(each, FoldedNormReLU)}
    norms = [each for each in generator.modules() if isinstance(each, NormReLU) and id(each) not in inside]
    assert norms == []
    assert not any(layer.spectral for layer in generator.modules() if isinstance(layer, WeightLayer))
    assert {".u", ".v"}.isdisjoint({name[-2:] for name in generator.state_dict()})
    assert all(torch.equal(t, before[name]) for name, t in model.generators[0].state_dict().items())


def test_a_folded_norm_equals_its_equation() -> None:
    """relu(gain (x - mean) / sqrt(variance + 1e-5) + bias), value by value in float64."""
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(2, 3, 4, 2, 2, generator=rng, dtype=torch.float64)
    condition = torch.randn(2, 5, generator=rng, dtype=torch.float64)
    mean, variance = torch.randn(3, 4, generator=rng).double(), torch.rand(3, 4, generator=rng).double()
    learnt = LearntNormReLU(4).double()
    nn.init.normal_(learnt.gain, generator=rng)
    nn.init.normal_(learnt.bias, generator=rng)
    conditional = ConditionalNormReLU(4, 5).double()
    for layer in (learnt, conditional):
        made = FoldedNormReLU(layer, mean, variance)(x, Context(condition))
        gain, bias = (each.expand(2, 3, 4) for each in layer.gain_and_bias(condition))
        for b in range(2):
            for t in range(3):
                for c in range(4):
                    own = (x[b, t, c] - mean[t, c]) / (variance[t, c] + 1e-5).sqrt()
                    wanted = (gain[b, t, c] * own + bias[b, t, c]).clamp_min(0)
                    torch.testing.assert_close(made[b, t, c], wanted, rtol=0, atol=1e-12)


def test_norms_of_a_clip_stay_and_statistics_of_a_batch_are_refused(tmp_path: Path) -> None:
    experiment = tiny(preset("demo"))
    (level,) = experiment.levels
    of_clips = level.replace(generator=level.generator.replace(norm=GroupNormSpec()))
    model = untrained(experiment.replace(levels=(of_clips,)), tmp_path)
    compare(model)
    (frozen,) = model.sampler().levels
    with pytest.raises(UserError, match="standing statistics"):
        folded_generator(FrozenLevel(frozen.spec, frozen.generator, BatchStatistics()))
