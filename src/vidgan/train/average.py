"""The exponential moving average of the generator's weights."""

import copy

import torch
from torch import nn

from vidgan.nn.layers import WeightLayer, power_iterate
from vidgan.run.experiment import AverageSpec

# Our choice: the average moves slowly, but its singular vectors were copied from other weights.
POWER_ITERATIONS = 8


class WeightAverage:
    """A copy of a module whose weights follow it; float32, before spectral normalisation."""

    def __init__(self, module: nn.Module, spec: AverageSpec) -> None:
        self.spec = spec
        self.module = copy.deepcopy(module).requires_grad_(False)

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Follow ``module`` after update number ``step``: w' = decay w' + (1 - decay) w once averaging has begun.

        Until then the average is the module's weights (Luc et al. 2020, E.2: initialised with their value).
        """
        ours, theirs = list(self.module.parameters()), list(module.parameters())
        if step <= self.spec.start:
            torch._foreach_copy_(ours, theirs)
        else:
            torch._foreach_lerp_(ours, theirs, 1 - self.spec.decay)

    @torch.no_grad()
    def publish(self, module: nn.Module) -> nn.Module:
        """The average, its singular vectors brought up to date starting from those of ``module``."""
        for ours, theirs in zip(self.module.modules(), module.modules(), strict=True):
            if isinstance(ours, WeightLayer) and ours.spectral:
                ours.get_buffer("u").copy_(theirs.get_buffer("u"))
                ours.get_buffer("v").copy_(theirs.get_buffer("v"))
        power_iterate(self.module, POWER_ITERATIONS)
        return self.module
