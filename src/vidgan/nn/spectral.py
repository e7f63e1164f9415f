"""The arithmetic of spectral normalisation (Miyato et al. 2018): W / sigma, its gradient, vectors of unit length."""

from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

EPSILON: Final = 1e-12
ORDERS: Final = {4: torch.channels_last, 5: torch.channels_last_3d}
"""of a GPU's kernels by their number of axes: that of the frames and clips which they are for"""


class Normalised(torch.autograd.Function):
    """W / sigma in ``dtype``, with its gradient in one piece.

    Plain autograd's dozen of small steps show in a small model's time, and a weight that is written twice, before it is
    cast and after, in a wide one's.
    """

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, sigma: Tensor, left: Tensor, v: Tensor, dtype: torch.dtype
    ) -> Tensor:
        ctx.save_for_backward(weight, sigma, left, v)
        # In one pass, which a compiled graph finds by itself.
        if torch.compiler.is_compiling() or torch.compiler.is_exporting():
            return (weight / sigma).to(dtype)
        if weight.device.type == "cpu" and dtype == weight.dtype:
            return weight / sigma
        # A GPU's convolutions want the order of what they see; a CPU's kernels are put in order where they are used.
        order = (
            torch.contiguous_format
            if weight.device.type == "cpu"
            else ORDERS.get(weight.dim(), torch.contiguous_format)
        )
        return torch.div(weight, sigma, out=torch.empty_like(weight, dtype=dtype, memory_format=order))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        # Miyato et al. 2018, Eq. 10: (G - <G, W / sigma> u v^T) / sigma.
        weight, sigma, left, v = ctx.saved_tensors  # left is u / sigma
        gradient = gradients[0].to(weight.dtype, memory_format=torch.contiguous_format).flatten(1)
        along = left * torch.dot(gradient.flatten(), weight.flatten())
        return (
            torch.addr(gradient, along, v, alpha=-1).div_(sigma).view(weight.shape),
            None,
            None,
            None,
            None,
        )


class Singular(NamedTuple):
    """What a power iteration ends in."""

    sigma: Tensor
    left: Tensor
    """u / sigma"""
    of: tuple[int, ...] = ()
    """which weight and vectors it is of; none: nobody knows"""


def to_unit_length(vectors: list[Tensor]) -> list[Tensor]:
    """All of them in a few kernels; the lengths that they had."""
    lengths: list[Tensor] = list(torch._foreach_norm(vectors))
    torch._foreach_div_(vectors, torch._foreach_clamp_min(lengths, EPSILON))
    return lengths
