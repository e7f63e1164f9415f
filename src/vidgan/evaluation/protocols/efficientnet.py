"""Frechet distances of frames and of clips by EfficientNet-Lite0, whose weights come with a package.

They are no FID and no FVD: another network, at another size, of fewer dimensions.
"""

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor

from vidgan.bounds import Length
from vidgan.errors import UserError
from vidgan.evaluation.features.efficientnet_lite import efficientnet_lite_input
from vidgan.evaluation.features.network import exact_float32
from vidgan.evaluation.features.weights import load_efficientnet_lite0, packaged_efficientnet_lite0
from vidgan.evaluation.metrics.features import Floats, Gaussian
from vidgan.evaluation.protocols.base import (
    EvaluationBatch,
    Extractor,
    Features,
    Metric,
    Resources,
    Rows,
    Score,
    Scorer,
    Table,
)
from vidgan.evaluation.protocols.metrics import at_least
from vidgan.evaluation.protocols.networks import to_video, weights_facts
from vidgan.sample.video_io import Videos

PASS = 8
"""frames that the network takes at a time"""


class EfficientNetLite0Frames(Features):
    """EfficientNet-Lite0, trained on ImageNet: ``frames`` (T x 320), the last block's output of every frame.

    Our choice: the 320 channels of the last block, averaged over positions, instead of the 1,280 that the head makes of
    them, since a covariance of 1,280 dimensions wants tens of thousands of clips; and frames of 128x128, to which they
    are resized, instead of the 224x224 that it was trained on, for a quarter of the work.
    """

    side: Length = 128
    """to which frames are resized (pixels): bilinear, half-pixel, antialiased where they are larger"""

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        network, weights = load_efficientnet_lite0(packaged_efficientnet_lite0())
        network.to(resources.device)

        def features(videos: Videos) -> Tensor:
            """(T, 320) of one clip."""
            parts = to_video(videos[None], resources.device).split(PASS, dim=1)
            found = [
                network.of_frames(efficientnet_lite_input(part, self.side)).features[0] for part in parts
            ]
            return torch.cat(found)

        def rows(batch: EvaluationBatch) -> Rows:
            with exact_float32():
                found = [features(video).cpu().numpy() for video in batch.videos]
            return {"frames": np.stack(found)}

        return Extractor(rows, weights_facts(weights), self)


class OfFrameFeatures(Metric):
    """A Frechet distance of vectors that are made of the frames' features."""

    @abstractmethod
    def vectors(self, table: Table) -> Floats:
        """(n, d) of all clips, float64."""

    def check_counts(self, fake: int, real: int | None) -> None:
        at_least(2, fake, real)

    def dimension(self, fake: Table) -> int:
        return int(self.vectors(fake.take(np.arange(1))).shape[1])

    def against(self, real: Table | None) -> Scorer:
        assert real is not None
        one = Gaussian.fitted(self.vectors(real))

        def score(fake: Table) -> Score:
            return Score(one.distance(Gaussian.fitted(self.vectors(fake))), {})

        return score


class FrechetOfFrames(OfFrameFeatures):
    """Of all frames of all clips: how they look, whatever their order."""

    def vectors(self, table: Table) -> Floats:
        frames = table.get("frames").astype(np.float64)
        return frames.reshape(-1, frames.shape[-1])


class FrechetOfClips(OfFrameFeatures):
    """Of the mean of a clip's frames, and of the mean absolute difference of neighbouring ones: how much they change.

    Whether time runs forwards it does not see.
    """

    def vectors(self, table: Table) -> Floats:
        frames = table.get("frames").astype(np.float64)
        if frames.shape[1] < 2:
            raise UserError(
                "clips of one frame have no differences in time: evaluate at least two by --frames"
            )
        return np.concatenate([frames.mean(1), np.abs(np.diff(frames, axis=1)).mean(1)], axis=1)
