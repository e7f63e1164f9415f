"""The exponential moving average of weights, and the spectral norm of what it holds."""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from vidgan.nn.layers import WeightLayer, power_iterate
from vidgan.run.experiment import AverageSpec

M = TypeVar("M", bound=nn.Module)

# Our choice: the average moves slowly, but its singular vectors were copied from other weights.
POWER_ITERATIONS = 8


class WeightAverage:
    """A copy of a module whose weights follow it; float32, before spectral normalisation."""

    def __init__(self, module: nn.Module, spec: AverageSpec) -> None:
        self.spec = spec
        self.module = copy.deepcopy(module).requires_grad_(False)

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Follow ``module`` after update number ``step``: w' = decay w' + (1 - decay) w once averaging has begun,
        with the decay of that step.

        Until then the average is the module's weights (Luc et al. 2020, E.2: initialised with their value).
        """
        ours: list[Tensor] = list(self.module.parameters())
        theirs: list[Tensor] = list(module.parameters())
        if step <= self.spec.start:
            torch._foreach_copy_(ours, theirs)
        else:
            decay = self.spec.decay_at(step - self.spec.start)
            torch._foreach_lerp_(ours, theirs, 1 - decay)


@torch.no_grad()
def refresh_spectral_norm(average: M, raw: nn.Module) -> M:
    """Bring an average's singular vectors up to date, starting from those of the raw weights."""
    for ours, theirs in zip(average.modules(), raw.modules(), strict=True):
        if isinstance(ours, WeightLayer) and ours.spectral:
            ours.get_buffer("u").copy_(theirs.get_buffer("u"))
            ours.get_buffer("v").copy_(theirs.get_buffer("v"))
    power_iterate(average, POWER_ITERATIONS)
    return average
