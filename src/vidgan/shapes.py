"""The axes of a video, and the only place where batch and time are mixed.

Axis legend: ``B`` clips, ``T`` time steps, ``C`` channels, ``H`` height, ``W`` width.

A video is ``(B, T, C, H, W)`` with the memory order B, T, H, W, C. In that order the frames
``(B*T, C, H, W)`` are channels-last and the clip ``(B, C, T, H, W)`` is channels-last-3d, both views of
the same bytes: going from 2-D to 3-D work and back copies nothing.
"""

import torch
from torch import Tensor


def as_video(x: Tensor) -> Tensor:
    """``x`` (B T C H W) with the memory order B T H W C; copies only if it has another order."""
    _, t, c, h, w = x.shape
    graph = torch.compiler.is_compiling() or torch.compiler.is_exporting()
    # Nearly always so; in a small step, three operators each time would show.
    if not graph and x.stride() == (t * h * w * c, h * w * c, 1, w * c, c):
        return x
    return x.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)


def as_frames(x: Tensor) -> Tensor:
    """``x`` (N C H W) as channels-last; copies only if it has another order."""
    return x.contiguous(memory_format=torch.channels_last)


def fold_time(x: Tensor) -> Tensor:
    """Video (B T C H W) -> frames (B*T C H W): clip b's step t becomes row b*T + t."""
    return as_video(x).flatten(0, 1)


def unfold_time(frames: Tensor, steps: int) -> Tensor:
    """Frames (B*T C H W) -> video (B T C H W), the inverse of :func:`fold_time`."""
    return as_frames(frames).unflatten(0, (-1, steps))


def to_cells(x: Tensor) -> Tensor:
    """Video (B T C H W) -> frames of cells (B*T H*W C), in its memory order."""
    b, t, c, h, w = x.shape
    return as_video(x).permute(0, 1, 3, 4, 2).view(b * t, h * w, c)


def from_cells(cells: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Frames of cells (B*T H*W C) -> video of ``shape`` (B T C H W), the inverse of :func:`to_cells`."""
    b, t, c, h, w = shape
    return cells.view(b, t, h, w, c).permute(0, 1, 4, 2, 3)


def to_clip(x: Tensor) -> Tensor:
    """Video (B T C H W) -> clip (B C T H W) for 3-D layers."""
    return as_video(x).transpose(1, 2)


def from_clip(clip: Tensor) -> Tensor:
    """Clip (B C T H W) -> video (B T C H W), the inverse of :func:`to_clip`."""
    return as_video(clip.transpose(1, 2))


def stack_time(steps: list[Tensor]) -> Tensor:
    """T frames (B C H W) -> video (B T C H W)."""
    return torch.stack([step.permute(0, 2, 3, 1) for step in steps], dim=1).permute(0, 1, 4, 2, 3)


def repeat_time(frame: Tensor, steps: int) -> Tensor:
    """One frame (B C H W) -> a video (B T C H W) that shows it ``steps`` times, all in the same memory, so that it must
    not be written into."""
    return as_frames(frame)[:, None].expand(-1, steps, -1, -1, -1)


def frames_into_channels(x: Tensor) -> Tensor:
    """Video (B T C H W) -> frame (B T*C H W): the time axis folded into the channels, step-major."""
    return as_frames(x.flatten(1, 2))
