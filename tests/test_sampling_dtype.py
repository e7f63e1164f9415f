"""What a model that was trained in bfloat16 is sampled in."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

import catalog
import vidgan
from vidgan.run.data import open_data
from vidgan.sample.model import Model
from vidgan.sample.standing import GivenFrames


def model_of(name: str, bf16: bool) -> Model:
    """An untrained model of a tiny preset."""
    experiment = catalog.experiments()[name]
    experiment = experiment.replace(training=experiment.training.replace(bf16=bf16))
    dataset = open_data("synthetic", experiment)
    experiment = experiment.for_classes(len(dataset.classes))
    names = dataset.classes if experiment.conditional else ("all",)
    generators = [vidgan.build(experiment, level=level)[0] for level in range(len(experiment.levels))]
    return Model(experiment, generators, names, 0, [1] * len(names), GivenFrames.of(dataset))


@contextmanager
def inputs_of_last_layers(model: Model) -> Iterator[set[torch.dtype]]:
    """The dtypes in which networks come to their pixels."""
    found: set[torch.dtype] = set()

    def note(layer: torch.nn.Module, given: tuple[Tensor, ...]) -> None:
        found.add(given[0].dtype)

    hooks = [generator.to_pixels.register_forward_pre_hook(note) for generator in model.generators]
    yield found
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("name", ["demo", "demo-cascade", "demo-prediction"])
def test_samples_are_computed_in_the_dtype_of_training(name: str) -> None:
    model, videos = model_of(name, bf16=True), []
    level = model.experiment.levels[0]
    rng = torch.Generator().manual_seed(0)
    given = torch.rand((level.context_frames, 3, level.size, level.size), generator=rng) * 2 - 1
    for expected, dtype in ((torch.bfloat16, model.dtype), (torch.float32, None)):
        model.dtype = dtype
        model.sampler()  # its statistics are taken in the dtype of training
        with inputs_of_last_layers(model) as found:
            made = model.predict(given) if level.context_frames else model.sample(2)
            if len(model.experiment.levels) > 1:
                model.levels(1)
                list(model.sampler().stream(0, 0, 0, 4))
        videos.append(made)
        assert found == {expected}
        assert videos[-1].dtype == torch.float32
    assert not torch.equal(*videos)
    assert (videos[0] - videos[1]).abs().mean() < 0.02  # of pixels in [-1, 1]; a few differ by more


def test_a_model_trained_in_float32_is_sampled_in_it() -> None:
    model = model_of("demo", bf16=False)
    model.sampler()
    with inputs_of_last_layers(model) as found:
        model.sample(1)
    assert found == {torch.float32}
