"""C3D (Tran et al. 2015) as TGAN scores UCF-101 with it, and the two ways to prepare its input."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.errors import UserError
from vidgan.evaluation.features.network import FeatureNetwork, Outputs, check_video
from vidgan.evaluation.features.resize import bicubic, bilinear_corners

CONVOLUTIONS = {
    "conv1a": (3, 64),
    "conv2a": (64, 128),
    "conv3a": (128, 256),
    "conv3b": (256, 256),
    "conv4a": (256, 512),
    "conv4b": (512, 512),
    "conv5a": (512, 512),
    "conv5b": (512, 512),
}
POOL_AFTER = ("conv1a", "conv2a", "conv3b", "conv4b", "conv5b")
MEAN_SHAPE = (3, 16, 128, 171)


class C3D(FeatureNetwork):
    """C3D with ceil-mode pooling (7 -> 4 at the last pool, as in Caffe and Chainer).

    ``network(video)`` gives ``(logits, features)`` for a prepared ``video`` (B 16 3 112 112), BGR in about
    [-128, 128] less the mean clip (:func:`tgan_input`, :func:`tganv2_input`): logits (B, classes) before
    the softmax; features (B, 4096), fc7 after its ReLU.

    Examples:
        >>> network, _ = load_c3d("conv3d_deepnetA_ucf.npz")
        >>> logits, fc7 = network(tgan_input(video, mean))

    Raises:
        UserError: when called with a video of another layout or size.
    """

    def __init__(self, classes: int = 101) -> None:
        self.classes = classes
        super().__init__(functools.partial(_build, classes=classes))

    def forward(self, video: Tensor) -> Outputs:
        check_video(video, channels=3, steps=16, side=112, network="C3D")
        if (*video.shape[1:2], *video.shape[3:]) != (16, 112, 112):
            raise UserError(f"C3D takes exactly 16 frames of 112x112, not {tuple(video.shape)}")
        x = video.transpose(1, 2)
        for name in CONVOLUTIONS:
            x = F.relu(self.get_submodule(name)(x))
            if name in POOL_AFTER:
                window = (1, 2, 2) if name == "conv1a" else (2, 2, 2)
                x = F.max_pool3d(x, window, window, ceil_mode=True)
        x = F.relu(self.get_submodule("fc6")(x.flatten(1)))
        fc7 = F.relu(self.get_submodule("fc7")(x))
        return Outputs(self.get_submodule("fc8")(fc7), fc7)


def tganv2_input(video: Tensor, mean: Tensor) -> Tensor:
    """TGANv2's preparation of ``video`` (B 16 3 H W) in [-1, 1].

    Scaled by 128, BGR, resized straight to 112x112 with corners aligned, 128 added, and the mean clip's
    crop [8:120, 8:120] taken off - off centre in its columns, as published.

    Args:
        mean: the mean clip (3 16 128 171), BGR.
    """
    x = bilinear_corners(_bgr(video * 128), 112, 112)
    return x + 128 - _mean_video(mean, video)[..., 8:120, 8:120]


def tgan_input(video: Tensor, mean: Tensor) -> Tensor:
    """TGAN's preparation of ``video`` (B 16 3 H W) in [-1, 1].

    128 x + 128 without clipping or rounding, bicubic to 128x128, BGR, the mean clip's middle columns
    21:149 taken off, then rows and columns 8:120.

    Args:
        mean: the mean clip (3 16 128 171), BGR.
    """
    x = _bgr(bicubic(video * 128 + 128, 128, 128)) - _mean_video(mean, video)[..., 21:149]
    return x[..., 8:120, 8:120]


def _bgr(video: Tensor) -> Tensor:
    return video.flip(2)


def _mean_video(mean: Tensor, video: Tensor) -> Tensor:
    """The mean clip (C T H W) as a video (1 T C H W) beside ``video``."""
    if tuple(mean.shape) != MEAN_SHAPE:
        raise UserError(f"C3D's mean clip has the shape {MEAN_SHAPE}, not {tuple(mean.shape)}")
    if video.shape[1] != MEAN_SHAPE[1]:
        raise UserError(f"C3D takes exactly 16 frames, not {video.shape[1]}")
    return mean.to(video.device, torch.float32).transpose(0, 1)[None]


def _build(network: nn.Module, classes: int) -> None:
    for name, (inputs, outputs) in CONVOLUTIONS.items():
        network.add_module(name, nn.Conv3d(inputs, outputs, 3, padding=1))
    network.add_module("fc6", nn.Linear(512 * 4 * 4, 4096))
    network.add_module("fc7", nn.Linear(4096, 4096))
    network.add_module("fc8", nn.Linear(4096, classes))
