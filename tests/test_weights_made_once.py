"""Weights that no update changes are normalised, folded and cast once, however many passes compute with them."""

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import steps
from test_lower_videos import state_of
from vidgan.nn.layers import WeightLayer


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
