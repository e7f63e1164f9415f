"""Residual blocks: those of BigGAN and of BigGAN-deep, in two dimensions, in three, and separable."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.convolution import average_pool, nearest_upsample, pair_mean
from vidgan.nn.layers import Conv2d, Conv3d
from vidgan.nn.norm import BatchNormSpec, ConditionalNormReLU, Context, NormSpec
from vidgan.shapes import as_video, fold_time, from_clip, to_clip, unfold_time
from vidgan.spec import Spec, require


def on_frames(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a frame layer to every step of a video (B T C H W)."""
    return unfold_time(layer(fold_time(x)), x.shape[1])


class GeneratorBlock(nn.Module):
    """norm-ReLU-(up)-conv-norm-ReLU-conv plus a shortcut; every frame apart (Brock et al. 2018, Fig. 15)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        condition: int,
        norm: NormSpec = BatchNormSpec(),
        *,
        upsample: bool = False,
    ) -> None:
        super().__init__()
        self.upsample = upsample
        self.norm1 = ConditionalNormReLU(inputs, condition, norm)
        self.conv1 = Conv2d(inputs, outputs)
        self.norm2 = ConditionalNormReLU(outputs, condition, norm)
        self.conv2 = Conv2d(outputs, outputs)
        # As BigGAN, the shortcut is learnt wherever the shape changes.
        self.shortcut = Conv2d(inputs, outputs, 1) if upsample or inputs != outputs else None

    def forward(self, x: Tensor, context: Context = Context()) -> Tensor:
        steps = x.shape[1]
        h = fold_time(self.norm1(x, context))
        h = self.conv1(h, upsample=self.upsample)
        h = fold_time(self.norm2(unfold_time(h, steps), context))
        h = self.conv2(h)
        # A 1x1 convolution and nearest upsampling commute: convolve at the lower resolution.
        skip = fold_time(x) if self.shortcut is None else self.shortcut(fold_time(x))
        return unfold_time(h + (nearest_upsample(skip) if self.upsample else skip), steps)


class SeparableConv(nn.Module):
    """A 1-D temporal convolution of size 3, then a 3x3 convolution of every frame (SSW-GAN, B.2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.time = Conv3d(inputs, outputs, (3, 1, 1))
        self.space = Conv2d(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return on_frames(self.space, from_clip(self.time(to_clip(x))))


class SeparableBlock(nn.Module):
    """norm-ReLU-separable-norm-ReLU-separable plus the input: SSW-GAN's "3-D" block; size is kept."""

    def __init__(self, channels: int, condition: int, norm: NormSpec = BatchNormSpec()) -> None:
        super().__init__()
        self.norm1 = ConditionalNormReLU(channels, condition, norm)
        self.conv1 = SeparableConv(channels, channels)
        self.norm2 = ConditionalNormReLU(channels, condition, norm)
        self.conv2 = SeparableConv(channels, channels)

    def forward(self, x: Tensor, context: Context = Context()) -> Tensor:
        h = self.conv1(self.norm1(x, context))
        return x + self.conv2(self.norm2(h, context))


class DiscriminatorLayer(nn.Module, ABC):
    """What the blocks of a discriminator share: (B T inputs H W) -> (B T' outputs H' W'), without normalisation.

    Args:
        downsample: average-pool height and width by 2.
        halve_time: average pairs of steps too (Du 2020, table 3.3); an odd last step is dropped.
        first: the block that sees pixels has no ReLU before it.
        slope: negative slope of leaky ReLU; 0 is ReLU.
    """

    def __init__(
        self, *, downsample: bool = False, halve_time: bool = False, first: bool = False, slope: float = 0.0
    ) -> None:
        super().__init__()
        self.downsample, self.halve_time, self.first, self.slope = downsample, halve_time, first, slope

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor: ...

    def activate(self, x: Tensor) -> Tensor:
        """(Leaky) ReLU."""
        return leaky_relu(x, self.slope)

    def enter(self, x: Tensor) -> Tensor:
        """The block's input behind its ReLU, where it has one there."""
        return x if self.first else self.activate(x)

    def pool(self, x: Tensor) -> Tensor:
        """A video (B T C H W) average-pooled in height and width by 2, in time by pairs, or as it is."""
        x = average_pool(x) if self.downsample else x
        return pair_mean(x) if self.halve_time else x

    def convolve_and_pool(self, layer: Conv2d | Conv3d, x: Tensor) -> Tensor:
        """:meth:`pool` of a convolution of a video (B T C H W), in one where that is faster."""
        if isinstance(layer, Conv3d):
            return from_clip(layer(to_clip(x), downsample=self.downsample, halve_time=self.halve_time))
        h = unfold_time(layer(fold_time(x), downsample=self.downsample), x.shape[1])
        return pair_mean(h) if self.halve_time else h


class DiscriminatorBlock(DiscriminatorLayer):
    """(ReLU)-conv-ReLU-conv-(down) plus a shortcut (Brock et al. 2018, Fig. 15); see :class:`DiscriminatorLayer`.

    Args:
        conv3d: convolutions are 3x3x3 over the clip instead of 3x3 over frames; the shortcut stays 1x1.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        conv3d: bool = False,
        downsample: bool = False,
        halve_time: bool = False,
        first: bool = False,
        slope: float = 0.0,
    ) -> None:
        super().__init__(downsample=downsample, halve_time=halve_time, first=first, slope=slope)
        self.conv1 = Conv3d(inputs, outputs) if conv3d else Conv2d(inputs, outputs)
        self.conv2 = Conv3d(outputs, outputs) if conv3d else Conv2d(outputs, outputs)
        # Our choice: the shortcut of a 3-D block stays a 1x1 convolution of each frame: it only fits channels. By the
        # words of Clark et al. 2019, A.2, "every convolution is replaced" by one of 3x3x3.
        self.shortcut = Conv2d(inputs, outputs, 1) if downsample or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        h = convolve(self.conv1, self.enter(x))
        h = self.convolve_and_pool(self.conv2, self.activate(h))
        # A 1x1 convolution and average pooling commute: convolve at the lower resolution.
        skip = self.pool(x)
        return h + (skip if self.shortcut is None else on_frames(self.shortcut, skip))


class Convolution3d(DiscriminatorLayer):
    """(ReLU)-conv-(down) with a 3x3x3 convolution: a plain layer in place of a 3-D block (Du 2020, 4.6).

    Our choice: ReLU and pooling are those of the block that it replaces; 4.6 names the "standard 3-D convolutional
    layer" alone.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        downsample: bool = False,
        halve_time: bool = False,
        first: bool = False,
        slope: float = 0.0,
    ) -> None:
        super().__init__(downsample=downsample, halve_time=halve_time, first=first, slope=slope)
        self.conv = Conv3d(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolve_and_pool(self.conv, self.enter(x))


def convolve(layer: Conv2d | Conv3d, x: Tensor) -> Tensor:
    """A convolution of every frame of a video (B T C H W), or of the whole clip."""
    return from_clip(layer(to_clip(x))) if isinstance(layer, Conv3d) else on_frames(layer, x)


def leaky_relu(x: Tensor, slope: float) -> Tensor:
    """ReLU, or leaky ReLU where ``slope`` is not 0."""
    return F.leaky_relu(x, slope) if slope else F.relu(x)


RATIO = 4
"""Channels outside a bottleneck over those inside (Brock et al. 2018, B)."""


class DeepGeneratorBlock(nn.Module):
    """norm-ReLU-1x1, norm-ReLU-(up)-3x3, norm-ReLU-3x3, norm-ReLU-1x1, plus the input (Brock et al. 2018, B).

    Every frame apart. The shortcut upsamples and drops the last channels; it has no weights.

    Raises:
        SpecError: if ``outputs`` is more than ``inputs``, which a shortcut that drops channels cannot give.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        condition: int,
        norm: NormSpec = BatchNormSpec(),
        *,
        upsample: bool = False,
    ) -> None:
        super().__init__()
        require(outputs <= inputs, f"a BigGAN-deep block cannot make {outputs} channels of {inputs}")
        hidden = max(1, inputs // RATIO)
        self.upsample, self.outputs = upsample, outputs
        self.norm1 = ConditionalNormReLU(inputs, condition, norm)
        self.conv1 = Conv2d(inputs, hidden, 1)
        self.norm2 = ConditionalNormReLU(hidden, condition, norm)
        self.conv2 = Conv2d(hidden, hidden)
        self.norm3 = ConditionalNormReLU(hidden, condition, norm)
        self.conv3 = Conv2d(hidden, hidden)
        self.norm4 = ConditionalNormReLU(hidden, condition, norm)
        self.conv4 = Conv2d(hidden, outputs, 1)

    def forward(self, x: Tensor, context: Context = Context()) -> Tensor:
        h = on_frames(self.conv1, self.norm1(x, context))
        h = self.norm2(h, context)
        h = unfold_time(self.conv2(fold_time(h), upsample=self.upsample), h.shape[1])
        h = on_frames(self.conv3, self.norm3(h, context))
        h = on_frames(self.conv4, self.norm4(h, context))
        skip = as_video(x[:, :, : self.outputs])
        return h + (on_frames(nearest_upsample, skip) if self.upsample else skip)


class DeepDiscriminatorBlock(DiscriminatorLayer):
    """(ReLU)-1x1-ReLU-3x3-ReLU-3x3-ReLU-(down)-1x1, plus the input (Brock et al. 2018, B).

    The shortcut is pooled and gets the channels that it lacks from a 1x1 convolution of itself. Options are those of
    :class:`DiscriminatorLayer`.

    Args:
        conv3d: the 3x3 convolutions are 3x3x3 over the clip; those of 1x1 stay.

    Raises:
        SpecError: if ``outputs`` is less than ``inputs``, as such a shortcut cannot drop channels.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        conv3d: bool = False,
        downsample: bool = False,
        halve_time: bool = False,
        first: bool = False,
        slope: float = 0.0,
    ) -> None:
        super().__init__(downsample=downsample, halve_time=halve_time, first=first, slope=slope)
        require(
            outputs >= inputs, f"a BigGAN-deep discriminator block cannot make {outputs} channels of {inputs}"
        )
        hidden = max(1, outputs // RATIO)
        self.conv1 = Conv2d(inputs, hidden, 1)
        self.conv2 = Conv3d(hidden, hidden) if conv3d else Conv2d(hidden, hidden)
        self.conv3 = Conv3d(hidden, hidden) if conv3d else Conv2d(hidden, hidden)
        self.conv4 = Conv2d(hidden, outputs, 1)
        self.shortcut = Conv2d(inputs, outputs - inputs, 1) if outputs > inputs else None

    def forward(self, x: Tensor) -> Tensor:
        h = on_frames(self.conv1, self.enter(x))
        h = convolve(self.conv2, self.activate(h))
        h = convolve(self.conv3, self.activate(h))
        h = on_frames(self.conv4, self.pool(self.activate(h)))
        skip = self.pool(x)
        if self.shortcut is not None:
            skip = as_video(torch.cat([skip, on_frames(self.shortcut, skip)], dim=2))
        return h + skip


class MakesGeneratorBlock(Protocol):
    """Builds (B T inputs H W), context -> (B T outputs H' W'), twice as large where it upsamples."""

    def __call__(
        self, inputs: int, outputs: int, condition: int, norm: NormSpec, *, upsample: bool
    ) -> nn.Module: ...


class MakesDiscriminatorBlock(Protocol):
    """Builds (B T inputs H W) -> (B T' outputs H' W'); see :class:`DiscriminatorBlock` for what is asked for."""

    def __call__(
        self,
        inputs: int,
        outputs: int,
        *,
        conv3d: bool,
        downsample: bool,
        halve_time: bool,
        first: bool,
        slope: float,
    ) -> nn.Module: ...


class ResidualSpec(Spec, ABC):
    """A kind of residual block."""

    @property
    @abstractmethod
    def generator(self) -> MakesGeneratorBlock:
        """The generator's block."""

    @property
    @abstractmethod
    def discriminator(self) -> MakesDiscriminatorBlock:
        """The discriminator's block."""


class BigGANBlocksSpec(ResidualSpec):
    """Two 3x3 convolutions and a learnt shortcut (Clark et al. 2019, A.2)."""

    @property
    def generator(self) -> MakesGeneratorBlock:
        return GeneratorBlock

    @property
    def discriminator(self) -> MakesDiscriminatorBlock:
        return DiscriminatorBlock


class BigGANDeepBlocksSpec(ResidualSpec):
    """Bottlenecks with shortcuts that drop or add channels (Clark et al. 2019, C: faster steps, worse models).

    Our choice: the blocks alone are exchanged. Numbers of blocks and widths stay, and discriminators get no
    first convolution of pixels, which BigGAN-deep's discriminator has; C speaks of "the residual blocks" and
    prints nothing else.
    """

    @property
    def generator(self) -> MakesGeneratorBlock:
        return DeepGeneratorBlock

    @property
    def discriminator(self) -> MakesDiscriminatorBlock:
        return DeepDiscriminatorBlock


class Plain3dBlocksSpec(ResidualSpec):
    """BigGAN's blocks, but a plain 3x3x3 convolution wherever a discriminator's block would be 3-D (Du 2020, 4.6)."""

    @property
    def generator(self) -> MakesGeneratorBlock:
        return GeneratorBlock

    @property
    def discriminator(self) -> MakesDiscriminatorBlock:
        return block_or_convolution


def block_or_convolution(
    inputs: int,
    outputs: int,
    *,
    conv3d: bool,
    downsample: bool,
    halve_time: bool,
    first: bool,
    slope: float,
) -> nn.Module:
    """A convolution of the clip, or BigGAN's block on frames."""
    if conv3d:
        return Convolution3d(
            inputs, outputs, downsample=downsample, halve_time=halve_time, first=first, slope=slope
        )
    return DiscriminatorBlock(
        inputs, outputs, conv3d=False, downsample=downsample, halve_time=halve_time, first=first, slope=slope
    )
