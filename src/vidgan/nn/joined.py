"""Convolutions of features that are joined by channel, for the gates of recurrent units, step after step."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from vidgan.nn.convolution import BoundConvolution
from vidgan.nn.layers import Conv2d


class JoinedConvolution:
    """Convolutions of features joined by channel, [a; b] or a alone, computed as one; their outputs are joined, too.

    Every matrix of the paper is normalised on its own; only then are they joined along the outputs.

    A generator's first map is the same at all steps: where a or b is the very tensor of the call before, unchanged,
    what is convolved of it is kept from then on and the other alone is convolved. The same function, other last digits.
    """

    def __init__(self, dtype: torch.dtype, *layers: Conv2d) -> None:
        self._weight = torch.cat([layer.effective_weight(dtype) for layer in layers])
        biases = [layer.effective_bias(dtype) for layer in layers]
        known = [bias for bias in biases if bias is not None]
        self._bias = torch.cat(known) if known else None
        self._padding = layers[0].padding[0]
        self._whole = BoundConvolution(self._weight, self._bias, self._padding)
        self._before: list[_Seen] = []
        self._apart: _Apart | None = None

    def __call__(self, *features: Tensor) -> Tensor:
        before, self._before = self._before, [_Seen.of(each) for each in features]
        same = [i for i, (old, new) in enumerate(zip(before, self._before, strict=False)) if old.same(new)]
        if len(features) != 2 or not same:
            self._apart = None
            return self._whole(join(*features))
        if self._apart is None or self._apart.same != same[0]:
            self._apart = self._split(features, same[0])
        return self._apart.convolve(features[1 - same[0]]) + self._apart.kept

    def _split(self, features: tuple[Tensor, ...], same: int) -> "_Apart":
        weights = self._weight.split([each.shape[1] for each in features], dim=1)
        kept = BoundConvolution(weights[same], self._bias, self._padding)(features[same])
        return _Apart(same, kept, BoundConvolution(weights[1 - same], None, self._padding))


class _Seen(NamedTuple):
    """A tensor as it was."""

    tensor: Tensor
    version: int | None
    """how often it was changed in place; None where nobody counts"""

    @classmethod
    def of(cls, x: Tensor) -> "_Seen":
        counted = not (torch.compiler.is_compiling() or x.is_inference())
        return cls(x, x._version if counted else None)

    def same(self, now: "_Seen") -> bool:
        """Whether it is the same tensor, and unchanged."""
        return self.tensor is now.tensor and self.version == now.version


class _Apart(NamedTuple):
    """A convolution of two features of which one stays the same."""

    same: int
    """which"""
    kept: Tensor
    """what is convolved of it, with the bias"""
    convolve: BoundConvolution
    """of the other"""


class Gates:
    """Convolutions of the same features, see :class:`JoinedConvolution`, and their outputs one by one."""

    def __init__(self, dtype: torch.dtype, *layers: Conv2d) -> None:
        self._convolve = JoinedConvolution(dtype, *layers)
        self._sizes = [layer.weight.shape[0] for layer in layers]

    def __call__(self, *features: Tensor) -> tuple[Tensor, ...]:
        """The output of each layer, in order."""
        return torch.split(self._convolve(*features), self._sizes, dim=1)

    def sigmoid(self, *features: Tensor) -> tuple[Tensor, ...]:
        """The sigmoid of each layer's output."""
        return torch.split(torch.sigmoid(self._convolve(*features)), self._sizes, dim=1)


def join(*features: Tensor) -> Tensor:
    """[a; b]: features (B ? H W) joined by channel."""
    return features[0] if len(features) == 1 else torch.cat(features, dim=1)


def kept_while_same(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """``function``, which computes nothing where its argument is the very tensor of the call before, unchanged."""
    last: tuple[_Seen, Tensor] | None = None

    def call(x: Tensor) -> Tensor:
        nonlocal last
        seen = _Seen.of(x)
        if last is None or not seen.same(last[0]):
            last = (seen, function(x))
        return last[1]

    return call
