"""BigGAN-deep's residual blocks: a bottleneck of a quarter of the channels, and shortcuts without weights to mix."""

import torch
from torch import Tensor, nn

from vidgan.nn.blocks import convolve, on_frames, pool, rectify, upsample
from vidgan.nn.layers import Conv2d, Conv3d
from vidgan.nn.norm import ConditionalNormReLU, Context, NormSpec
from vidgan.shapes import as_video, fold_time, unfold_time
from vidgan.spec import require

RATIO = 4
"""Channels outside a bottleneck over those inside (Brock et al. 2018, B)."""


class DeepGeneratorBlock(nn.Module):
    """norm-ReLU-1x1, norm-ReLU-(up)-3x3, norm-ReLU-3x3, norm-ReLU-1x1, plus the input (Brock et al. 2018, B).

    Every frame apart. The shortcut upsamples and drops the last channels; it has no weights.

    Raises:
        SpecError: if ``outputs`` is more than ``inputs``, which a shortcut that drops channels cannot give.
    """

    def __init__(self, inputs: int, outputs: int, condition: int, norm: NormSpec, *, grow: bool) -> None:
        super().__init__()
        require(outputs <= inputs, f"a BigGAN-deep block cannot make {outputs} channels of {inputs}")
        hidden = max(1, inputs // RATIO)
        self.grow, self.outputs = grow, outputs
        self.norm1 = ConditionalNormReLU(norm, inputs, condition)
        self.conv1 = Conv2d(inputs, hidden, 1)
        self.norm2 = ConditionalNormReLU(norm, hidden, condition)
        self.conv2 = Conv2d(hidden, hidden)
        self.norm3 = ConditionalNormReLU(norm, hidden, condition)
        self.conv3 = Conv2d(hidden, hidden)
        self.norm4 = ConditionalNormReLU(norm, hidden, condition)
        self.conv4 = Conv2d(hidden, outputs, 1)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        h = on_frames(self.conv1, self.norm1(x, context))
        h = self._grow(self.norm2(h, context))
        h = on_frames(self.conv2, h)
        h = on_frames(self.conv3, self.norm3(h, context))
        h = on_frames(self.conv4, self.norm4(h, context))
        return h + self._grow(as_video(x[:, :, : self.outputs]))

    def _grow(self, x: Tensor) -> Tensor:
        return unfold_time(upsample(fold_time(x)), x.shape[1]) if self.grow else x


class DeepCriticBlock(nn.Module):
    """(ReLU)-1x1-ReLU-3x3-ReLU-3x3-ReLU-(down)-1x1, plus the input (Brock et al. 2018, B).

    The shortcut is pooled and gets the channels that it lacks from a 1x1 convolution of itself.

    Args:
        volume: the 3x3 convolutions are 3x3x3 over the clip; those of 1x1 stay.
        shrink: average-pool height and width by 2.
        halve_time: average pairs of steps too; an odd last step is dropped.
        first: the block that sees pixels does not rectify its input.
        slope: negative slope of the rectifier; 0 is ReLU.

    Raises:
        SpecError: if ``outputs`` is less than ``inputs``, as such a shortcut cannot drop channels.
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
        require(outputs >= inputs, f"a BigGAN-deep critic block cannot make {outputs} channels of {inputs}")
        hidden = max(1, outputs // RATIO)
        self.shrink, self.halve_time, self.first, self.slope = shrink, halve_time, first, slope
        self.conv1 = Conv2d(inputs, hidden, 1)
        self.conv2 = Conv3d(hidden, hidden) if volume else Conv2d(hidden, hidden)
        self.conv3 = Conv3d(hidden, hidden) if volume else Conv2d(hidden, hidden)
        self.conv4 = Conv2d(hidden, outputs, 1)
        self.shortcut = Conv2d(inputs, outputs - inputs, 1) if outputs > inputs else None

    def forward(self, x: Tensor) -> Tensor:
        h = on_frames(self.conv1, x if self.first else rectify(x, self.slope))
        h = convolve(self.conv2, rectify(h, self.slope))
        h = convolve(self.conv3, rectify(h, self.slope))
        h = on_frames(self.conv4, pool(rectify(h, self.slope), self.shrink, self.halve_time))
        skip = pool(x, self.shrink, self.halve_time)
        if self.shortcut is not None:
            skip = as_video(torch.cat([skip, on_frames(self.shortcut, skip)], dim=2))
        return h + skip
