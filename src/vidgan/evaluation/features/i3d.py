"""Inflated 3-D Inception (Carreira & Zisserman 2017), as DeepMind's graph computes it."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.evaluation.features.network import FeatureNetwork, FrozenBatchNorm, Outputs, check_video

# Channels of each Inception block: 1x1; 1x1 then 3x3; 1x1 then 3x3; pool then 1x1.
MIXED = {
    "Mixed_3b": (192, 64, 96, 128, 16, 32, 32),
    "Mixed_3c": (256, 128, 128, 192, 32, 96, 64),
    "Mixed_4b": (480, 192, 96, 208, 16, 48, 64),
    "Mixed_4c": (512, 160, 112, 224, 24, 64, 64),
    "Mixed_4d": (512, 128, 128, 256, 24, 64, 64),
    "Mixed_4e": (512, 112, 144, 288, 32, 64, 64),
    "Mixed_4f": (528, 256, 160, 320, 32, 128, 128),
    "Mixed_5b": (832, 256, 160, 320, 32, 128, 128),
    "Mixed_5c": (832, 384, 192, 384, 48, 128, 128),
}


Triple = tuple[int, ...]


class I3D(FeatureNetwork):
    """I3D for Kinetics-400 or -600, with the names of the piergiaj state dict.

    ``network(video)`` gives ``(logits, features)`` for float ``video`` (B T C H W) in [-1, 1] at 224x224,
    T >= 9: logits (B, classes) before the softmax, averaged over time; features (B, 1024), "avgpool", the
    mean over what the 2x7x7 average pool leaves.

    Examples:
        >>> network, _ = load_i3d("rgb_imagenet.pt")
        >>> logits, avgpool = network(video)

    Args:
        classes: 400 or 600 for the public weights.
        channels: 3 for RGB, 2 for the optical-flow stream.

    Raises:
        UserError: when called with a video of another layout or too small for the last pool.
    """

    def __init__(self, classes: int = 400, channels: int = 3) -> None:
        self.classes, self.channels = classes, channels
        super().__init__(functools.partial(_build, classes=classes, channels=channels))

    def forward(self, video: Tensor) -> Outputs:
        # 193 px and 9 frames are the least that leave 7x7 and 2 steps for the last pool.
        check_video(video, self.channels, steps=9, side=193, network="I3D")
        x = video.transpose(1, 2)
        for name, block in self.named_children():
            if name != "logits":
                x = block(x)
        pooled = F.avg_pool3d(x, (2, 7, 7), stride=1)
        logits = self.get_submodule("logits")(pooled)
        return Outputs(logits.mean((2, 3, 4)), pooled.mean((2, 3, 4)))


class Unit3d(nn.Module):
    """Convolution with TensorFlow's SAME padding, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, bias=False)
        # TF-Hub's and Sonnet's graphs: epsilon 1e-3 and no gamma (public state dicts hold ones).
        self.bn = FrozenBatchNorm(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        before, after = same_padding(x, self.kernel, self.stride)
        if before == after:
            y = F.conv3d(x, self.conv3d.weight, None, self.stride, before)
        else:
            y = self.conv3d(_pad(x, before, after))
        return F.relu(self.bn(y), inplace=True)


class Pool(nn.Module):
    """Max pool with TensorFlow's SAME padding; its input is never negative, so zeros pad it."""

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        before, after = same_padding(x, self.kernel, self.stride)
        return max_pool(_pad(x, before, after), self.kernel, self.stride)


def max_pool(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """What ``F.max_pool3d`` makes of ``x`` (B C T H W), without padding.

    On a CPU one axis after the other: a third of the time, as torch's looks for the place of each maximum, too.
    """
    if x.device.type != "cpu":
        return F.max_pool3d(x, kernel, stride)
    for axis, k, s in zip((2, 3, 4), kernel, stride, strict=True):
        x = functools.reduce(torch.maximum, x.unfold(axis, k, s).unbind(-1))
    return x


class Mixed(nn.Module):
    """Inception block: four branches, joined along the channels."""

    def __init__(self, inputs: int, b0: int, b1a: int, b1b: int, b2a: int, b2b: int, b3b: int) -> None:
        super().__init__()
        self.b0 = Unit3d(inputs, b0)
        self.b1a = Unit3d(inputs, b1a)
        self.b1b = Unit3d(b1a, b1b, kernel=3)
        self.b2a = Unit3d(inputs, b2a)
        self.b2b = Unit3d(b2a, b2b, kernel=3)
        self.b3a = Pool((3, 3, 3), (1, 1, 1))
        self.b3b = Unit3d(inputs, b3b)

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x)))
        return torch.cat(branches, dim=1)


class Logits(nn.Module):
    """The last 1x1x1 convolution, with a bias and nothing after it."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(inputs, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv3d(x)
        return y


def same_padding(x: Tensor, kernel: Triple, stride: Triple) -> tuple[Triple, Triple]:
    """TensorFlow's SAME padding of (T, H, W) before and after; an odd zero goes after."""
    before, after = [], []
    for size, k, s in zip(x.shape[2:], kernel, stride, strict=True):
        total = max(k - (s if size % s == 0 else size % s), 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return tuple(before), tuple(after)


def _pad(x: Tensor, before: Triple, after: Triple) -> Tensor:
    (t0, h0, w0), (t1, h1, w1) = before, after
    return F.pad(x, (w0, w1, h0, h1, t0, t1))


def _build(network: nn.Module, classes: int, channels: int) -> None:
    """Children in the order of the graph, under the names of its end points."""
    blocks: dict[str, nn.Module] = {
        "Conv3d_1a_7x7": Unit3d(channels, 64, kernel=7, stride=2),
        "MaxPool3d_2a_3x3": Pool((1, 3, 3), (1, 2, 2)),
        "Conv3d_2b_1x1": Unit3d(64, 64),
        "Conv3d_2c_3x3": Unit3d(64, 192, kernel=3),
        "MaxPool3d_3a_3x3": Pool((1, 3, 3), (1, 2, 2)),
    }
    for name, widths in MIXED.items():
        if name == "Mixed_4b":
            blocks["MaxPool3d_4a_3x3"] = Pool((3, 3, 3), (2, 2, 2))
        if name == "Mixed_5b":
            blocks["MaxPool3d_5a_2x2"] = Pool((2, 2, 2), (2, 2, 2))
        blocks[name] = Mixed(*widths)
    blocks["logits"] = Logits(1024, classes)
    for name, block in blocks.items():
        network.add_module(name, block)
