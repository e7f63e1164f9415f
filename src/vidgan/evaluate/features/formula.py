"""Weights and clips defined by integer formulas: they prove a network right without any download.

A network with formula weights is also a fixed random network that anyone can rebuild to the bit.
"""

import math
import zlib

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

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
    """The formula value of an I3D tensor called ``key`` (names of :class:`~.i3d.I3D`)."""
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape)
    if key.endswith("bn.weight"):
        return np.ones(shape)
    u = uniform(key, shape)
    if key.endswith("conv3d.weight"):
        return _he_uniform(u)
    if key.endswith("conv3d.bias"):
        return 2 * u - 1
    return _batch_norm(key, u)


def plain_value(key: str, shape: tuple[int, ...]) -> Array:
    """The formula value of a tensor of C3D, R(2+1)D or any other network."""
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape)
    u = uniform(key, shape)
    if key.endswith("weight"):
        return _he_uniform(u) if u.ndim > 1 else 0.5 + u
    return _batch_norm(key, u)


def i3d_state(network: nn.Module) -> dict[str, Tensor]:
    """A state dict for an I3D ``network`` by :func:`i3d_value`."""
    return {k: _cast(i3d_value(k, tuple(v.shape)), v) for k, v in network.state_dict().items()}


def plain_state(network: nn.Module) -> dict[str, Tensor]:
    """A state dict for ``network`` by :func:`plain_value`."""
    return {k: _cast(plain_value(k, tuple(v.shape)), v) for k, v in network.state_dict().items()}


def clip_uint8(clips: int, steps: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Test clips (N T H W 3) that move, with edges, gradients and unlike colours."""
    n, t, h, w, c = np.ogrid[:clips, :steps, :height, :width, :3]
    checks = ((h // 8 + w // 8 + t) % 2) * 64
    value = h * w // 8 + 3 * h * (c + 1) + 5 * w + 17 * t * (n + 1) + 40 * c + 90 * n + checks
    clip: npt.NDArray[np.uint8] = (value % 256).astype(np.uint8)
    return clip


def _he_uniform(u: Array) -> Array:
    return math.sqrt(6 / math.prod(u.shape[1:])) * (2 * u - 1)


def _batch_norm(key: str, u: Array) -> Array:
    if key.endswith("running_mean"):
        return 0.4 * u - 0.2
    if key.endswith("running_var"):
        return 0.25 + 1.5 * u
    return 0.4 * u - 0.1


def _cast(value: Array, like: Tensor) -> Tensor:
    return torch.from_numpy(value).to(like.dtype)
