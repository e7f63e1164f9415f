"""Loops over pixels, written from the papers' equations: what recurrent units and warps are compared with.

Everything works on single samples, (C, H, W), in float64, and shares no code with the package.
"""

import math

import torch
from torch import Tensor


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A k x k convolution of x (C H W) with zeros around it."""
    outputs, inputs, k, _ = weight.shape
    _, height, width = x.shape
    reach = k // 2
    around = torch.zeros(inputs, height + 2 * reach, width + 2 * reach, dtype=x.dtype)
    around[:, reach : reach + height, reach : reach + width] = x
    values = []
    for o in range(outputs):
        for i in range(height):
            for j in range(width):
                total = (weight[o] * around[:, i : i + k, j : j + k]).sum()
                values.append(total if bias is None else total + bias[o])
    return torch.stack(values).reshape(outputs, height, width)


def normalise(weight: Tensor) -> Tensor:
    """W over its largest singular value, W flattened to (out, rest)."""
    return weight / torch.linalg.svdvals(weight.reshape(weight.shape[0], -1))[0]


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """W x + b, row by row."""
    return torch.stack([torch.dot(weight[o], x) + bias[o] for o in range(len(weight))])


def softmax(values: Tensor) -> Tensor:
    """Softmax of a vector."""
    powers = [torch.exp(v - values.max().detach()) for v in values]
    return torch.stack(powers) / sum(powers)


def warp(h: Tensor, kernels: Tensor) -> Tensor:
    """Luc et al. 2020, Eq. 11; h (C H W), kernels (k*k H W)."""
    channels, height, width = h.shape
    k = math.isqrt(kernels.shape[0])
    values = []
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                total = torch.zeros((), dtype=h.dtype)
                for m in range(k):
                    for n in range(k):
                        y, z = i + m - (k - 1) // 2, j + n - (k - 1) // 2
                        if 0 <= y < height and 0 <= z < width:
                            total = total + kernels[m * k + n, i, j] * h[c, y, z]
                values.append(total)
    return torch.stack(values).reshape(h.shape)


def combine(w: Tensor, selection: Tensor) -> Tensor:
    """Luc et al. 2020, Eq. 12; w (k*k N), S (N H W)."""
    taps, count = w.shape
    _, height, width = selection.shape
    values = [
        sum(selection[number, i, j] * w[q, number] for number in range(count))
        for q in range(taps)
        for i in range(height)
        for j in range(width)
    ]
    return torch.stack(values).reshape(taps, height, width)


def pool(x: Tensor, side: int) -> Tensor:
    """Adaptive maximum pooling of x (C H W) to side x side."""
    channels, height, width = x.shape

    def bins(length: int) -> list[range]:
        return [range(b * length // side, math.ceil((b + 1) * length / side)) for b in range(side)]

    values = [
        max((x[c, i, j] for i in rows for j in columns), key=Tensor.item)
        for c in range(channels)
        for rows in bins(height)
        for columns in bins(width)
    ]
    return torch.stack(values).reshape(channels, side, side)


def softmax_maps(x: Tensor) -> Tensor:
    """Softmax over the channels of x (C H W) at every position."""
    _, height, width = x.shape
    columns = [softmax(x[:, i, j]) for i in range(height) for j in range(width)]
    return torch.stack(columns, dim=1).reshape(x.shape)
