"""Latents: how noise is drawn, truncated or not, and lines between two draws."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vidgan.bounds import NotNegative, Real
from vidgan.errors import UserError
from vidgan.seeds import stream
from vidgan.spec import Spec, require


class Scaled(Spec):
    """z ~ N(0, sigma^2): the truncation of Clark et al. 2019 (Figure 14: sigma 0.44)."""

    sigma: NotNegative = 1.0
    """standard deviation; 1 is no truncation, 0 the mean sample"""

    @property
    def deviation(self) -> float:
        """Standard deviation of what is drawn."""
        return self.sigma

    def draw(self, dimension: int, rng: torch.Generator) -> Tensor:
        return self.sigma * torch.randn(dimension, generator=rng)


class Threshold(Spec):
    """z ~ N(0, 1), values beyond the threshold drawn again (Brock et al. 2018, 3.1; Luc et al. 2020, D.1)."""

    limit: Real
    """largest absolute value kept"""

    def validate(self) -> None:
        require(self.limit > 0, f"the threshold must be positive, got {self.limit}")

    @property
    def deviation(self) -> float:
        """Standard deviation of what is drawn; its square is 1 - 2 c p(c) / P(|z| < c), with p the density."""
        c = self.limit
        if c < 1e-4:  # a uniform law there, where the formula has no digits left
            return c / math.sqrt(3)
        density = math.exp(-c * c / 2) / math.sqrt(2 * math.pi)
        return math.sqrt(1 - 2 * c * density / math.erf(c / math.sqrt(2)))

    def draw(self, dimension: int, rng: torch.Generator) -> Tensor:
        # Drawn by the inverse of the normal distribution between the limits: the same law, without repeated draws.
        low = torch.special.ndtr(torch.tensor(-self.limit, dtype=torch.float64))
        uniform = torch.rand(dimension, generator=rng, dtype=torch.float64)
        return torch.special.ndtri(low + uniform * (1 - 2 * low)).float()


Truncation = Scaled | Threshold


def truncation(sigma: float | None = None, threshold: float | None = None) -> Truncation:
    """How noise is drawn: not truncated where neither is given.

    Raises:
        UserError: if both are, or one is out of range.
    """
    if sigma is not None and threshold is not None:
        raise UserError("sigma and threshold are two ways to truncate: give one of them")
    if threshold is not None:
        return Threshold(limit=threshold)
    return Scaled() if sigma is None else Scaled(sigma=sigma)


def latents(seed: int, level: int, clips: Sequence[int], dimension: int, truncation: Truncation) -> Tensor:
    """Noise (n, dimension) of the clips with these numbers, for one level of a cascade."""
    draws = [truncation.draw(dimension, stream(seed, "latent", level, clip)) for clip in clips]
    return torch.stack(draws) if draws else torch.zeros((0, dimension))


def interpolate(first: Tensor, last: Tensor, count: int) -> Tensor:
    """``count`` points on the straight line from ``first`` to ``last`` (K,), both included: (count, K).

    Clark et al. 2019, 4.4: of latents within a class, or of class embeddings at a fixed latent.
    """
    weights = torch.linspace(0, 1, count, dtype=first.dtype, device=first.device)[:, None]
    return (1 - weights) * first + weights * last
