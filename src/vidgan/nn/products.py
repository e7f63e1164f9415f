"""Matrix products in float32, by oneDNN where the library that torch multiplies by is slow.

On CPUs torch multiplies float32 matrices by MKL, whose kernels use half of AVX-512's width on processors that are not
Intel's. oneDNN, which torch's convolutions are computed by, uses all of it: 240 GFLOP/s instead of 105 on one core of
an AMD EPYC 9005 (docs/results/speed.md). Sums come in another order, so last digits differ.
"""

from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.nn.processor import multiplies_by_half

LEAST: Final = 2**20
"""Multiplications from which it pays, measured: a call takes ten microseconds more."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """:func:`torch.nn.functional.linear`: x (..., in), weight (out in), bias (out)."""
    if not by_onednn(x, x.numel() * len(weight)):
        return F.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    product: Tensor = _Product.apply(rows, weight.t(), bias)
    return product.view(*x.shape[:-1], len(weight))


def product(a: Tensor, b: Tensor) -> Tensor:
    """a (M K) times b (K N).

    The gradient of b is a^T g whatever b's order in memory, where torch takes (g^T a)^T for a b that is a transposed
    view: with few columns of g^T that is many times slower.
    """
    c: Tensor = _Product.apply(a, b, None)
    return c


def multiply_batches(a: Tensor, b: Tensor, to: Tensor, *, add: bool) -> None:
    """a (N M K) times b (N K L) into ``to`` (N M L), or added to what it holds. Keeps nothing for gradients."""
    if by_onednn(a, a[0].numel() * b.shape[2]):
        made = (_by_onednn(*pair, None) for pair in zip(a.unbind(), b.mT.unbind(), strict=True))
        if add:
            for out, each in zip(to.unbind(), made, strict=True):
                out.add_(each)
        else:
            torch.stack(list(made), out=to)
    elif add:
        to.baddbmm_(a, b)
    else:
        torch.bmm(a, b, out=to)


def by_onednn(x: Tensor, multiplications: int) -> bool:
    """Whether products of ``x`` with so many multiplications are computed by oneDNN; not in graphs of a compiler."""
    # Graphs first: a comparison of their sizes would hold exported ones to fewer clips.
    return (
        not (torch.compiler.is_compiling() or torch.compiler.is_exporting())
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and multiplies_by_half()
        and multiplications >= LEAST
    )


def _multiply(a: Tensor, b: Tensor, row: Tensor | None) -> Tensor:
    if by_onednn(a, a.numel() * b.shape[1]):
        return _by_onednn(a, b.t(), row)
    return a @ b if row is None else torch.addmm(row, a, b)


def _by_onednn(a: Tensor, turned: Tensor, row: Tensor | None) -> Tensor:
    """a (M K) times the transpose of ``turned`` (N K) plus a row (N)."""
    # The operator that torch's own compiler puts in place of a linear layer.
    operator = torch.ops.mkldnn._linear_pointwise.default
    made: Tensor = operator(_dense(a), _dense(turned), row, "none", [], "")
    return made


def _dense(matrix: Tensor) -> Tensor:
    # With gaps between rows, as in a kernel's taps at one step of time, oneDNN takes a hundred times as long.
    rows, columns = matrix.shape
    return matrix if matrix.stride() in ((columns, 1), (1, rows)) else matrix.contiguous()


class _Product(torch.autograd.Function):
    """a (M K) times b (K N) plus a row (N). Gradients are products, too, so that they have gradients of their own."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, row: Tensor | None) -> Tensor:
        ctx.save_for_backward(a, b)
        return _multiply(a, b, row)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        (gradient,) = gradients
        of_a = product(gradient, b.t()) if ctx.needs_input_grad[0] else None
        of_b = product(a.t(), gradient) if ctx.needs_input_grad[1] else None
        return of_a, of_b, gradient.sum(0) if ctx.needs_input_grad[2] else None
