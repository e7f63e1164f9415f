"""One-head self-attention over T x H x W, and its separable form along one axis after another."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.nn.layers import Linear
from vidgan.nn.products import linear
from vidgan.shapes import as_video

MOST_AT_ONCE: Final = 65_535
"""Rows of a batch that CUDA's fused kernels of attention take, which have one block of threads for each on an axis of
the grid; along time there are as many as positions, 65,536 in 16 clips of 64x64."""


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(q k^T) v for (N, L, C); the logits are not scaled.

    Args:
        query: (N, L, C_k).
        key: (N, L, C_k).
        value: (N, L, C_v).
    """
    if query.device.type != "cpu":
        return attend_fused(query, key, value)
    # On the CPU the fused kernel falls back to its slow path where value and key widths differ.
    # Keys lie along the second axis: torch's softmax of rows as short as a clip takes three times as long.
    weights = torch.softmax(torch.bmm(key, query.transpose(1, 2)), dim=1)
    return torch.bmm(weights.transpose(1, 2), value)


def attend_fused(query: Tensor, key: Tensor, value: Tensor, most: int = MOST_AT_ONCE) -> Tensor:
    """:func:`attend` by torch's own, at most ``most`` rows at a time.

    With an axis for the heads, here one: without it CUDA takes the path that writes all logits to memory.
    """
    parts = zip(*(tensor[:, None].split(most) for tensor in (query, key, value)), strict=True)
    made = [F.scaled_dot_product_attention(q, k, v, scale=1.0).squeeze(1) for q, k, v in parts]
    return made[0] if len(made) == 1 else torch.cat(made)


class Attention(nn.Module):
    """x + gain * o(attend(q(x), k(x), v(x))) on tokens (N, L, C); the gain is learnt from zero.

    Our choice: BigGAN's form, as Clark et al. 2019 prints none: C/8 channels for query and key, C/2 for the value,
    logits not scaled, the gain from zero; but keys and values at all positions, without BigGAN's 2x2 max pooling, which
    does not fit attention along one axis and would save little at 4x4.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow, half = max(1, channels // 8), max(1, channels // 2)
        self.query = Linear(channels, narrow, bias=False)
        self.key = Linear(channels, narrow, bias=False)
        self.value = Linear(channels, half, bias=False)
        self.out = Linear(half, channels, bias=False)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, tokens: Tensor) -> Tensor:
        # One product of the tokens instead of three. Each matrix is normalised on its own before they are joined.
        maps = (self.query, self.key, self.value)
        joined = torch.cat([each.effective_weight(tokens.dtype) for each in maps])
        parts = linear(tokens, joined, None).split([len(each.weight) for each in maps], dim=-1)
        return torch.addcmul(tokens, self.out(attend(*parts)), self.gain.to(tokens.dtype))


class FullAttention(nn.Module):
    """Non-causal, one head, over all T x H x W positions of a clip (Clark et al. 2019, A.2); keeps (B T C H W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = Attention(channels)

    def forward(self, x: Tensor) -> Tensor:
        b, t, c, h, w = x.shape
        tokens = x.permute(0, 1, 3, 4, 2).reshape(b, t * h * w, c)
        return self.attention(tokens).reshape(b, t, h, w, c).permute(0, 1, 4, 2, 3)


class SeparableAttention(nn.Module):
    """Attention over height, then width, then time (Clark et al. 2019, 3.2).

    The largest tensor is max(H^2 W T, H W^2 T, H W T^2) instead of (H W T)^2 per clip.

    Args:
        time_first: over time, then height, then width. Du 2020, Figure 3.1 has this order; its reshapes lack the
            transposes between the axes, which are meant.
    """

    def __init__(self, channels: int, *, time_first: bool = False) -> None:
        super().__init__()
        self.time_first = time_first
        self.height = Attention(channels)
        self.width = Attention(channels)
        self.time = Attention(channels)

    def forward(self, x: Tensor) -> Tensor:
        if self.time_first:
            x = attend_along(self.time, x, axis=1)
        x = attend_along(self.height, x, axis=3)
        x = attend_along(self.width, x, axis=4)
        return as_video(x if self.time_first else attend_along(self.time, x, axis=1))


def attend_along(attention: Attention, x: Tensor, axis: int) -> Tensor:
    """Apply ``attention`` along one axis of ``x`` (B T C H W), every other position apart."""
    tokens = x.movedim((axis, 2), (3, 4))  # the attended axis and the channels come last
    return attention(tokens.flatten(0, 2)).reshape(tokens.shape).movedim((3, 4), (axis, 2))
