"""Which residual blocks a network is made of: one contract, three kinds."""

from abc import ABC, abstractmethod
from typing import Protocol

from torch import nn

from vidgan.nn.blocks import CriticBlock, GeneratorBlock, VolumeConvolution
from vidgan.nn.deep_blocks import DeepCriticBlock, DeepGeneratorBlock
from vidgan.nn.norm import NormSpec
from vidgan.spec import Spec


class MakesGeneratorBlock(Protocol):
    """Builds (B T inputs H W), context -> (B T outputs H' W'), twice as large where it grows."""

    def __call__(
        self, inputs: int, outputs: int, condition: int, norm: NormSpec, *, grow: bool
    ) -> nn.Module: ...


class MakesCriticBlock(Protocol):
    """Builds (B T inputs H W) -> (B T' outputs H' W'); see :class:`CriticBlock` for what is asked for."""

    def __call__(
        self,
        inputs: int,
        outputs: int,
        *,
        volume: bool,
        shrink: bool,
        halve_time: bool,
        first: bool,
        slope: float,
    ) -> nn.Module: ...


class Residual(Spec, ABC):
    """A kind of residual block."""

    @property
    @abstractmethod
    def generator(self) -> MakesGeneratorBlock:
        """The generator's block."""

    @property
    @abstractmethod
    def critic(self) -> MakesCriticBlock:
        """The critic's block."""


class BigGANBlocks(Residual):
    """Two 3x3 convolutions and a learnt shortcut (Clark et al. 2019, A.2)."""

    @property
    def generator(self) -> MakesGeneratorBlock:
        return GeneratorBlock

    @property
    def critic(self) -> MakesCriticBlock:
        return CriticBlock


class BigGANDeepBlocks(Residual):
    """Bottlenecks with shortcuts that drop or add channels (Clark et al. 2019, C: faster steps, worse models).

    Our choice: the blocks alone are exchanged. Numbers of blocks and widths stay, and critics get no first convolution
    of pixels, which BigGAN-deep's discriminator has; C speaks of "the residual blocks" and prints nothing else.
    """

    @property
    def generator(self) -> MakesGeneratorBlock:
        return DeepGeneratorBlock

    @property
    def critic(self) -> MakesCriticBlock:
        return DeepCriticBlock


class PlainVolumes(Residual):
    """BigGAN's blocks, but a plain 3x3x3 convolution wherever a critic's block would be 3-D (Du 2020, 4.6)."""

    @property
    def generator(self) -> MakesGeneratorBlock:
        return GeneratorBlock

    @property
    def critic(self) -> MakesCriticBlock:
        return block_or_convolution


def block_or_convolution(
    inputs: int,
    outputs: int,
    *,
    volume: bool,
    shrink: bool,
    halve_time: bool,
    first: bool,
    slope: float,
) -> nn.Module:
    """A convolution of the clip, or BigGAN's block on frames."""
    if volume:
        return VolumeConvolution(
            inputs, outputs, shrink=shrink, halve_time=halve_time, first=first, slope=slope
        )
    return CriticBlock(
        inputs, outputs, volume=False, shrink=shrink, halve_time=halve_time, first=first, slope=slope
    )


ResidualSpec = BigGANBlocks | BigGANDeepBlocks | PlainVolumes
