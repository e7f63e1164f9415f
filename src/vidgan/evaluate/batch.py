"""What a feature extractor is given: some clips and what is known of them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Videos = NDArray[np.uint8]
"""Clips (N, T, H, W, 3)."""


class Batch(NamedTuple):
    """Clips, and what is known of them."""

    videos: Videos
    labels: NDArray[np.int64]
    """(N,), index into the classes of the set"""
    truth: Videos | None = None
    """where the clips are continuations: what really followed, beside each"""
    given: Videos | None = None
    """where it is known: the frames that were continued, beside each"""
    pairs: tuple[tuple[Videos, Videos], ...] = ()
    """of a cascade, if asked for: per level above the first its input, and its output brought down to that"""
