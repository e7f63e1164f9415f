"""R(2+1)D with 18 layers (Tran et al. 2018), as torchvision builds it, and its preprocessing."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.evaluation.features.network import FeatureNetwork, FrozenBatchNorm, Outputs, check_video
from vidgan.evaluation.features.resize import bilinear_half_pixel, centre_crop

MEAN = (0.43216, 0.394666, 0.37645)
DEVIATION = (0.22803, 0.22145, 0.216989)


class R2Plus1D(FeatureNetwork):
    """R(2+1)D-18 with the names of torchvision's ``r2plus1d_18`` state dict.

    ``network(video)`` gives ``(logits, features)`` for a prepared ``video`` (B T 3 H W)
    (:func:`r2plus1d_input`): logits (B, classes) before the softmax; features (B, 512), the average pool.

    Examples:
        >>> network, _ = load_r2plus1d("r2plus1d_18-91a641e6.pth")
        >>> logits, avgpool = network(r2plus1d_input(video))

    Raises:
        UserError: when called with a video of another layout.
    """

    def __init__(self, classes: int = 400) -> None:
        self.classes = classes
        super().__init__(functools.partial(_build, classes=classes))

    def forward(self, video: Tensor) -> Outputs:
        check_video(video, channels=3, steps=1, side=16, network="R(2+1)D")
        x = self.get_submodule("stem")(video.transpose(1, 2))
        for layer in ("layer1", "layer2", "layer3", "layer4"):
            x = self.get_submodule(layer)(x)
        features = x.mean((2, 3, 4))
        return Outputs(self.get_submodule("fc")(features), features)


class R2Plus1DBlock(nn.Module):
    """Two factorised convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        # One middle width serves both convolutions of a block: that of its first full 3x3x3 kernel.
        middle = (inputs * outputs * 27) // (inputs * 9 + 3 * outputs)
        self.conv1 = nn.Sequential(_factorised(inputs, outputs, middle, stride), _norm(outputs), _relu())
        self.conv2 = nn.Sequential(_factorised(outputs, outputs, middle, 1), _norm(outputs))
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv3d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, _norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.conv2(self.conv1(x)) + shortcut)


def r2plus1d_input(video: Tensor) -> Tensor:
    """The preset of torchvision's training code for ``video`` (B T 3 H W) in [-1, 1].

    To [0, 1], bilinear (half-pixel) to 128x171, the middle 112x112, then normalised per channel.
    Our choice: nothing is rounded to 8 bits after the resize, as in the preset of 2020; the preset that
    ships with later weights rounds where it is given bytes.
    """
    x = centre_crop(bilinear_half_pixel((video + 1) / 2, 128, 171), 112, 112)
    mean = torch.tensor(MEAN, device=x.device)[:, None, None]
    deviation = torch.tensor(DEVIATION, device=x.device)[:, None, None]
    return (x - mean) / deviation


def _factorised(inputs: int, outputs: int, middle: int, stride: int) -> nn.Sequential:
    space = nn.Conv3d(inputs, middle, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)
    time = nn.Conv3d(middle, outputs, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False)
    return nn.Sequential(space, _norm(middle), _relu(), time)


def _norm(channels: int) -> nn.Module:
    return FrozenBatchNorm(channels)


def _relu() -> nn.Module:
    return nn.ReLU(inplace=True)


def _build(network: nn.Module, classes: int) -> None:
    stem = nn.Sequential(
        nn.Conv3d(3, 45, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
        _norm(45),
        _relu(),
        nn.Conv3d(45, 64, (3, 1, 1), padding=(1, 0, 0), bias=False),
        _norm(64),
        _relu(),
    )
    network.add_module("stem", stem)
    inputs = 64
    for index, width in enumerate((64, 128, 256, 512)):
        first = R2Plus1DBlock(inputs, width, stride=1 if index == 0 else 2)
        network.add_module(f"layer{index + 1}", nn.Sequential(first, R2Plus1DBlock(width, width, stride=1)))
        inputs = width
    network.add_module("fc", nn.Linear(512, classes))
