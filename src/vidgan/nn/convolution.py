"""How convolutions are computed: together with the change of size beside them, or as a matrix product.

A 3x3 convolution of a map that was just enlarged sees every value four times, and one whose output is then averaged
computes four values for one. Both are exactly one convolution of stride 2 whose 4x4 kernel holds sums of the 3x3
kernel's weights: 16 multiplications where there were 36. In a 3-D convolution the same holds in height and width, and
in time where pairs of steps are averaged.

On a CPU, a convolution of wide but small maps spends its time on reordering the kernel; the product of its cells'
neighbourhoods with the kernel as a matrix needs no such thing.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.nn.processor import has_matrix_unit
from vidgan.nn.products import linear
from vidgan.shapes import fold_time, unfold_time


class Least(NamedTuple):
    """From what sizes of the smaller map a 4x4 kernel pays."""

    side: int
    """height and width; small ones are mostly edge"""
    cells: int
    """frames times height times width: making the kernel costs as much for few as for many"""


PAYS: Final = Least(side=4, cells=1024)
"""In float32 and wider, measured: docs/results/speed.md."""

PAYS_IN_BFLOAT16: Final = Least(side=16, cells=4096)
"""Measured on a CPU with AMX, which takes bfloat16."""

PAYS_WITHOUT_AMX: Final = Least(side=8, cells=1024)
"""The same on one with AVX-512's bfloat16."""


def folding_pays(x: Tensor, frames: int, height: int, width: int) -> bool:
    """Whether one convolution of ``x`` with a 4x4 kernel is faster; the sizes are those of the smaller map."""
    least = PAYS
    if x.dtype == torch.bfloat16:
        # A GPU has not been measured.
        least = PAYS_IN_BFLOAT16 if x.device.type != "cpu" or has_matrix_unit() else PAYS_WITHOUT_AMX
    return min(height, width) >= least.side and frames * height * width >= least.cells


LEAST_WEIGHTS: Final = 2**16
"""Pairs of input and output channels from which a matrix product pays, measured likewise."""


def product_pays(cells: int, weight: Tensor) -> bool:
    """Whether a matrix product of ``cells``, frames times height times width, is faster on a CPU."""
    outputs, inputs, *size = weight.shape
    return len(size) == 2 and size[0] > 1 and cells <= outputs and inputs * outputs >= LEAST_WEIGHTS


def convolution_like(x: Tensor, weight: Tensor, padding: int) -> Callable[[Tensor, Tensor | None], Tensor]:
    """The size-preserving convolution of frames like ``x`` with ``weight``, as a function of frames and bias.

    The weight is put into the order that suits it here, so that a loop over time does so once.

    Args:
        x: frames (N in H W), of which the shape and the device count.
        weight: kernels (out in k k), in the dtype of ``x``.
        padding: k // 2.
    """
    outputs, _, size, _ = weight.shape
    # A graph that is exported is for batches of any size.
    on_cpu = x.device.type == "cpu" and not torch.compiler.is_exporting()
    if on_cpu and product_pays(x.shape[0] * x.shape[2] * x.shape[3], weight):
        matrix = weight.flatten(1)

        def product(frames: Tensor, bias: Tensor | None) -> Tensor:
            n, _, height, width = frames.shape
            patches = F.unfold(frames, size, padding=padding).transpose(1, 2).flatten(0, 1)
            return linear(patches, matrix, bias).view(n, height, width, outputs).permute(0, 3, 1, 2)

        return product
    kernel = weight.contiguous(memory_format=torch.channels_last)

    def convolution(frames: Tensor, bias: Tensor | None) -> Tensor:
        return convolve_frames(frames, kernel, bias, 1, padding)

    return convolution


def convolve_frames(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """:func:`torch.nn.functional.conv2d` of frames (N in H W)."""
    pays = x.dtype != torch.bfloat16
    return _summing_gradient(lambda bias: F.conv2d(x, weight, bias, stride, padding), bias, pays)


def convolve_clip(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int | tuple[int, int, int],
    padding: tuple[int, ...],
) -> Tensor:
    """:func:`torch.nn.functional.conv3d` of clips (B, in, T, H, W) whose gradients are right.

    On CPUs, torch 2.13 gives kernels over time a wrong gradient in bfloat16 where a clip has exactly two steps: it
    reads memory that nobody wrote, so that it is right in a young process and NaN or as far off as it is large later. A
    third step of zeros is what the padding holds there anyway.
    """
    two = x.shape[2] == 2 and weight.shape[2] > 1 and padding[0] > 0
    if two and x.device.type == "cpu" and x.dtype == torch.bfloat16 and torch.is_grad_enabled():
        steps = (2 + 2 * padding[0] - weight.shape[2]) // (
            stride if isinstance(stride, int) else stride[0]
        ) + 1
        x = F.pad(x, (0, 0, 0, 0, 0, 1))
        return F.conv3d(x, weight, bias, stride=stride, padding=padding)[:, :, :steps]
    pays = x.dtype != torch.bfloat16
    return _summing_gradient(lambda bias: F.conv3d(x, weight, bias, stride, padding), bias, pays)


def convolve_upsampled(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """Frames (N out 2H 2W) of frames (N in H W), by a kernel of :func:`upsampling_kernel`."""
    return _summing_gradient(
        lambda bias: F.conv_transpose2d(x, kernel, bias, stride=2, padding=1), bias, pays=True
    )


def _summing_gradient(convolve: Callable[[Tensor | None], Tensor], bias: Tensor | None, pays: bool) -> Tensor:
    """A convolution whose bias gets its gradient by a sum, where that ``pays``, not by the backward pass."""
    if bias is None or not (pays and bias.requires_grad and torch.is_grad_enabled()):
        return convolve(bias)
    if bias.device.type != "cpu" or torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return convolve(bias)
    biased: Tensor = _BiasGradient.apply(convolve(bias.detach()), bias)
    return biased


class _BiasGradient(torch.autograd.Function):
    """Frames or clips (N C ...) to which a bias was added, and its gradient.

    Where oneDNN takes it along, in a transposed convolution's backward pass, it takes as long as the gradients of
    frames and kernel together, in a plain one's in float32 a twentieth of that; a sum takes a hundredth.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, bias: Tensor) -> Tensor:
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (gradient,) = gradients
        return gradient, gradient.sum((0, *range(2, gradient.ndim)))


class BoundConvolution:
    """A convolution with a fixed weight and bias, for frames (N in H W) of one size again and again."""

    def __init__(self, weight: Tensor, bias: Tensor | None, padding: int) -> None:
        self._weight, self._bias, self._padding = weight, bias, padding
        self._convolve: Callable[[Tensor, Tensor | None], Tensor] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        if self._convolve is None:
            self._convolve = convolution_like(x, self._weight, self._padding)
        return self._convolve(x, self._bias)


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


def upsampling_kernel(weight: Tensor) -> Tensor:
    """Kernels (out in 3 3) as those (in out 4 4) of the transposed convolution that also upsamples by 2.

    Stride 2 and padding 1. In one dimension, for weights a, b, c of the cells -1, 0, 1: an even output sees a of the
    cell before and b + c of its own, an odd one a + b of its own and c of the next. The kernel is (c, b + c, a + b, a).
    """
    folded: Tensor = _Spread.apply(weight.transpose(0, 1).flip(2, 3), (2, 3))
    return folded


def downsampling_kernel(weight: Tensor) -> Tensor:
    """Kernels (out in [3] 3 3) as those (out in [3] 4 4) of the convolution that also averages 2x2 cells.

    Stride 2 and padding 1. In one dimension, for weights a, b, c: (a, a + b, b + c, c) / 2.
    """
    folded: Tensor = _Spread.apply(weight * 0.25, (weight.ndim - 2, weight.ndim - 1))
    return folded


def downsampling_kernel_and_time(weight: Tensor) -> Tensor:
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
