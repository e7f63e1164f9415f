"""What a level is fed with: the video of the level below, or the data's own view of it."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.shapes import fold_time, unfold_time


class Below(NamedTuple):
    """What a level's input looks like."""

    size: int
    """pixels"""
    factor: int
    """output frames per input frame"""


def view_below(clip: Tensor, below: Below, smooth: bool) -> Tensor:
    """The data's own low-resolution view of a clip (B T 3 H W): every ``factor``-th frame, resized.

    Args:
        smooth: bilinear with antialiasing (CVG) instead of nearest (SSW-GAN, 3.1).
    """
    return resize(clip[:, :: below.factor], below.size, smooth)


def resize(clip: Tensor, size: int, smooth: bool) -> Tensor:
    """Resize a video (B T 3 H W) to ``size`` pixels; nothing to do where it has that size."""
    if clip.shape[-1] == size:
        return clip
    frames = fold_time(clip)
    if smooth:
        small = F.interpolate(frames, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    else:
        small = F.interpolate(frames, size=(size, size), mode="nearest")
    return unfold_time(small, clip.shape[1])


def take(video: Tensor, start: Tensor, frames: int) -> Tensor:
    """Window ``start[b] ... start[b] + frames`` of clip b of a video (B T C H W)."""
    rows = torch.arange(len(start), device=video.device)[:, None]
    steps = start.to(video.device)[:, None] + torch.arange(frames, device=video.device)
    return video.permute(0, 1, 3, 4, 2)[rows, steps].permute(0, 1, 4, 2, 3)
