"""3x3 convolutions by Winograd's minimal filtering, for wide layers on a CPU (Lavin and Gray 2016, F(4x4, 3x3)).

A tile of 4x4 outputs takes 36 multiplications per pair of channels where a convolution takes 144. What is between, all
linear, is an argument: B^T d B turns 6x6 inputs into 36 numbers, which are multiplied with those of the kernel, G g
G^T, by one matrix product over the channels for each of the 36; A^T m A makes outputs of their sums. Upsampling before
and average pooling after the convolution go into the first and the last of these matrices.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vidgan.nn.convolution import product_pays
from vidgan.nn.products import multiply_batches, product

POINTS: Final = (0.0, 0.75, -0.75, 1.5, -1.5)
"""Where the polynomials behind the algorithm are evaluated, besides infinity.

Our choice: the usual 0, +-1, +-2 are four times as far off in float32 (2e-6 of the largest value, 256 channels).
"""
TAPS: Final = 3
OUTPUTS: Final = 4
LENGTH: Final = OUTPUTS + TAPS - 1

Matrix = tuple[tuple[float, ...], ...]


class Resizing(NamedTuple):
    """A change of size beside the convolution, along one axis."""

    before: Matrix
    """(6, P): the cells that a tile's kernel sees, of P cells of the input"""
    after: Matrix
    """(Q, 4): the cells of the output, of the four that the tile's kernel makes"""
    step: int
    """cells of the input from tile to tile"""


def _identity(size: int) -> Matrix:
    return tuple(tuple(float(row == column) for column in range(size)) for row in range(size))


SAME: Final = Resizing(_identity(LENGTH), _identity(OUTPUTS), step=4)
UPSAMPLED: Final = Resizing(
    # Cells -1 to 4 of the doubled map are cells -1, 0, 0, 1, 1, 2 of the small one.
    tuple(_identity(4)[cell] for cell in (0, 1, 1, 2, 2, 3)),
    _identity(OUTPUTS),
    step=2,
)
"""nearest upsampling by 2 before it"""
POOLED: Final = Resizing(_identity(LENGTH), ((0.5, 0.5, 0.0, 0.0), (0.0, 0.0, 0.5, 0.5)), step=4)
"""averaged over 2x2 cells after it"""

ROWS: Final = 128
"""Tiles that are worked on at a time: few enough for the processor's cache, many enough for a matrix product."""


class Least(NamedTuple):
    """From what sizes it pays."""

    channels: int
    """of the input and of the output, times the kernel's taps in time"""
    tiles: int
    """frames times tiles of a frame: the kernel's transform costs as much for few as for many"""


PAYS: Final = Least(channels=256, tiles=32)
"""Measured on a CPU with AVX-512: docs/results/speed.md."""


def winograd_pays(x: Tensor, weight: Tensor, resizing: Resizing) -> bool:
    """Whether to compute the convolution of ``x`` (N in H W) or (B in T H W) by ``weight`` (out in [3] 3 3) this way.

    Not on a GPU, whose libraries choose for themselves, nor in bfloat16, which the transforms would lose digits of, nor
    in graphs that are compiled or exported.
    """
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):
        return False
    if torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return False
    height, width = x.shape[-2:]
    if tuple(weight.shape[-2:]) != (TAPS, TAPS) or height % resizing.step or width % resizing.step:
        return False
    outputs, inputs = weight.shape[:2]
    channels = min(outputs, inputs) * (weight.shape[2] if weight.ndim == 5 else 1)
    tiles = x.numel() // inputs // resizing.step**2
    return channels >= PAYS.channels and tiles >= PAYS.tiles and not product_pays(tiles * OUTPUTS**2, weight)


def winograd_kernel(weight: Tensor) -> Tensor:
    """G g G^T of kernels (out in 3 3) or (out in K 3 3): (K 36 out in)."""
    outputs, inputs = weight.shape[:2]
    kernels = weight[:, :, None] if weight.ndim == 4 else weight
    filters = _square(_toom_cook().filters, weight.dtype)
    each = [product(filters, taps.reshape(-1, TAPS * TAPS).t()) for taps in kernels.unbind(2)]
    joined = torch.stack(each) if len(each) > 1 else each[0]
    return joined.view(-1, LENGTH**2, outputs, inputs)


def winograd(x: Tensor, weight: Tensor, bias: Tensor | None, resizing: Resizing = SAME) -> Tensor:
    """A size-preserving convolution with the change of size beside it.

    Its kernel is made here, and once more for gradients, as it takes four times the memory of the weight.

    Args:
        x: frames (N in H W), or clips (B in T H W); height and width are multiples of ``resizing.step``.
        weight: (out in 3 3), or (out in K 3 3) with K taps along T.
        bias: (out).

    Returns:
        Frames (N out H' W') or clips (B out T H' W'), channels last in memory.
    """
    return _biased(x, bias, lambda video: _Winograd.apply(video, weight, None, resizing))


def winograd_by(kernel: Tensor, x: Tensor, bias: Tensor | None, resizing: Resizing = SAME) -> Tensor:
    """The same with a kernel (K 36 out in) of :func:`winograd_kernel`, which gets no gradient."""
    return _biased(x, bias, lambda video: _Winograd.apply(video, None, kernel, resizing))


def _biased(x: Tensor, bias: Tensor | None, convolve: Callable[[Tensor], Tensor]) -> Tensor:
    clips = x[:, :, None] if x.ndim == 4 else x
    video = convolve(clips.permute(2, 0, 3, 4, 1))
    if bias is not None:
        video = video + bias
    y = video.permute(1, 4, 0, 2, 3)
    return y[:, :, 0] if x.ndim == 4 else y


class _Matrices(NamedTuple):
    """y = outputs @ ((filters @ g) * (inputs @ d)), along one axis; float64."""

    inputs: Tensor
    """(6, 6), B^T"""
    filters: Tensor
    """(6, 3), G"""
    outputs: Tensor
    """(4, 6), A^T"""


@functools.cache
def _toom_cook() -> _Matrices:
    """The transposed Toom-Cook algorithm at :data:`POINTS` and infinity."""

    def evaluate(terms: int) -> Tensor:
        """(6, terms): the values of a polynomial with so many coefficients."""
        points = torch.tensor(POINTS, dtype=torch.float64)[:, None]
        infinity = torch.zeros((1, terms), dtype=torch.float64)
        infinity[0, -1] = 1
        return torch.cat([points ** torch.arange(terms), infinity])

    return _Matrices(
        inputs=torch.linalg.inv(evaluate(LENGTH)).t(),
        filters=evaluate(TAPS),
        outputs=evaluate(OUTPUTS).t(),
    )


def _square(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """The same along both axes of a map, as one matrix."""
    return torch.kron(matrix, matrix).to(dtype)


@functools.cache
def _transforms(resizing: Resizing, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """(36, P*P) of a tile's input and (Q*Q, 36) of its output."""
    before, after = (torch.tensor(m, dtype=torch.float64) for m in (resizing.before, resizing.after))
    matrices = _toom_cook()
    return _square(matrices.inputs @ before, dtype), _square(after @ matrices.outputs, dtype)


class _Tiles(NamedTuple):
    """How maps (T B H W C) are cut into tiles."""

    rows: int
    columns: int
    patch: int
    """cells of the input that a tile sees, along an axis"""
    step: int
    made: int
    """cells of the output that it makes, along an axis"""

    @classmethod
    def of(cls, x: Tensor, resizing: Resizing) -> "_Tiles":
        rows, columns = (size // resizing.step for size in x.shape[2:4])
        return cls(rows, columns, len(resizing.before[0]), resizing.step, len(resizing.after))

    def blocks(self, x: Tensor) -> Iterator[slice]:
        """Clips of ``x`` that are worked on together."""
        steps, clips = x.shape[:2]
        together = max(1, ROWS // (steps * self.rows * self.columns))
        for first in range(0, clips, together):
            yield slice(first, first + together)

    def gather(self, x: Tensor) -> Tensor:
        """What tiles see: (T b H W C) -> (P*P, T*b*rows*columns*C)."""
        steps, clips, height, width, channels = x.shape
        padded = x.new_zeros((steps, clips, height + 2, width + 2, channels))
        padded[:, :, 1:-1, 1:-1].copy_(x)
        _, frame, row, column, channel = padded.stride()
        seen = padded.as_strided(
            (self.patch, self.patch, steps * clips, self.rows, self.columns, channels),
            (row, column, frame, self.step * row, self.step * column, channel),
        )
        return seen.reshape(self.patch**2, -1)

    def scatter(self, seen: Tensor, to: Tensor) -> None:
        """The transpose of :meth:`gather`: sums of (P*P, ...) over all tiles that see a cell, into (T b H W C)."""
        steps, clips, height, width, channels = to.shape
        tiles = seen.view(self.patch, self.patch, steps * clips, self.rows, self.columns, channels)
        tiles = tiles.permute(2, 3, 0, 4, 1, 5)
        sums = to.new_zeros((steps * clips, self.rows + 1, self.step, self.columns + 1, self.step, channels))
        # A tile sees its own cells and the first ones of the next tiles.
        own, more = slice(0, self.step), slice(self.step, None)
        over = slice(0, self.patch - self.step)
        sums[:, :-1, :, :-1].copy_(tiles[:, :, own, :, own])
        sums[:, 1:, over, :-1].add_(tiles[:, :, more, :, own])
        sums[:, :-1, :, 1:, over].add_(tiles[:, :, own, :, more])
        sums[:, 1:, over, 1:, over].add_(tiles[:, :, more, :, more])
        cells = sums.view(steps * clips, height + self.step, width + self.step, channels)
        to.copy_(cells[:, 1 : height + 1, 1 : width + 1].unflatten(0, (steps, clips)))

    def cut(self, y: Tensor) -> Tensor:
        """A view of the output (T b H' W' C) by tiles: (Q, Q, T, b, rows, columns, C)."""
        steps, clips, _, _, channels = y.shape
        tiles = y.view(steps, clips, self.rows, self.made, self.columns, self.made, channels)
        return tiles.permute(3, 5, 0, 1, 2, 4, 6)


def _taps(kernel: Tensor, rows: int, steps: int) -> Iterator[tuple[Tensor, slice, slice]]:
    """Each tap k of ``kernel`` (K ...), the rows of the steps t that it makes, and those of t + k, which it sees.

    Rows are (T * n). The middle tap, which makes all of them, comes first.
    """
    each, middle = rows // steps, len(kernel) // 2
    for tap in sorted(range(len(kernel)), key=lambda tap: abs(tap - middle)):
        shift = (tap - middle) * each
        if abs(shift) < rows:
            yield (
                kernel[tap],
                slice(max(0, -shift), rows - max(0, shift)),
                slice(max(0, shift), rows - max(0, -shift)),
            )


class _Winograd(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, kernel: Tensor | None, resizing: Resizing
    ) -> Tensor:
        ctx.save_for_backward(x, weight, kernel)
        ctx.resizing = resizing
        kernel = _kernel_of(weight, kernel)
        to_input, to_output = _transforms(resizing, x.dtype)
        tiles = _Tiles.of(x, resizing)
        steps, clips, _, _, inputs = x.shape
        outputs = kernel.shape[2]
        y = x.new_empty((clips, steps, tiles.rows * tiles.made, tiles.columns * tiles.made, outputs))
        y = y.transpose(0, 1)
        turned = kernel.transpose(2, 3)
        for some in tiles.blocks(x):
            seen = product(to_input, tiles.gather(x[:, some])).view(LENGTH**2, -1, inputs)
            sums = seen.new_empty((LENGTH**2, seen.shape[1], outputs))
            for number, (matrix, own, other) in enumerate(_taps(turned, seen.shape[1], steps)):
                multiply_batches(seen[:, other], matrix, sums[:, own], add=number > 0)
            made = tiles.cut(y[:, some])
            made.copy_(product(to_output, sums.flatten(1)).view(made.shape))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight, kernel = ctx.saved_tensors
        to_input, to_output = _transforms(ctx.resizing, x.dtype)
        tiles = _Tiles.of(x, ctx.resizing)
        steps, inputs, outputs = x.shape[0], x.shape[-1], gradients[0].shape[-1]
        kernel = _kernel_of(weight, kernel) if ctx.needs_input_grad[0] else None
        of_x = (
            x.new_empty((x.shape[1], steps, *x.shape[2:])).transpose(0, 1)
            if ctx.needs_input_grad[0]
            else None
        )
        of_kernel = None
        if ctx.needs_input_grad[1]:
            taps = weight.shape[2] if weight.ndim == 5 else 1
            # Of several taps, some may see no step.
            new = x.new_empty if taps == 1 else x.new_zeros
            of_kernel = new((taps, LENGTH**2, outputs, inputs))
        for block, some in enumerate(tiles.blocks(x)):
            sums = tiles.cut(gradients[0][:, some]).reshape(tiles.made**2, -1)
            sums = product(to_output.t(), sums).view(LENGTH**2, -1, outputs)
            rows = sums.shape[1]
            if of_x is not None and kernel is not None:
                seen = sums.new_empty((LENGTH**2, rows, inputs))
                for number, (matrix, own, other) in enumerate(_taps(kernel, rows, steps)):
                    multiply_batches(sums[:, own], matrix, seen[:, other], add=number > 0)
                tiles.scatter(product(to_input.t(), seen.flatten(1)), of_x[:, some])
            if of_kernel is not None:
                seen = product(to_input, tiles.gather(x[:, some])).view(LENGTH**2, -1, inputs)
                for matrix, own, other in _taps(of_kernel, rows, steps):
                    multiply_batches(sums[:, own].transpose(1, 2), seen[:, other], matrix, add=block > 0)
        return of_x, None if of_kernel is None else _weight_gradient(of_kernel, weight), None, None


def _kernel_of(weight: Tensor | None, kernel: Tensor | None) -> Tensor:
    if kernel is not None:
        return kernel
    assert weight is not None, "one of the two is given"
    return winograd_kernel(weight)


def _weight_gradient(of_kernel: Tensor, weight: Tensor) -> Tensor:
    """The transpose of :func:`winograd_kernel`: (K 36 out in) -> the shape of ``weight``."""
    filters = _square(_toom_cook().filters, weight.dtype).t()
    each = [product(filters, numbers.flatten(1)).t() for numbers in of_kernel.unbind()]
    joined = torch.stack(each, dim=1) if weight.ndim == 5 else each[0]
    return joined.reshape(weight.shape)
