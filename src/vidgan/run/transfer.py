"""How small tensors of the CPU come to a GPU: together, and without a wait."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

ALIGNMENT: Final = 16
"""Bytes; a tensor of any dtype may begin at a multiple of it."""


def sent(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """``tensors`` of the CPU on ``device``, in one copy; themselves where that is the CPU.

    Each copy of its own costs more than all the numbers in it, and one from memory that is not pinned makes the
    processor wait until the GPU has done all that it was told to before.
    """
    if device.type == "cpu":
        return list(tensors)
    packed = pack(tensors, pinned=device.type == "cuda")
    return unpack(packed.to(device, non_blocking=True), tensors)


def pack(tensors: Sequence[Tensor], pinned: bool) -> Tensor:
    """The bytes of ``tensors``, one after the other; in memory that a GPU reads by itself where it is ``pinned``."""
    packed = torch.empty(sum(map(_room, tensors)), dtype=torch.uint8, pin_memory=pinned)
    for tensor, place in zip(tensors, packed.split(list(map(_room, tensors))), strict=True):
        place[: tensor.nbytes].view(tensor.dtype).copy_(tensor.flatten())
    return packed


def unpack(packed: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Views of what :func:`pack` gives, wherever it lies, with the dtypes and shapes of ``like``."""
    places = packed.split(list(map(_room, like)))
    return [
        place[: tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        for tensor, place in zip(like, places, strict=True)
    ]


def _room(tensor: Tensor) -> int:
    return -(-tensor.nbytes // ALIGNMENT) * ALIGNMENT
