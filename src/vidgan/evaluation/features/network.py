"""What all feature networks share, and the one with fixed random weights.

A network with formula weights is also a fixed random network that anyone can rebuild to the bit.
"""

import abc
import contextlib
import itertools
import math
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.errors import UserError


class Outputs(NamedTuple):
    """What a feature network says about a batch of clips."""

    logits: Tensor
    """(B, classes)"""
    features: Tensor
    """(B, d), the layer that the network's Frechet distances use."""


class FeatureNetwork(nn.Module, abc.ABC):
    """A fixed map from videos to logits and features.

    The weights are blank (NaN) until a state dict is loaded, so a network without weights can never pass
    for one with weights. ``build`` makes the layers; it runs without memory or random draws.
    """

    def __init__(self, build: Callable[["FeatureNetwork"], None]) -> None:
        super().__init__()
        with torch.device("meta"):
            build(self)
        self.to_empty(device="cpu")
        for tensor in self.state_dict().values():
            tensor.fill_(math.nan if tensor.is_floating_point() else 0)
        self.requires_grad_(False)
        self.eval()

    @abc.abstractmethod
    def forward(self, video: Tensor) -> Outputs:
        """Outputs for float ``video`` (B T C H W), in the range and at the size the network wants."""

    def __call__(self, video: Tensor) -> Outputs:
        outputs: Outputs = super().__call__(video)
        return outputs


class FrozenBatchNorm(nn.BatchNorm3d):
    """Batch norm by its running statistics only, whatever the mode of the module."""

    def forward(self, input: Tensor) -> Tensor:
        return F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


def check_video(video: Tensor, channels: int, steps: int, side: int, network: str) -> None:
    """Raise :class:`UserError` unless ``video`` is float (B T C H W) and large enough."""
    if video.ndim != 5 or video.shape[2] != channels or not video.is_floating_point():
        raise UserError(
            f"{network} takes float videos (B, T, {channels}, H, W), not {video.dtype} {tuple(video.shape)}"
        )
    _, frames, _, height, width = video.shape
    if frames < steps or min(height, width) < side:
        raise UserError(
            f"{network} needs at least {steps} frames of {side}x{side}, not {frames} of {height}x{width}"
        )


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """No gradients, no autocast, and float32 products in full precision (no TF32, no bfloat16)."""
    cudnn: Any = torch.backends.cudnn
    mkldnn: Any = torch.backends.mkldnn
    backends = (cudnn.conv, torch.backends.cuda.matmul, mkldnn.conv, mkldnn.matmul)
    before = [backend.fp32_precision for backend in backends]
    for backend in backends:
        backend.fp32_precision = "ieee"
    try:
        with torch.no_grad(), torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision


Array = npt.NDArray[np.float64]


def uniform(key: str, shape: tuple[int, ...]) -> Array:
    """Numbers in [0, 1) of ``shape``, a hash of ``key`` and of each element's flat index (C order)."""
    size = math.prod(shape)
    # An index times the golden ratio's 32 bits, then the mixer "lowbias32"; all modulo 2^32.
    x = np.arange(size, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32(zlib.crc32(key.encode()))
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    u: Array = (x / 2.0**32).reshape(shape)
    return u


def i3d_value(key: str, shape: tuple[int, ...]) -> Array:
    """The formula value of an I3D tensor called ``key`` (names of :class:`~vidgan.evaluation.features.i3d.I3D`)."""
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape)
    if key.endswith("bn.weight"):
        return np.ones(shape)
    u = uniform(key, shape)
    if key.endswith("conv3d.weight"):
        return math.sqrt(6 / math.prod(shape[1:])) * (2 * u - 1)  # He-uniform
    if key.endswith("conv3d.bias"):
        return 2 * u - 1
    if key.endswith("running_mean"):
        return 0.4 * u - 0.2
    if key.endswith("running_var"):
        return 0.25 + 1.5 * u
    return 0.4 * u - 0.1


def i3d_state(network: nn.Module) -> dict[str, Tensor]:
    """A state dict for an I3D ``network`` by :func:`i3d_value`."""
    return {
        key: torch.from_numpy(i3d_value(key, tuple(value.shape))).to(value.dtype)
        for key, value in network.state_dict().items()
    }


WIDTHS = (3, 16, 32, 80)


class RandomConv3d(nn.Module):
    """Three random 3x3x3 convolutions; features (B, 128) are every channel's mean over time and space.

    ``network(video)`` takes float ``video`` (B T 3 H W) in [-1, 1], at least 1 frame of 8x8. The weights
    are :func:`uniform` of fixed keys, so they are the same on every machine and for ever.
    Our choice throughout; what matters is that the features see texture, colour and motion, that no layer
    saturates, and that 16 frames of 64x64 cost 0.06 GMAC.

    Examples:
        >>> RandomConv3d()(torch.zeros(2, 16, 3, 64, 64)).shape
        torch.Size([2, 128])
    """

    def __init__(self) -> None:
        super().__init__()
        for index, (inputs, outputs) in enumerate(itertools.pairwise(WIDTHS)):
            self.register_buffer(f"weight{index}", _weight(index, inputs, outputs))

    def forward(self, video: Tensor) -> Tensor:
        check_video(video, channels=3, steps=1, side=8, network="RandomConv3d")
        x = video.transpose(1, 2)
        means = []
        for index, stride in enumerate(((1, 2, 2), (2, 2, 2), (2, 2, 2))):
            # Edges are repeated, not blackened: a black border would look like content.
            x = F.pad(x, (1, 1, 1, 1, 1, 1), mode="replicate")
            x = F.relu(F.conv3d(x, self.get_buffer(f"weight{index}"), stride=stride))
            means.append(x.mean((2, 3, 4)))
        return torch.cat(means, dim=1)


def _weight(index: int, inputs: int, outputs: int) -> Tensor:
    """He-uniform filters; of each four, one sees no constant colour, two no still picture, one all."""
    shape = (outputs, inputs, 3, 3, 3)
    weight = torch.from_numpy(2 * uniform(f"random-conv3d/{index}", shape) - 1)
    weight[0::4] -= weight[0::4].mean((1, 2, 3, 4), keepdim=True)
    for still in (1, 2):
        weight[still::4] -= weight[still::4].mean(2, keepdim=True)
    weight /= weight.square().mean((1, 2, 3, 4), keepdim=True).sqrt()
    return (weight * math.sqrt(2 / (27 * inputs))).float()
