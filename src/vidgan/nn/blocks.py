"""Residual blocks: BigGAN's for generators and critics, in 2-D and 3-D."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.layers import Conv2d, Conv3d
from vidgan.nn.norm import ConditionalNormReLU, Context, NormSpec
from vidgan.shapes import fold_time, from_clip, to_clip, unfold_time


def upsample(frames: Tensor) -> Tensor:
    """Nearest-neighbour upsampling of frames (N C H W) by 2."""
    return F.interpolate(frames, scale_factor=2.0, mode="nearest")


def on_frames(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a frame layer to every step of a video (B T C H W)."""
    return unfold_time(layer(fold_time(x)), x.shape[1])


class GeneratorBlock(nn.Module):
    """norm-ReLU-(up)-conv-norm-ReLU-conv plus a shortcut; every frame apart (Brock et al. 2018, Fig. 15)."""

    def __init__(self, inputs: int, outputs: int, condition: int, norm: NormSpec, *, grow: bool) -> None:
        super().__init__()
        self.grow = grow
        self.norm1 = ConditionalNormReLU(norm, inputs, condition)
        self.conv1 = Conv2d(inputs, outputs)
        self.norm2 = ConditionalNormReLU(norm, outputs, condition)
        self.conv2 = Conv2d(outputs, outputs)
        # As BigGAN, the shortcut is learnt wherever the shape changes.
        self.shortcut = Conv2d(inputs, outputs, 1) if grow or inputs != outputs else None

    def forward(self, x: Tensor, context: Context) -> Tensor:
        steps = x.shape[1]
        h = fold_time(self.norm1(x, context))
        h = self.conv1(upsample(h) if self.grow else h)
        h = fold_time(self.norm2(unfold_time(h, steps), context))
        h = self.conv2(h)
        # A 1x1 convolution and nearest upsampling commute: convolve at the lower resolution.
        skip = fold_time(x) if self.shortcut is None else self.shortcut(fold_time(x))
        return unfold_time(h + (upsample(skip) if self.grow else skip), steps)


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

    def __init__(self, channels: int, condition: int, norm: NormSpec) -> None:
        super().__init__()
        self.norm1 = ConditionalNormReLU(norm, channels, condition)
        self.conv1 = SeparableConv(channels, channels)
        self.norm2 = ConditionalNormReLU(norm, channels, condition)
        self.conv2 = SeparableConv(channels, channels)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        h = self.conv1(self.norm1(x, context))
        return x + self.conv2(self.norm2(h, context))


class CriticBlock(nn.Module):
    """(ReLU)-conv-ReLU-conv-(down) plus a shortcut, without normalisation (Brock et al. 2018, Fig. 15).

    Args:
        volume: convolutions are 3x3x3 over the clip instead of 3x3 over frames; the shortcut stays 1x1.
        shrink: average-pool height and width by 2.
        halve_time: average pairs of steps too (Du 2020, table 3.3); an odd last step is dropped.
        first: the block that sees pixels does not rectify its input.
        slope: negative slope of the rectifier; 0 is ReLU.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        volume: bool,
        shrink: bool,
        halve_time: bool,
        first: bool,
        slope: float,
    ) -> None:
        super().__init__()
        self.shrink, self.halve_time, self.first, self.slope = shrink, halve_time, first, slope
        self.conv1 = Conv3d(inputs, outputs) if volume else Conv2d(inputs, outputs)
        self.conv2 = Conv3d(outputs, outputs) if volume else Conv2d(outputs, outputs)
        # Our choice: the shortcut of a 3-D block stays a 1x1 convolution of each frame: it only fits channels. By the
        # words of Clark et al. 2019, A.2, "every convolution is replaced" by one of 3x3x3.
        self.shortcut = Conv2d(inputs, outputs, 1) if shrink or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        h = convolve(self.conv1, x if self.first else rectify(x, self.slope))
        h = convolve(self.conv2, rectify(h, self.slope))
        h = pool(h, self.shrink, self.halve_time)
        # A 1x1 convolution and average pooling commute: convolve at the lower resolution.
        skip = pool(x, self.shrink, self.halve_time)
        return h + (skip if self.shortcut is None else on_frames(self.shortcut, skip))


class VolumeConvolution(nn.Module):
    """(ReLU)-conv-(down) with a 3x3x3 convolution: a plain layer in place of a 3-D block (Du 2020, 4.6).

    Our choice: it rectifies and pools as the block that it replaces; 4.6 names the "standard 3-D convolutional layer"
    alone.

    Args:
        shrink: average-pool height and width by 2.
        halve_time: average pairs of steps too; an odd last step is dropped.
        first: the layer that sees pixels does not rectify its input.
        slope: negative slope of the rectifier; 0 is ReLU.
    """

    def __init__(
        self, inputs: int, outputs: int, *, shrink: bool, halve_time: bool, first: bool, slope: float
    ) -> None:
        super().__init__()
        self.shrink, self.halve_time, self.first, self.slope = shrink, halve_time, first, slope
        self.conv = Conv3d(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = convolve(self.conv, x if self.first else rectify(x, self.slope))
        return pool(h, self.shrink, self.halve_time)


def convolve(layer: Conv2d | Conv3d, x: Tensor) -> Tensor:
    """A convolution of every frame of a video (B T C H W), or of the whole clip."""
    return from_clip(layer(to_clip(x))) if isinstance(layer, Conv3d) else on_frames(layer, x)


def rectify(x: Tensor, slope: float) -> Tensor:
    """ReLU, or leaky ReLU where ``slope`` is not 0."""
    return F.leaky_relu(x, slope) if slope else F.relu(x)


def pool(x: Tensor, shrink: bool, halve_time: bool) -> Tensor:
    """A video (B T C H W) average-pooled in height and width by 2, in time by pairs, or as it is."""
    if shrink:
        x = unfold_time(F.avg_pool2d(fold_time(x), 2), x.shape[1])
    return pair_mean(x) if halve_time else x


def pair_mean(x: Tensor) -> Tensor:
    """Mean of steps 2t and 2t+1 (B T C H W -> B T//2 C H W); ``avg_pool3d`` has no bf16 kernel on the CPU."""
    pairs = x.shape[1] // 2
    if pairs == 0:
        return x
    return torch.add(x[:, 0 : 2 * pairs : 2], x[:, 1 : 2 * pairs : 2]) * 0.5
