"""What each discriminator sees of clips of the data, as a picture (Luc et al. 2020, Figure 1)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from vidgan.data.dataset import Dataset
from vidgan.data.loader import to_float
from vidgan.data.window import random_item
from vidgan.run.experiment import Experiment, window_of
from vidgan.run.networks import adversarial_level
from vidgan.sample.video_io import Videos, spread, strip, to_bytes
from vidgan.seeds import derive, stream

GAP = 6
"""grey pixels between rows"""


class Seen(NamedTuple):
    """What a discriminator sees of some clips."""

    name: str
    """of the discriminator, with its level where there are several"""
    videos: Videos
    """(n, T', h, w, 3), uint8"""

    @property
    def size(self) -> str:
        """Frames and pixels of a clip."""
        _, frames, height, width, _ = self.videos.shape
        return f"{frames}x{height}x{width}"


def seen_by_discriminators(experiment: Experiment, dataset: Dataset, clips: int, seed: int) -> list[Seen]:
    """Clips of the data, and what the discriminators of every level see of them as real ones in training.

    The first entry of each level is its whole clips, given frames in front. Of a matching pair, the lower level's
    video and the clip are two entries.

    Raises:
        UserError: if a clip cannot be read.
    """
    found = []
    for index in experiment.rounds:
        window, own = window_of(experiment, index), derive(seed, "seen", index)
        items = [random_item(dataset, window, own, n) for n in range(clips)]
        clip = to_float(torch.stack([torch.from_numpy(item.frames) for item in items]))
        with torch.device("meta"):  # what is seen needs no weights
            level = adversarial_level(experiment, index)
        rng = stream(own, "views")
        label = torch.zeros(clips, dtype=torch.int64)
        real = level.real_input(clip, label, experiment.smooth_views)
        real = level.at(real, level.places(clips, rng))
        views = {"clip of the data": real.clip, **level.views(real, level.draws(clips, rng))}
        of = f"level {index + 1}, " if len(experiment.rounds) > 1 else ""
        for name, view in views.items():
            colours = view.split(3, dim=2)
            parts = [""] if len(colours) == 1 else [", below", ", above"]
            if name in level.discriminators and level.discriminator(name).spec.view.together > 1:
                parts = [f", part {n + 1} of a pack" for n in range(len(colours))]
            for part, video in zip(parts, colours, strict=True):
                found.append(Seen(f"{of}{name}{part}", to_bytes(video).numpy()))
    return found


def picture_of(seen: Sequence[Seen], clip: int, columns: int) -> NDArray[np.uint8]:
    """One clip, a row per entry, pixel for pixel: (H, W, 3). Of longer rows ``columns`` frames, evenly spread."""
    rows = [each.videos[clip, spread(each.videos.shape[1], columns)] for each in seen]
    return left_aligned([strip(row[None]) for row in rows])


def left_aligned(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures (h, w, 3) below each other on grey."""
    height = sum(picture.shape[0] for picture in pictures) + GAP * (len(pictures) - 1)
    canvas = np.full((height, max(picture.shape[1] for picture in pictures), 3), 128, np.uint8)
    top = 0
    for picture in pictures:
        canvas[top : top + picture.shape[0], : picture.shape[1]] = picture
        top += picture.shape[0] + GAP
    return canvas


def side_by_side(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures (h, w, 3) from left to right on grey, aligned at the top."""
    return left_aligned([picture.swapaxes(0, 1) for picture in pictures]).swapaxes(0, 1)
