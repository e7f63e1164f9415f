"""What gated units share: several convolutions of one input at once, and the convex mix of old and new."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.nn.layers import Conv2d
from vidgan.spec import require


class Gates:
    """Convolutions of one input, computed as one.

    Every matrix of the paper is normalised on its own; only then are they joined along the outputs.
    """

    def __init__(self, dtype: torch.dtype, *layers: Conv2d) -> None:
        self._weight = torch.cat([layer.effective_weight(dtype) for layer in layers])
        biases = [layer.effective_bias(dtype) for layer in layers]
        self._bias = torch.cat([bias for bias in biases if bias is not None])
        self._sizes = [layer.weight.shape[0] for layer in layers]
        self._padding = layers[0].padding

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        """The output of each layer, in order."""
        joined = F.conv2d(x, self._weight, self._bias, padding=self._padding)
        return torch.split(joined, self._sizes, dim=1)


def join(*features: Tensor) -> Tensor:
    """[a; b]: features (B ? H W) joined by channel."""
    return torch.cat(features, dim=1)


def mix(u: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """u * old + (1 - u) * new, in one pass."""
    return torch.lerp(new, old, u)


def require_odd(kernel: int) -> None:
    """Raise :class:`vidgan.spec.SpecError` unless such a convolution can keep the size of its input."""
    require(kernel >= 1 and kernel % 2 == 1, f"kernel must be odd and positive, got {kernel}")
