"""Weights that no update changes are normalised, folded and cast once, however many passes compute with them."""

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import steps
from cascades import frozen_level
from test_lower_videos import cascade, state_of
from vidgan.nn.layers import WeightLayer
from vidgan.sample.sampler import Sampler


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How often each layer has computed a weight, by its identity; those that are folded in two ways count twice."""
    counts, compute = Counter[int](), WeightLayer._compute_weight

    def counted(self: WeightLayer, dtype: torch.dtype, fold: Callable[[Tensor], Tensor] | None) -> Tensor:
        counts[id(self)] += 1
        return compute(self, dtype, fold)

    monkeypatch.setattr(WeightLayer, "_compute_weight", counted)
    return counts


def test_frozen_levels_make_theirs_once_in_a_step(made: Counter[int]) -> None:
    state = state_of(1)
    layers = [
        layer
        for generator in state.lower_generators
        for layer in generator.modules()
        if isinstance(layer, WeightLayer)
    ]
    steps.run_step(state)
    assert len(layers) > 5
    assert {made[id(layer)] for layer in layers} == {1}
    steps.run_step(state)
    assert {made[id(layer)] for layer in layers} == {2}


@pytest.mark.parametrize("passes", [1, 3])
def test_samples_make_them_once_for_all_passes(passes: int, made: Counter[int]) -> None:
    level = frozen_level(cascade(1).levels, 0)
    sampler, whole = Sampler([level], 2), Sampler([level], 2 * passes)
    clips, labels = range(2 * passes), [0] * (2 * passes)
    videos = sampler.sample(clips, labels, 3)
    assert set(made.values()) == {1}
    torch.testing.assert_close(videos, whole.sample(clips, labels, 3))
    assert set(made.values()) == {2}, "nothing is held when the passes are done"
