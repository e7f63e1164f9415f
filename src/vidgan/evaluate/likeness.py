"""What makes two clips alike: their pixels, or a network's features of them."""

from abc import ABC, abstractmethod

import numpy as np

from vidgan.evaluate.batch import Batch, Videos
from vidgan.evaluate.metrics.alignment import Bytes, aligned_distances
from vidgan.evaluate.metrics.arrays import Floats
from vidgan.evaluate.metrics.neighbours import squared_distances
from vidgan.evaluate.protocols.extractors import Extractor


class Likeness(ABC):
    """Distances of clips to the windows of a video."""

    name: str

    @abstractmethod
    def distances(self, clips: Videos, video: Bytes, stride: int) -> tuple[Floats, list[int]]:
        """Clips (n T H W C) and a video (F H W C): (n, starts), and the frames at which the windows start."""


class Pixels(Likeness):
    """Root mean square difference of pixels, in [0, 1], at every start."""

    name = "pixels"

    def distances(self, clips: Videos, video: Bytes, stride: int) -> tuple[Floats, list[int]]:
        found = aligned_distances(clips, video, stride)
        return found, list(range(found.shape[1]))


class NetworkFeatures(Likeness):
    """Euclidean distance of a network's features, of windows that start every ``hop`` frames."""

    def __init__(self, name: str, extractor: Extractor, hop: int) -> None:
        self.name, self._extractor, self.hop = name, extractor, hop
        self._known: tuple[Videos, Floats] | None = None

    def distances(self, clips: Videos, video: Bytes, stride: int) -> tuple[Floats, list[int]]:
        if self._known is None or self._known[0] is not clips:  # the same clips come for video after video
            self._known = (clips, self._features(clips))
        span = (clips.shape[1] - 1) * stride + 1
        starts = list(range(0, len(video) - span + 1, self.hop))
        if not starts:
            return np.zeros((len(clips), 0)), starts
        windows = np.stack([video[start : start + span : stride] for start in starts])
        return np.sqrt(squared_distances(self._known[1], self._features(windows))), starts

    def _features(self, clips: Videos) -> Floats:
        rows = self._extractor.rows(Batch(clips, np.zeros(len(clips), np.int64)))
        name = next(name for name in ("features", "logits", *rows) if name in rows)
        features: Floats = rows[name].reshape(len(clips), -1).astype(np.float64)
        return features
