"""The resizings that published protocols use; they differ, and scores differ with them.

None of them filters before it shrinks. Linear ones follow TensorFlow's arithmetic in float32.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Positions = Callable[[int, int], Tensor]


def bilinear_legacy(frames: Tensor, height: int, width: int) -> Tensor:
    """TensorFlow 1's ``tf.image.resize_bilinear``: output i looks at i * in / out.

    ``frames`` (..., H, W), any number type; returns float32 (..., height, width).
    """
    return _bilinear(frames, height, width, _legacy)


def bilinear_half_pixel(frames: Tensor, height: int, width: int) -> Tensor:
    """Pixel centres at half-integers, as TensorFlow 2 and PyTorch do without antialiasing."""
    return _bilinear(frames, height, width, _half_pixel)


def bilinear_corners(frames: Tensor, height: int, width: int) -> Tensor:
    """Corner pixels kept on corner pixels (``align_corners=True``; Chainer's ``resize_images``)."""
    return _bilinear(frames, height, width, _corners)


def bicubic(frames: Tensor, height: int, width: int) -> Tensor:
    """OpenCV's ``INTER_CUBIC`` on floats: a = -0.75, half-pixel centres, edges repeated."""
    flat = frames.float().reshape(-1, 1, *frames.shape[-2:])
    out = F.interpolate(flat, (height, width), mode="bicubic", align_corners=False, antialias=False)
    return out.reshape(*frames.shape[:-2], height, width)


def centre_crop(frames: Tensor, height: int, width: int) -> Tensor:
    """The middle ``height`` x ``width`` of ``frames`` (..., H, W); offsets as torchvision rounds them."""
    top = round((frames.shape[-2] - height) / 2)
    left = round((frames.shape[-1] - width) / 2)
    return frames[..., top : top + height, left : left + width]


def _bilinear(frames: Tensor, height: int, width: int, positions: Positions) -> Tensor:
    x = frames.float()
    columns = positions(x.shape[-1], width).to(x.device)
    x = _interpolate(x, columns)
    rows = positions(x.shape[-2], height).to(x.device)
    return _interpolate(x.transpose(-1, -2), rows).transpose(-1, -2)


def _interpolate(x: Tensor, positions: Tensor) -> Tensor:
    last = x.shape[-1] - 1
    floor = positions.floor()
    low = floor.long().clamp(0, last)
    high = positions.ceil().long().clamp(0, last)
    a = x.index_select(-1, low)
    return a + (x.index_select(-1, high) - a) * (positions - floor)


def _legacy(size: int, target: int) -> Tensor:
    return _steps(target) * _scale(size, target)


def _half_pixel(size: int, target: int) -> Tensor:
    return (_steps(target) + 0.5) * _scale(size, target) - 0.5


def _corners(size: int, target: int) -> Tensor:
    return _steps(target) * (_scale(size - 1, target - 1) if target > 1 else 0.0)


def _steps(target: int) -> Tensor:
    return torch.arange(target, dtype=torch.float32)


def _scale(size: int, target: int) -> Tensor:
    return torch.tensor(float(size)) / torch.tensor(float(target))
