"""Does a level of a cascade keep to what it was given? Its output, brought down, beside its input."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vidgan.errors import UserError
from vidgan.evaluate.batch import Batch
from vidgan.evaluate.metrics.frames import psnr
from vidgan.evaluate.protocols.extractors import Extractor, Features, Means, Rows, Subject
from vidgan.evaluate.protocols.metrics import Judge, Metric, Result, Table


class LevelSimilarity(Features):
    """PSNR (dB) between the input of each level above the first and its output, brought down to it: ``psnr`` (levels).

    Our choice: an output is brought down as the data's own view of the level below is made, which makes real pairs
    equal, and the squared error is averaged over a whole clip. SSW-GAN, 4 asks that outputs be "a valid upsampled
    version" of inputs and shows it in pictures (Figures 4 and 10).
    """

    def check(self, subject: Subject) -> None:
        if not subject.generated:
            raise UserError("this protocol needs the videos of all levels: judge a run, not files")
        if subject.levels < 2:
            raise UserError("this protocol compares the levels of a cascade, and this model has one level")

    def open(self, means: Means) -> Extractor:
        def rows(batch: Batch) -> Rows:
            found = [psnr(as_one_image(given), as_one_image(output)) for given, output in batch.pairs]
            return {"psnr": np.stack(found, axis=1)}

        return Extractor(rows, {}, self)


def as_one_image(videos: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Clips (N, T, H, W, 3) with their frames below each other: (N, T H, W, 3)."""
    return videos.reshape(len(videos), -1, *videos.shape[3:])


class MeanPerLevel(Metric):
    """Mean over clips, for the top level; those of all levels above the first stand beside it."""

    @property
    def needs_real(self) -> bool:
        return False

    def against(self, real: Table | None) -> Judge:
        def judge(fake: Table) -> Result:
            means = fake.get("psnr").astype(np.float64).mean(0)
            levels: Mapping[str, float] = {f"level {i + 2}": float(mean) for i, mean in enumerate(means)}
            return Result(float(means[-1]), levels)

        return judge
