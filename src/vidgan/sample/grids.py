"""Several clips as one: an animated grid, or a still picture with a row per clip."""

import numpy as np
from numpy.typing import NDArray

Videos = NDArray[np.uint8]
"""Clips (N, T, H, W, 3), uint8 RGB."""


def grid(videos: Videos, columns: int, gap: int = 2, scale: int = 1) -> Videos:
    """Clips (N, T, H, W, 3) side by side, ``columns`` to a row: one clip (T, H', W', 3).

    Args:
        gap: black pixels between clips.
        scale: every pixel becomes scale x scale pixels.
    """
    videos = enlarge(videos, scale)
    count, steps, height, width, colours = videos.shape
    rows = -(-count // columns)
    canvas = np.zeros((steps, rows * (height + gap) - gap, columns * (width + gap) - gap, colours), np.uint8)
    for i, video in enumerate(videos):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        canvas[:, top : top + height, left : left + width] = video
    return canvas


def strip(videos: Videos, gap: int = 2, scale: int = 1) -> Videos:
    """A still picture (H', W', 3): a row per clip, its frames from left to right."""
    frames = videos.reshape(-1, 1, *videos.shape[2:])
    return grid(frames, columns=videos.shape[1], gap=gap, scale=scale)[0]


def enlarge(videos: Videos, scale: int) -> Videos:
    """Nearest-neighbour enlargement of height and width by a whole number."""
    return videos if scale == 1 else videos.repeat(scale, axis=-3).repeat(scale, axis=-2)
