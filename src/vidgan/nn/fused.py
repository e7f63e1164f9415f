"""Scale, shift and ReLU in one autograd function that keeps its input and output only.

The output is what the next convolution keeps anyway, so plain autograd's scaled tensor and mask are saved:
a third of a generator's memory, and several passes over it.
"""

from typing import Any

import torch
from torch import Tensor


class _ScaleShiftReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        y = torch.addcmul(shift, x, scale).relu_()
        ctx.save_for_backward(x, scale, y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, scale, y = ctx.saved_tensors
        gradient = torch.ops.aten.threshold_backward(gradients[0], y, 0)
        wide = torch.promote_types(x.dtype, torch.float32)
        grad_scale = (gradient * x).sum((3, 4), keepdim=True, dtype=wide).to(scale.dtype)
        grad_shift = gradient.sum((3, 4), keepdim=True, dtype=wide).to(scale.dtype)
        return gradient.mul_(scale), grad_scale, grad_shift


def scale_shift_relu(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """relu(x * scale + shift).

    Args:
        x: video (B T C H W).
        scale: (B T C); computed in float32, cast here to the dtype of ``x``.
        shift: (B T C).
    """
    scale, shift = (s.to(x.dtype)[..., None, None] for s in (scale, shift))
    y: Tensor = _ScaleShiftReLU.apply(x, scale, shift)
    return y


class _MeanAndSquare(torch.autograd.Function):
    """One pass back over the input instead of plain autograd's five."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x)
        ctx.axes = axes
        wide = torch.promote_types(x.dtype, torch.float32)
        # Two plain means: over these strides ``var_mean`` is three to five times slower.
        first = x.mean(axes, keepdim=True, dtype=wide)
        # Squares rounded to bfloat16 would lose the variance of a channel whose mean is large beside it.
        square = x * x if x.dtype == wide else x.to(wide).square_()
        return first, square.mean(axes, keepdim=True)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        count = x.numel() // gradients[0].numel()
        first, second = ((g / count).to(x.dtype) for g in gradients)
        return torch.addcmul(first, x, 2 * second), None


def mean_and_square(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """E[x] and E[x^2] over ``axes``, kept as axes of size one, in float32 or wider."""
    first, second = _MeanAndSquare.apply(x, axes)
    return first, second
