"""Activations that a network's spec may choose."""

import torch
from torch import Tensor

from vidgan.spec import Spec


class ReLU(Spec):
    """max(x, 0)."""

    def __call__(self, x: Tensor) -> Tensor:
        return torch.relu(x)


class Tanh(Spec):
    """The hyperbolic tangent."""

    def __call__(self, x: Tensor) -> Tensor:
        return torch.tanh(x)


Activation = ReLU | Tanh
