"""Normalisation of videos: what is averaged over (a spec each), and who gives gain and bias."""

from abc import ABC, abstractmethod
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from vidgan.nn.fused import scale_shift_relu
from vidgan.nn.layers import Linear
from vidgan.nn.statistics import Clock, Moments, Statistics
from vidgan.spec import Spec, require

EPSILON: Final = 1e-5  # Our choice, as BigGAN's public PyTorch code; the papers do not print it.


class Context(NamedTuple):
    """What every block of a generator is told besides its input."""

    condition: Tensor
    """the whole conditioning vector [z; e(y)] per clip (B, K)"""
    statistics: Statistics
    clock: Clock


class Normaliser(Spec, ABC):
    """What the mean and the variance are taken over."""

    @abstractmethod
    def moments(self, key: str, x: Tensor, context: Context) -> Moments:
        """Moments that broadcast to (B, T, C) for ``x`` (B T C H W)."""


class BatchNorm(Normaliser):
    """Over (B, H, W) of the replicas that share statistics, per time step: frames cannot inform each other (A.2)."""

    def moments(self, key: str, x: Tensor, context: Context) -> Moments:
        return context.statistics.moments(key, x, context.clock, over_time=False)


class BatchNormAllFrames(Normaliser):
    """Over (B, T, H, W): the early variant that informs across time (Clark et al. 2019, C)."""

    def moments(self, key: str, x: Tensor, context: Context) -> Moments:
        return context.statistics.moments(key, x, context.clock, over_time=True)


class GroupNorm(Normaliser):
    """Over (H, W) and the channels of a group, per clip and step; one group is layer normalisation.

    Clark et al. 2019, C: the best of those that take no statistics over a batch, but worse than batch normalisation.
    Our choice: at most 32 groups, the default of Wu and He 2018; C prints none. Statistics are of one step, so that
    frames cannot inform each other.
    """

    groups: int = 32
    """number of channel groups; taken down to the channels where there are fewer"""

    def validate(self) -> None:
        require(self.groups >= 1, f"groups must be at least 1, got {self.groups}")

    def moments(self, key: str, x: Tensor, context: Context) -> Moments:
        channels = x.shape[2]
        groups = next(g for g in range(min(self.groups, channels), 0, -1) if channels % g == 0)
        wide = x.to(torch.promote_types(x.dtype, torch.float32)).unflatten(2, (groups, -1))
        variance, mean = torch.var_mean(wide, (3, 4, 5), correction=0)
        each = channels // groups
        return Moments(mean.repeat_interleave(each, -1), variance.repeat_interleave(each, -1))


class InstanceNorm(Normaliser):
    """Over (H, W), per clip, step and channel (Clark et al. 2019, C: much worse than batch normalisation)."""

    def moments(self, key: str, x: Tensor, context: Context) -> Moments:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = torch.var_mean(wide, (3, 4), correction=0)
        return Moments(mean, variance)


class NoNorm(Normaliser):
    """No normalisation: gain and bias alone (Clark et al. 2019, C).

    In the blocks alone it gives a higher Inception Score and a worse FID; as a generator's last it makes learning fail.
    """

    def moments(self, key: str, x: Tensor, context: Context) -> Moments:
        zero = torch.zeros(
            (1, x.shape[2]), dtype=torch.promote_types(x.dtype, torch.float32), device=x.device
        )
        return Moments(zero, torch.ones_like(zero))


NormSpec = BatchNorm | BatchNormAllFrames | GroupNorm | InstanceNorm | NoNorm


class NormReLU(nn.Module, ABC):
    """Normalise, apply gain and bias, rectify. ``key`` names the layer in tables of statistics."""

    def __init__(self, normaliser: NormSpec) -> None:
        super().__init__()
        self.normaliser = normaliser
        self.key = ""

    @abstractmethod
    def gain_and_bias(self, context: Context) -> tuple[Tensor, Tensor]:
        """Both broadcast to (B, T, C)."""

    def forward(self, x: Tensor, context: Context) -> Tensor:
        mean, variance = self.normaliser.moments(self.key, x, context)
        gain, bias = self.gain_and_bias(context)
        scale = gain * torch.rsqrt(variance + EPSILON)
        shift = bias - mean * scale
        shape = x.shape[:3]
        return scale_shift_relu(x, scale.expand(shape), shift.expand(shape))


class ConditionalNormReLU(NormReLU):
    """Gain and bias are affine functions of the conditioning vector (Clark et al. 2019, A.3; Luc et al. 2020, E.2)."""

    def __init__(self, normaliser: NormSpec, channels: int, condition: int) -> None:
        super().__init__(normaliser)
        # Our choice: both have a bias of their own, "affine" by A.3's word; BigGAN's have none.
        self.gain = Linear(condition, channels)
        self.bias = Linear(condition, channels)

    def gain_and_bias(self, context: Context) -> tuple[Tensor, Tensor]:
        # The gain is learnt around one, as BigGAN's.
        return 1 + self.gain(context.condition)[:, None], self.bias(context.condition)[:, None]


class LearntNormReLU(NormReLU):
    """Gain and bias are learnt constants: the last normalisation of a generator (Luc et al. 2020, E.2).

    Our choice for DVD-GAN: the same, as BigGAN's; its paper does not say that the last one is not conditional.
    """

    def __init__(self, normaliser: NormSpec, channels: int) -> None:
        super().__init__(normaliser)
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def gain_and_bias(self, context: Context) -> tuple[Tensor, Tensor]:
        return self.gain, self.bias


def name_norms(module: nn.Module) -> None:
    """Give every normalisation layer in ``module`` its path as ``key``."""
    for name, layer in module.named_modules():
        if isinstance(layer, NormReLU):
            layer.key = name
