"""The exponential moving average of the generator's weights."""

import copy

import torch
from torch import Tensor, nn

from vidgan.run.experiment import AverageSpec


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
