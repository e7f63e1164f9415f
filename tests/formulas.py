"""Weights and clips made by formula, as the programs that made tests/vectors made them."""

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from vidgan.evaluation.features.network import i3d_state, i3d_value, uniform

__all__ = ["clip_uint8", "i3d_state", "i3d_value", "plain_state", "plain_value", "uniform"]

Array = np.ndarray[Any, np.dtype[np.float64]]


def plain_value(key: str, shape: tuple[int, ...]) -> Array:
    """The formula value of a tensor of C3D, R(2+1)D or any other network than I3D."""
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape)
    u = uniform(key, shape)
    if key.endswith("weight"):
        return math.sqrt(6 / math.prod(shape[1:])) * (2 * u - 1) if len(shape) > 1 else 0.5 + u
    if key.endswith("running_mean"):
        return 0.4 * u - 0.2
    if key.endswith("running_var"):
        return 0.25 + 1.5 * u
    return 0.4 * u - 0.1


def plain_state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {
        key: torch.from_numpy(plain_value(key, tuple(value.shape))).to(value.dtype)
        for key, value in network.state_dict().items()
    }


def clip_uint8(clips: int, steps: int, height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Clips (N T H W 3) that move, with edges, gradients and unlike colours."""
    n, t, h, w, c = np.ogrid[:clips, :steps, :height, :width, :3]
    checks = ((h // 8 + w // 8 + t) % 2) * 64
    value = h * w // 8 + 3 * h * (c + 1) + 5 * w + 17 * t * (n + 1) + 40 * c + 90 * n + checks
    return (value % 256).astype(np.uint8)
