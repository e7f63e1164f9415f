"""What every feature network has in common: frozen, blank until loaded, exact float32."""

import abc
import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

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


class FrozenBatchNorm3d(nn.BatchNorm3d):
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
