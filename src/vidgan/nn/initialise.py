"""Initial weights: orthogonal (Clark et al. 2019, A.3) or Gaussian (Du 2020, 4.2)."""

import torch
from torch import Tensor, nn

from vidgan.nn.layers import WeightLayer, power_iterate
from vidgan.spec import Spec, require

# Our choice: enough for u and v to settle on a fresh weight, so that sigma is right from the first step.
FIRST_POWER_ITERATIONS = 8


class Orthogonal(Spec):
    """Every weight, flattened to (out, rest), has orthonormal rows or columns; biases are zero."""

    def fill(self, weight: Tensor, rng: torch.Generator) -> None:
        nn.init.orthogonal_(weight, generator=rng)


class Normal(Spec):
    """Every weight is drawn from N(0, deviation^2); biases are zero."""

    deviation: float = 0.02
    """standard deviation of the initial weights"""

    def validate(self) -> None:
        require(self.deviation > 0, f"deviation must be positive, got {self.deviation}")

    def fill(self, weight: Tensor, rng: torch.Generator) -> None:
        nn.init.normal_(weight, std=self.deviation, generator=rng)


Initialiser = Orthogonal | Normal


@torch.no_grad()
def initialise(module: nn.Module, scheme: Initialiser, rng: torch.Generator) -> None:
    """Fill the weights of all weight layers in ``module`` from ``rng``, in the order of their definition."""
    for layer in module.modules():
        if isinstance(layer, WeightLayer):
            scheme.fill(layer.weight, rng)
            if layer.spectral:
                u = layer.get_buffer("u")
                u.copy_(nn.functional.normalize(torch.randn(u.shape, generator=rng), dim=0))
    power_iterate(module, FIRST_POWER_ITERATIONS)
