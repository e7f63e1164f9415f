"""The videos of several levels or models one above the other, in time with each other."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidgan.errors import UserError
from vidgan.sample.grids import Videos, enlarge, grid, strip


class Row(NamedTuple):
    """Videos that stand beside each other."""

    name: str
    videos: Videos
    """clips (N, T', h, w, 3), uint8; T' divides the frames of the longest row, h its height"""


def stand_in_time(rows: Sequence[Row], steps: Sequence[int], frames: int) -> list[Videos]:
    """Every row at the size of the largest, with what it shows at ``steps`` of a video of ``frames`` frames.

    Raises:
        UserError: if a size does not divide the largest.
    """
    size = max(row.videos.shape[-2] for row in rows)
    shown = []
    for row in rows:
        own, length = row.videos.shape[-2], row.videos.shape[1]
        if size % own:
            raise UserError(f"{row.name} has {own} pixels a side, which cannot be enlarged to {size}")
        places = [step * length // frames for step in steps]
        shown.append(enlarge(row.videos[:, places], size // own))
    return shown


def spread(frames: int, count: int) -> list[int]:
    """``count`` steps of a video, evenly from the first to the last; all of them where it has fewer."""
    return [int(step) for step in np.linspace(0, frames - 1, min(count, frames)).round()]


def as_strip(shown: Sequence[Videos]) -> NDArray[np.uint8]:
    """A still picture (H', W', 3): for each clip its rows, with time to the right (SSW-GAN, Figures 4 and 10)."""
    by_clip = np.stack(shown, axis=1)
    return strip(by_clip.reshape(-1, *by_clip.shape[2:]))


def as_film(shown: Sequence[Videos]) -> Videos:
    """A video (T, H', W', 3): a column per clip, a row per row (SSW-GAN, D)."""
    return grid(np.concatenate(shown), columns=len(shown[0]))
