"""What carries information between the frames of a generator: one contract, four kinds."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from vidgan.nn.attention import FullAttention, SeparableAttention
from vidgan.nn.blocks import SeparableBlock
from vidgan.nn.norm import Context, NormSpec
from vidgan.nn.recurrent import UnitSpec
from vidgan.nn.recurrent.unit import unroll
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
    def forward(self, x: Tensor, context: Context, encoding: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Features (B T C H W), and a warp's weights (B T k*k H W) where the layer warps.

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


class RecurrentSpec(TemporalSpec):
    """A recurrent unit over time with as many hidden channels as inputs."""

    unit: UnitSpec

    @property
    def context(self) -> None:
        return None

    def build(self, size: Size) -> Temporal:
        return RecurrentLayer(self, size)


class SelfAttentionSpec(TemporalSpec):
    """Non-causal one-head attention over all positions (Clark et al. 2019, A.2)."""

    @property
    def context(self) -> None:
        return None

    def build(self, size: Size) -> Temporal:
        return AttentionLayer(FullAttention(size.channels))


class SeparableSelfAttentionSpec(TemporalSpec):
    """Attention over height, width and time in turn (Clark et al. 2019, 3.2)."""

    time_first: bool = False
    """time, height, width (Du 2020, Figure 3.1) instead of height, width, time"""

    @property
    def context(self) -> None:
        return None

    def build(self, size: Size) -> Temporal:
        return AttentionLayer(SeparableAttention(size.channels, time_first=self.time_first))


class SeparableConvolutionSpec(TemporalSpec):
    """A residual block of separable 3-D convolutions (SSW-GAN, B.2): sees two frames on either side."""

    @property
    def context(self) -> int:
        return 2

    def build(self, size: Size) -> Temporal:
        return ConvolutionLayer(size)


class RecurrentLayer(Temporal):
    """Runs a unit over time."""

    recurrent = True

    def __init__(self, spec: RecurrentSpec, size: Size) -> None:
        super().__init__()
        self.unit = spec.unit.build(size.channels, size.channels)

    def forward(self, x: Tensor, context: Context, encoding: Tensor | None) -> tuple[Tensor, Tensor | None]:
        # Our choice: without an encoder the first state is zero; Clark et al. 2019 do not say.
        first = x.new_zeros(x[:, 0].shape) if encoding is None else encoding
        return unroll(self.unit, x, first)


class AttentionLayer(Temporal):
    """Runs one of the attention layers."""

    def __init__(self, attention: FullAttention | SeparableAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor, context: Context, encoding: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return self.attention(x), None


class ConvolutionLayer(Temporal):
    """Runs a separable block."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.block = SeparableBlock(size.channels, size.condition, size.norm)

    def forward(self, x: Tensor, context: Context, encoding: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return self.block(x, context), None
