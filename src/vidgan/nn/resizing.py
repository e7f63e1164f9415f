"""Changes of size by two, and the kernels with which a convolution beside one takes it in.

A 3x3 convolution of a map that was just enlarged sees every value four times, and one whose output is then averaged
computes four values for one. Both are exactly one convolution of stride 2 whose 4x4 kernel holds sums of the 3x3
kernel's weights: 16 multiplications where there were 36. In a 3-D convolution the same holds in height and width, and
in time where pairs of steps are averaged.
"""

from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.shapes import fold_time, unfold_time

LEAST_SIDE: Final = {torch.bfloat16: 16}
"""Height and width of the smaller map from which a 4x4 kernel pays, by the dtype of the computation.

Our choice: measured by benchmarks/bench_resizing.py on a CPU whose matrix unit takes bfloat16; docs/results/speed.md
has the table.
"""

LEAST_SIDE_OTHERWISE: Final = 4
"""The same for float32 and wider."""


def folding_pays(dtype: torch.dtype, height: int, width: int) -> bool:
    """Whether one convolution with a 4x4 kernel is faster; ``height`` and ``width`` are those of the smaller map."""
    return min(height, width) >= LEAST_SIDE.get(dtype, LEAST_SIDE_OTHERWISE)


def nearest_upsample(frames: Tensor) -> Tensor:
    """Nearest-neighbour upsampling of frames (N C H W) by 2."""
    return F.interpolate(frames, scale_factor=2.0, mode="nearest")


def average_pool(x: Tensor) -> Tensor:
    """Mean over 2x2 cells of every frame of a video (B T C H W); an odd last row or column is dropped."""
    return unfold_time(F.avg_pool2d(fold_time(x), 2), x.shape[1])


def pair_mean(x: Tensor) -> Tensor:
    """Mean of steps 2t and 2t+1 (B T C H W -> B T//2 C H W); ``avg_pool3d`` has no bf16 kernel on the CPU."""
    pairs = x.shape[1] // 2
    if pairs == 0:
        return x
    return torch.add(x[:, 0 : 2 * pairs : 2], x[:, 1 : 2 * pairs : 2]) * 0.5


def enlarging_kernel(weight: Tensor) -> Tensor:
    """Kernels (out in 3 3) as those (in out 4 4) of the transposed convolution that also upsamples by 2.

    Stride 2 and padding 1. In one dimension, for weights a, b, c of the cells -1, 0, 1: an even output sees a of the
    cell before and b + c of its own, an odd one a + b of its own and c of the next. The kernel is (c, b + c, a + b, a).
    """
    folded: Tensor = _Spread.apply(weight.transpose(0, 1).flip(2, 3), (2, 3))
    return folded


def shrinking_kernel(weight: Tensor) -> Tensor:
    """Kernels (out in [3] 3 3) as those (out in [3] 4 4) of the convolution that also averages 2x2 cells.

    Stride 2 and padding 1. In one dimension, for weights a, b, c: (a, a + b, b + c, c) / 2.
    """
    folded: Tensor = _Spread.apply(weight * 0.25, (weight.ndim - 2, weight.ndim - 1))
    return folded


def shrinking_kernel_and_time(weight: Tensor) -> Tensor:
    """Kernels (out in 3 3 3) as those (out in 4 4 4) that average pairs of steps too, with stride 2 in time."""
    folded: Tensor = _Spread.apply(weight * 0.125, (2, 3, 4))
    return folded


class _Spread(torch.autograd.Function):
    """(a, b, c) -> (a, a + b, b + c, c) along each of ``axes``, in one piece and in the memory order of channels-last.

    oneDNN reorders kernels in another order at every call, which costs wide layers half of what folding saves.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, axes: tuple[int, ...]) -> Tensor:
        ctx.axes = axes
        for axis in axes:
            weight = _along(weight, axis)
        order = torch.channels_last if weight.ndim == 4 else torch.channels_last_3d
        return weight.contiguous(memory_format=order)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        for axis in ctx.axes:
            length = gradient.shape[axis] - 1
            gradient = gradient.narrow(axis, 0, length) + gradient.narrow(axis, 1, length)
        return gradient, None


def _along(weight: Tensor, axis: int) -> Tensor:
    spread = weight.new_zeros([size + (i == axis) for i, size in enumerate(weight.shape)])
    length = weight.shape[axis]
    spread.narrow(axis, 0, length).copy_(weight)
    spread.narrow(axis, 1, length).add_(weight)
    return spread
