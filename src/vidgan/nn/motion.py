"""Motion fields: what the kernels of warping units say about how features move (Luc et al. 2020, 4.4)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vidgan.nn.warp import side


def expected_motion(kernels: Tensor) -> Tensor:
    """The mean displacement under each position's kernel, read as a distribution over its taps.

    Args:
        kernels: weights (... k*k H W), each position's summing to one, in the order of
            :func:`vidgan.nn.warp.warp`.

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
