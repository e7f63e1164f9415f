"""What carries information between the frames of a generator: one contract, four kinds."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from vidgan.nn.attention import FullAttention, SeparableAttention
from vidgan.nn.blocks import SeparableBlock
from vidgan.nn.norm import Context, NormSpec
from vidgan.nn.recurrent.unit import Unit, UnitSpec, unroll
from vidgan.spec import Spec


class Size(NamedTuple):
    """What a temporal layer is built for."""

    channels: int
    condition: int
    """width of the conditioning vector"""
    norm: NormSpec


class Temporal(nn.Module, ABC):
    """A layer that mixes steps and keeps the shape (B T C H W)."""

    recurrent: bool = False
    """whether it starts from a state, which an encoder may give"""

    @abstractmethod
    def forward(self, x: Tensor, context: Context = Context(), encoding: Tensor | None = None) -> Tensor:
        """Features (B T C H W).

        Args:
            x: features (B T C H W).
            context: condition, statistics and clock.
            encoding: what a recurrent state starts from (B C H W); None where nothing conditions it.
        """


class TemporalSpec(Spec, ABC):
    """What describes a temporal layer."""

    @property
    @abstractmethod
    def context(self) -> int | None:
        """Frames that an output sees on either side; None: all, so that the layer runs on whole videos only."""

    @abstractmethod
    def build(self, size: Size) -> Temporal:
        """The layer."""

    def pairs(self, frames: int, side: int) -> int:
        """Pairs of positions of a clip (frames side side) that the layer compares at once; 0 where it compares none."""
        return 0


class RecurrentSpec(TemporalSpec):
    """A recurrent unit over time with as many hidden channels as inputs."""

    unit: UnitSpec

    @property
    def context(self) -> None:
        return None

    def build(self, size: Size) -> Temporal:
        return RecurrentLayer(self.unit.build(size.channels, size.channels))


class SelfAttentionSpec(TemporalSpec):
    """Non-causal one-head attention over all positions (Clark et al. 2019, A.2)."""

    @property
    def context(self) -> None:
        return None

    def build(self, size: Size) -> Temporal:
        return AttentionLayer(FullAttention(size.channels))

    def pairs(self, frames: int, side: int) -> int:
        return int((frames * side**2) ** 2)


class SeparableSelfAttentionSpec(TemporalSpec):
    """Attention over height, width and time in turn (Clark et al. 2019, 3.2)."""

    time_first: bool = False
    """time, height, width (Du 2020, Figure 3.1) instead of height, width, time"""

    @property
    def context(self) -> None:
        return None

    def build(self, size: Size) -> Temporal:
        return AttentionLayer(SeparableAttention(size.channels, time_first=self.time_first))

    def pairs(self, frames: int, side: int) -> int:
        return int(frames * side**2 * max(frames, side))


class SeparableConvolutionSpec(TemporalSpec):
    """A residual block of separable 3-D convolutions (SSW-GAN, B.2): sees two frames on either side."""

    @property
    def context(self) -> int:
        return 2

    def build(self, size: Size) -> Temporal:
        return ConvolutionLayer(SeparableBlock(size.channels, size.condition, size.norm))


class RecurrentLayer(Temporal):
    """Runs a unit over time."""

    recurrent = True

    def __init__(self, unit: Unit) -> None:
        super().__init__()
        self.unit = unit

    def forward(self, x: Tensor, context: Context = Context(), encoding: Tensor | None = None) -> Tensor:
        features: Tensor
        # An encoder may have run in a wider dtype than this network.
        encoding = None if encoding is None else encoding.to(x.dtype)
        if context.kernels is None:
            features = self.unit(x, encoding)
        else:
            features, kernels = unroll(self.unit, x, encoding)
            context.kernels.extend([] if kernels is None else [kernels])
        return features


class AttentionLayer(Temporal):
    """Runs one of the attention layers."""

    def __init__(self, attention: FullAttention | SeparableAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor, context: Context = Context(), encoding: Tensor | None = None) -> Tensor:
        attended: Tensor = self.attention(x)
        return attended


class ConvolutionLayer(Temporal):
    """Runs a separable block."""

    def __init__(self, block: SeparableBlock) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor, context: Context = Context(), encoding: Tensor | None = None) -> Tensor:
        convolved: Tensor = self.block(x, context)
        return convolved
