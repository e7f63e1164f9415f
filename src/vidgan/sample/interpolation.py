"""Videos on the way from one sample to another: between latents of one class, or between classes at one latent."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidgan.models.cascade import sample_window
from vidgan.models.generator import Generator
from vidgan.sample.grids import Videos, strip
from vidgan.sample.latents import Truncation, interpolate, latents
from vidgan.sample.trained import Trained, parts_of


class End(NamedTuple):
    """A sample at one end: what synthesis makes of the same seed, number and class."""

    clip: int
    """number of the clip, on which its noise depends"""
    label: int


@torch.no_grad()
def between(model: Trained, seed: int, first: End, last: End, count: int, truncation: Truncation) -> Tensor:
    """``count`` videos (count T 3 H W) in [-1, 1] from ``first`` to ``last``, both included.

    The noise of every level and the class embedding move on straight lines (Clark et al. 2019, 4.4 and D.2): ends of
    one class give a latent interpolation, ends of one number a class interpolation.
    """
    device, top = model.device, model.levels[-1].spec
    labels = torch.tensor([first.label, last.label], device=device)
    parts = []
    for rows in parts_of(count, model.experiment):

        def noise(level: int, dimension: int, rows: slice = rows) -> Tensor:
            a, b = latents(seed, level, [first.clip, last.clip], dimension, truncation)
            return interpolate(a, b, count)[rows].to(device)

        def embed(generator: Generator, rows: slice = rows) -> Tensor:
            a, b = generator.embed_label(labels)
            return interpolate(a, b, count)[rows]

        start = torch.zeros(rows.stop - rows.start, dtype=torch.int64)
        parts.append(sample_window(model.levels, noise, embed, start, top.frames).cpu())
    return torch.cat(parts)


def columns_of_time(videos: Videos, rows: int) -> NDArray[np.uint8]:
    """A still picture (H', W', 3) of videos (N, T, H, W, 3) as Clark et al. 2019 print interpolations (D.2).

    Each column is a video; ``rows`` of its frames, evenly spread from first to last, stand below each other.
    """
    steps = np.linspace(0, videos.shape[1] - 1, min(rows, videos.shape[1])).round().astype(int)
    return strip(np.ascontiguousarray(videos[:, steps].swapaxes(0, 1)))
