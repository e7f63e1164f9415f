"""Scores within each class, and how much its clips move (SSW-GAN, appendix G)."""

import statistics
from collections.abc import Mapping

import numpy as np

from vidgan.errors import UserError
from vidgan.evaluation.metrics.classes import groups
from vidgan.evaluation.metrics.frames import mean_motion
from vidgan.evaluation.protocols.extractors import (
    EvaluationBatch,
    Extractor,
    Features,
    Resources,
    Rows,
    Subject,
)
from vidgan.evaluation.protocols.metrics import (
    FrechetDistance,
    InceptionScore,
    Judge,
    KernelDistance,
    Metric,
    Result,
    Table,
)

LEAST = 2
"""clips of a class without which it has no score"""


class ByClass(Metric):
    """A score of the clips of each class for itself; the headline is the mean over classes.

    Classes that have fewer than two clips on a side are left out.
    """

    score: FrechetDistance | KernelDistance | InceptionScore
    """what is computed within each class"""

    @property
    def needs_real(self) -> bool:
        return self.score.needs_real

    @property
    def larger_is_better(self) -> bool:
        return self.score.larger_is_better

    def dimension(self, fake: Table) -> int | None:
        return self.score.dimension(fake)

    def against(self, real: Table | None) -> Judge:
        reals = {} if real is None else parts(real)
        judges = {name: self.score.against(part) for name, part in reals.items()}
        without = None if self.needs_real else self.score.against(None)

        def score(fake: Table) -> Result:
            fakes = parts(fake)
            scores = {
                name: each(part).value
                for name, part in fakes.items()
                if (each := judges.get(name, without)) is not None
            }
            values = {"per_class": scores, "judged_clips_per_class": clips_of(fakes)}
            if real is not None:
                values["real_clips_per_class"] = clips_of(reals)
            return Result(mean(scores), values)

        return score


class ClipMotion(Features):
    """How much a clip moves: mean absolute difference of its neighbouring frames, pixels in [0, 1]: ``motion`` (1).

    Our choice: SSW-GAN, G picks ten categories by hand that have much motion or little, and measures none.
    """

    def check(self, subject: Subject) -> None:
        if subject.context:
            raise UserError(
                "this protocol does not apply to a model that continues videos: their first frames are given"
            )

    def open(self, means: Resources) -> Extractor:
        def rows(batch: EvaluationBatch) -> Rows:
            if batch.videos.shape[1] < 2:
                raise UserError("clips of one frame do not move: judge at least two by --frames")
            return {"motion": mean_motion(batch.videos)[:, None]}

        return Extractor(rows, {}, self)


class MotionByClass(Metric):
    """Mean motion of the generated and of the real clips of each class.

    The headline is the difference between the two, as a mean of its size over classes.
    """

    def against(self, real: Table | None) -> Judge:
        assert real is not None
        reals = parts(real)
        expected = {name: float(part.get("motion").mean()) for name, part in reals.items()}

        def score(fake: Table) -> Result:
            fakes = parts(fake)
            found = {name: float(part.get("motion").mean()) for name, part in fakes.items()}
            gaps = {name: abs(found[name] - expected[name]) for name in found if name in expected}
            return Result(
                mean(gaps),
                {
                    "per_class": found,
                    "real_motion_per_class": expected,
                    "judged_clips_per_class": clips_of(fakes),
                    "real_clips_per_class": clips_of(reals),
                },
            )

        return score


def parts(table: Table) -> dict[str, Table]:
    """The rows of every class that has enough of them."""
    found = groups(np.arange(len(table.labels)), table.labels)
    return {table.classes[label]: table.take(rows) for label, rows in found if len(rows) >= LEAST}


def clips_of(classes: Mapping[str, Table]) -> dict[str, int]:
    """Numbers of clips by class."""
    return {name: len(part.labels) for name, part in classes.items()}


def mean(values: Mapping[str, float]) -> float:
    """The mean over classes; not a number where no class has clips on both sides."""
    return statistics.fmean(values.values()) if values else float("nan")
