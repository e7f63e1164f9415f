"""How far clips are from a longer video, at the best place in it."""

import numpy as np
from numpy.typing import NDArray

from vidgan.evaluate.metrics.arrays import Floats

Bytes = NDArray[np.uint8]


def aligned_distances(clips: Bytes, video: Bytes, stride: int) -> Floats:
    """Root mean square difference, in [0, 1], of clips (n T H W C) and a video (F H W C) at every start: (n, starts).

    Frame t of a clip is set against frame start + t stride of the video; exact up to the last rounding.
    """
    n, steps = clips.shape[:2]
    a = clips.reshape(n * steps, -1).astype(np.float64)
    b = video.reshape(len(video), -1).astype(np.float64)
    square = (a * a).sum(1)[:, None] - 2 * (a @ b.T) + (b * b).sum(1)[None]
    square = square.reshape(n, steps, len(video))
    starts = len(video) - (steps - 1) * stride
    total = np.zeros((n, max(0, starts)))
    for t in range(steps):
        total += square[:, t, t * stride : t * stride + starts]
    found: Floats = np.sqrt(np.maximum(total, 0.0) / (steps * a.shape[1])) / 255
    return found


def pair_distances(clips: Bytes) -> Floats:
    """Root mean square differences, in [0, 1], of all pairs of clips (n T H W C): (pairs,)."""
    flat = clips.reshape(len(clips), -1).astype(np.float64)
    square = (flat * flat).sum(1)[:, None] - 2 * (flat @ flat.T) + (flat * flat).sum(1)[None]
    rows, columns = np.triu_indices(len(clips), 1)
    found: Floats = np.sqrt(np.maximum(square[rows, columns], 0.0) / flat.shape[1]) / 255
    return found


def step_distances(path: Bytes) -> Floats:
    """Root mean square differences, in [0, 1], of neighbours on a path of clips (n T H W C): (n - 1,)."""
    steps = np.diff(path.reshape(len(path), -1).astype(np.float64), axis=0)
    found: Floats = np.sqrt((steps * steps).mean(1)) / 255
    return found
