"""EfficientNet-Lite0 (Tan and Le 2019, in the variant without squeeze-and-excitation and with ReLU6), for frames."""

import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.evaluation.features.network import FeatureNetwork, FrozenBatchNorm, Outputs, check_video
from vidgan.shapes import fold_time, unfold_time

# Groups of blocks, as the authors' efficientnet_lite_builder.py has them:
# number of blocks, kernel, stride of the first, expansion, channels.
GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, FEATURES, HEAD, CLASSES = 32, 320, 1280, 1000
EPSILON = 1e-3
"""of batch normalisation, TensorFlow's"""


class EfficientNetLite0(FeatureNetwork):
    """EfficientNet-Lite0 with the names of the PyTorch port's state dict (``_blocks.0._depthwise_conv.weight``, ...).

    ``network(video)`` gives ``(logits, features)``, means over the frames of a prepared ``video`` (B T 3 H W)
    (:func:`efficientnet_lite_input`), of any size from 32x32 on: logits (B, 1000) before the softmax; features
    (B, 320), the last block's output, averaged over positions.

    Examples:
        >>> network, _ = load_efficientnet_lite0("efficientnet-lite0-57934424.pth")
        >>> logits, features = network(efficientnet_lite_input(video, 224))

    Raises:
        UserError: when called with a video of another layout.
    """

    def __init__(self) -> None:
        super().__init__(_build)

    def forward(self, video: Tensor) -> Outputs:
        logits, features = self.of_frames(video)
        return Outputs(logits.mean(1), features.mean(1))

    def of_frames(self, video: Tensor) -> Outputs:
        """The same of every frame: logits (B, T, 1000), features (B, T, 320)."""
        check_video(video, channels=3, steps=1, side=32, network="EfficientNet-Lite0")
        x = fold_time(video)
        x = F.relu6(self.get_submodule("_bn0")(self.get_submodule("_conv_stem")(x)))
        x = self.get_submodule("_blocks")(x)
        features = x.mean((2, 3))
        x = F.relu6(self.get_submodule("_bn1")(self.get_submodule("_conv_head")(x)))
        logits = self.get_submodule("_fc")(x.mean((2, 3)))
        frames = video.shape[1]
        return Outputs(logits.unflatten(0, (-1, frames)), features.unflatten(0, (-1, frames)))


class Block(nn.Module):
    """A mobile inverted bottleneck: expansion, convolution of each channel, projection, beside the identity."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self._expand_conv: nn.Module | None = None
        self._bn0: nn.Module | None = None
        if expansion > 1:
            self._expand_conv, self._bn0 = SameConv2d(inputs, middle, 1), _norm(middle)
        self._depthwise_conv = SameConv2d(middle, middle, kernel, stride, groups=middle)
        self._bn1 = _norm(middle)
        self._project_conv, self._bn2 = SameConv2d(middle, outputs, 1), _norm(outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        h = x
        if self._expand_conv is not None and self._bn0 is not None:
            h = F.relu6(self._bn0(self._expand_conv(h)))
        h = F.relu6(self._bn1(self._depthwise_conv(h)))
        h = self._bn2(self._project_conv(h))
        return x + h if self.adds else h


class SameConv2d(nn.Conv2d):
    """TensorFlow's padding "SAME": outputs are ceil(size / stride), an odd pixel of zeros comes after."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        (down, across), (height, width) = input.shape[-2:], self.kernel_size
        rows, columns = (
            same_padding(down, height, self.stride[0]),
            same_padding(across, width, self.stride[1]),
        )
        padding = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        return super().forward(F.pad(input, padding))


def same_padding(size: int, kernel: int, stride: int) -> int:
    """Zeros on both sides together, so that a convolution gives ceil(size / stride) outputs."""
    return max((-(-size // stride) - 1) * stride + kernel - size, 0)


def efficientnet_lite_input(frames: Tensor, side: int) -> Tensor:
    """Bytes (B T 3 H W) as the network takes them: bilinear (half-pixel) to ``side``, then (x - 127) / 128.

    The authors' code normalises so in its lite variants (``MEAN_RGB``, ``STDDEV_RGB``).
    """
    small = F.interpolate(fold_time(frames).float(), (side, side), mode="bilinear", antialias=True)
    return (unfold_time(small, frames.shape[1]) - 127) / 128


def _norm(channels: int) -> nn.Module:
    return FrozenBatchNorm(channels, eps=EPSILON)


def _build(network: nn.Module) -> None:
    network.add_module("_conv_stem", SameConv2d(3, STEM, 3, 2))
    network.add_module("_bn0", _norm(STEM))
    blocks, inputs = [], STEM
    for repeats, kernel, stride, expansion, outputs in GROUPS:
        for index in range(repeats):
            blocks.append(Block(inputs, outputs, kernel, 1 if index else stride, expansion))
            inputs = outputs
    network.add_module("_blocks", nn.Sequential(*blocks))
    network.add_module("_conv_head", SameConv2d(FEATURES, HEAD, 1))
    network.add_module("_bn1", _norm(HEAD))
    network.add_module("_fc", nn.Linear(HEAD, CLASSES))
