"""Kernel-based warping (Luc et al. 2020, B), the networks that predict its kernels, and the motion that they show."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vidgan.bounds import Length
from vidgan.nn.joined import Gates
from vidgan.nn.layers import Conv2d, Linear, require_odd
from vidgan.spec import Spec

POOLED = 4
"""side of the pooled features from which a factorised warp's basis is predicted (Luc et al. 2020, F.1)"""

Predict = Callable[[Tensor], Tensor]
"""Features [h; x] (B ? H W) -> kernels (B k*k H W), each position's weights summing to one."""


class WarpSpec(Spec, ABC):
    """What describes the network that predicts a warp's kernels."""

    size: Length = 3
    """side k of the kernels, in positions (odd)"""

    def validate(self) -> None:
        require_odd(self.size)

    @abstractmethod
    def build(self, inputs: int) -> "Warp":
        """The network for features of ``inputs`` channels."""


class FactorisedWarpSpec(WarpSpec):
    """N kernels per sample and a map of their mixture (Luc et al. 2020, 3.2.1 and Eq. 12)."""

    kernels: Length = 9
    """number N of kernels; the paper takes k*k"""

    def validate(self) -> None:
        super().validate()

    def build(self, inputs: int) -> "Warp":
        return FactorisedWarp(inputs, size=self.size, kernels=self.kernels)


class PixelwiseWarpSpec(WarpSpec):
    """A kernel of its own for each position (Luc et al. 2020, 3.2.1)."""

    def build(self, inputs: int) -> "Warp":
        return PixelwiseWarp(inputs, size=self.size)


class Warp(nn.Module, ABC):
    """Predicts the kernels of :func:`warp` from features: the paper's f."""

    @abstractmethod
    def bind(self, dtype: torch.dtype) -> Predict:
        """The prediction, its weights normalised and cast to ``dtype`` once for the loop over time."""

    def forward(self, x: Tensor) -> Tensor:
        """Kernels (B k*k H W) from features (B inputs H W), each position's weights summing to one."""
        return self.bind(x.dtype)(x)


class FactorisedWarp(Warp):
    """A basis w from convolution, pooling and a perceptron; a map S from one convolution (F.1).

    Our choice: 3x3 convolutions, as the gates'; every hidden layer is half as wide as the unit's input has channels,
    though the perceptron's own input has more (F.1: "half the number of input channels").
    """

    def __init__(self, inputs: int, *, size: int = 3, kernels: int = 9) -> None:
        super().__init__()
        self.taps, self.kernels = size**2, kernels
        width = hidden_width(inputs)
        self.features = Conv2d(inputs, width)
        self.hidden = Linear(width * POOLED**2, width)
        self.basis = Linear(width, self.taps * self.kernels)
        self.selection = Conv2d(inputs, self.kernels)

    def bind(self, dtype: torch.dtype) -> Predict:
        convolutions = Gates(dtype, self.features, self.selection)
        hidden, basis = self.hidden.bind(dtype), self.basis.bind(dtype)

        def predict(x: Tensor) -> Tensor:
            features, selection = convolutions(x)
            # A maximum and ReLU commute: ReLU of the smaller map.
            pooled = F.relu(F.adaptive_max_pool2d(features, POOLED)).flatten(1)
            w = torch.unflatten(basis(F.relu(hidden(pooled))), 1, (self.taps, self.kernels))
            return combine(w.softmax(dim=1), selection.softmax(dim=1))

        return predict


class PixelwiseWarp(Warp):
    """A convolutional network with two hidden layers of half the input's width (F.1).

    Our choice: 3x3 convolutions, as the gates'.
    """

    def __init__(self, inputs: int, *, size: int = 3) -> None:
        super().__init__()
        width = hidden_width(inputs)
        self.first = Conv2d(inputs, width)
        self.second = Conv2d(width, width)
        self.last = Conv2d(width, size**2)

    def bind(self, dtype: torch.dtype) -> Predict:
        first, second, last = self.first.bind(dtype), self.second.bind(dtype), self.last.bind(dtype)

        def predict(x: Tensor) -> Tensor:
            return last(F.relu(second(F.relu(first(x))))).softmax(dim=1)

        return predict


def hidden_width(inputs: int) -> int:
    """Half the input's channels (Luc et al. 2020, F.1), one at least."""
    return max(inputs // 2, 1)


def combine(w: Tensor, selection: Tensor) -> Tensor:
    """Kernels per position from a basis and a map of coefficients (Luc et al. 2020, Eq. 12).

    Args:
        w: kernels (B k*k N).
        selection: coefficients S (B N H W).

    Returns:
        W (B k*k H W).
    """
    return torch.unflatten(torch.bmm(w, selection.flatten(2)), 2, selection.shape[2:])


def warp(h: Tensor, kernels: Tensor) -> Tensor:
    """Filter every channel of ``h`` with its position's kernel (Luc et al. 2020, Eq. 11).

    The k*k shifted views of ``h`` are summed one after the other. Beside input and output, one padded copy
    of ``h`` lives meanwhile (backward: two padded maps and one product); only the two arguments are kept
    for the backward pass. An unfolded copy would take k*k times the size of ``h``. It differentiates once.

    Args:
        h: features (B C H W). Our choice: zeros lie around them.
        kernels: weights (B k*k H W), row by row; weight m*k + n multiplies ``h`` at row i + m - (k-1)/2 and
            column j + n - (k-1)/2.

    Returns:
        warped features (B C H W).
    """
    warped: Tensor = _Warp.apply(h, kernels)
    return warped


class _Warp(torch.autograd.Function):
    """:func:`warp`; plain autograd would pad the gradient of every tap to full size, 2.5 times slower."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, kernels: Tensor) -> Tensor:
        ctx.save_for_backward(h, kernels)
        if at_once(h, kernels):
            return (windows(pad(h, kernels), kernels) * spread(kernels)).sum((4, 5))
        warped = torch.zeros_like(h)
        for tap, view in enumerate(taps(pad(h, kernels), kernels)):
            warped.addcmul_(kernels[:, tap : tap + 1], view)
        return warped

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        h, kernels = ctx.saved_tensors
        padded = pad(h, kernels)
        if at_once(h, kernels):
            products = (windows(padded, kernels) * grad[..., None, None]).sum(1)
            # What a position gave to its neighbours, it gets back: from the tap opposite to theirs.
            given = windows(pad(grad, kernels), kernels) * opposite(pad(kernels, kernels), kernels)
            return given.sum((4, 5)), products.flatten(3).permute(0, 3, 1, 2)
        grad_padded, grad_kernels = torch.zeros_like(padded), torch.empty_like(kernels)
        views = zip(taps(padded, kernels), taps(grad_padded, kernels), strict=True)
        for tap, (view, grad_view) in enumerate(views):
            grad_kernels[:, tap] = (grad * view).sum(dim=1)
            grad_view.addcmul_(kernels[:, tap : tap + 1], grad)
        margin = side(kernels) // 2
        height, width = h.shape[2:]
        return grad_padded[:, :, margin : margin + height, margin : margin + width], grad_kernels


AT_ONCE: Final = 2**26
"""Bytes of all taps' products from which a GPU takes one tap after the other too.

Our choice, not measured: below it, starting the kernels of k*k taps takes longer than they run; above it, they would
move no less memory.
"""


def at_once(h: Tensor, kernels: Tensor) -> bool:
    """Whether all taps are multiplied in one kernel; not on a CPU, whose cache holds the map of one."""
    return h.device.type != "cpu" and kernels.shape[1] * h.numel() * h.element_size() <= AT_ONCE


def windows(padded: Tensor, kernels: Tensor) -> Tensor:
    """The shifted views of a padded map (B C H+k-1 W+k-1) as one (B C H W k k)."""
    k = side(kernels)
    return padded.unfold(2, k, 1).unfold(3, k, 1)


def spread(kernels: Tensor) -> Tensor:
    """Kernels (B k*k H W) as a view (B 1 H W k k)."""
    k = side(kernels)
    return kernels.unflatten(1, (k, k)).permute(0, 3, 4, 1, 2)[:, None]


def opposite(padded: Tensor, kernels: Tensor) -> Tensor:
    """Of padded kernels (B k*k H+k-1 W+k-1) the weights by which a position counts in its neighbours (B 1 H W k k).

    Entry (m, n) is tap (k-1-m, k-1-n) of the position m - (k-1)/2 rows below and n - (k-1)/2 columns to the right.
    """
    k = side(kernels)
    views = torch.unflatten(padded, 1, (k, k)).flip(1, 2)
    batch, tap_row, tap_column, row, column = views.stride()
    sizes = (len(kernels), 1, *kernels.shape[2:], k, k)
    return views.as_strided(sizes, (batch, 0, row, column, tap_row + row, tap_column + column))


def side(kernels: Tensor) -> int:
    """k of kernels (..., k*k, H, W)."""
    return math.isqrt(kernels.shape[-3])


def pad(h: Tensor, kernels: Tensor) -> Tensor:
    """``h`` with (k-1)/2 zeros on each side."""
    margin = side(kernels) // 2
    return F.pad(h, (margin, margin, margin, margin))


def taps(padded: Tensor, kernels: Tensor) -> Iterator[Tensor]:
    """The k*k shifted views of a padded map, each of the kernels' height and width, row by row."""
    k, (height, width) = side(kernels), kernels.shape[2:]
    for m in range(k):
        for n in range(k):
            yield padded[:, :, m : m + height, n : n + width]


def expected_motion(kernels: Tensor) -> Tensor:
    """The mean displacement under each position's kernel, read as a distribution over its taps.

    Args:
        kernels: weights (... k*k H W), each position's summing to one, in the order of
            :func:`vidgan.nn.warping.warp`.

    Returns:
        motion (... 2 H W) in positions per step: to the right, then downwards. Our choice: the way that
        features went since the previous step, so the opposite of the tap that they are read from.
    """
    k = side(kernels)
    reach = k // 2
    offsets = torch.arange(-reach, reach + 1, dtype=kernels.dtype, device=kernels.device)
    grid = torch.unflatten(kernels, -3, (k, k))
    right = -torch.einsum("...mnhw,n->...hw", grid, offsets)
    down = -torch.einsum("...mnhw,m->...hw", grid, offsets)
    return torch.stack([right, down], dim=-3)


def refine(fields: Sequence[Tensor]) -> Tensor:
    """Combine motion fields from coarse to fine: upsample, scale, add the finer field.

    Our choice: nearest-neighbour upsampling, as the generator upsamples the features that were moved, and a
    sum as the refinement.

    Args:
        fields: motion (... 2 h w), coarse first, each size a multiple of the one before.

    Returns:
        motion (... 2 H W) of the last field's size, in its positions per step.

    Raises:
        ValueError: if a size is no multiple of the one before, or there is no field.
    """
    if not fields:
        raise ValueError("there is no motion field to combine")
    motion = fields[0]
    for finer in fields[1:]:
        motion = upsample(motion, finer.shape[-2:]) + finer
    return motion


def upsample(motion: Tensor, size: Sequence[int]) -> Tensor:
    """``motion`` (... 2 h w) at ``size`` (H, W), its vectors scaled to the finer positions."""
    height, width = motion.shape[-2:]
    down, right = size[0] // height, size[1] // width
    if (height * down, width * right) != tuple(size):
        raise ValueError(f"a motion field of {height}x{width} does not divide {size[0]}x{size[1]}")
    scale = motion.new_tensor([right, down])[:, None, None]
    return (motion * scale).repeat_interleave(down, dim=-2).repeat_interleave(right, dim=-1)
