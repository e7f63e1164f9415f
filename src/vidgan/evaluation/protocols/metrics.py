"""What becomes of the clips' rows: a number. Each metric is a spec; the arithmetic stands in evaluation/metrics."""

import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np

from vidgan.bounds import Count, NotNegative, Real, Seed
from vidgan.errors import UserError
from vidgan.evaluation.metrics.features import (
    Floats,
    Gaussian,
    inception_score,
    kernel_distance,
    precision_recall,
)
from vidgan.evaluation.metrics.frames import best_of, group_spectra
from vidgan.evaluation.protocols.base import Metric, Score, Scorer, Subject, Table
from vidgan.spec import require

LAYERS = ("logits", "features")
FEW_FOR_INCEPTION = 5000
"""clips below which an Inception Score is marked as biased"""


class OfLayer(Metric):
    """A metric of one output of the network, against that of real clips."""

    layer: str = "features"
    """logits (time-averaged, before the softmax) or features (the last pool)"""

    def validate(self) -> None:
        require(self.layer in LAYERS, f"layer is one of {', '.join(LAYERS)}, not {self.layer!r}")


class OfFakes(Metric):
    """A metric of evaluated clips alone, of which more is better."""

    @property
    def needs_real(self) -> bool:
        return False

    @property
    def larger_is_better(self) -> bool:
        return True


def at_least(least: int, *counts: int | None) -> None:
    """Raise :class:`UserError` where there are fewer clips on a side than a metric takes."""
    if (few := min(count for count in counts if count is not None)) < least:
        raise UserError(
            f"this protocol takes {least} clips or more, and there are {few}: ask for more by --clips"
        )


class FrechetDistance(OfLayer):
    """Frechet distance between Gaussians, in float64, exact also with fewer clips than dimensions."""

    biased: bool = False
    """divide covariances by n instead of n - 1"""

    def check_counts(self, fake: int, real: int | None) -> None:
        at_least(2, fake, real)

    def dimension(self, fake: Table) -> int:
        return int(fake.get(self.layer).shape[1])

    def against(self, real: Table | None) -> Scorer:
        assert real is not None
        one = Gaussian.fitted(real.get(self.layer), biased=self.biased)

        def score(fake: Table) -> Score:
            return Score(one.distance(Gaussian.fitted(fake.get(self.layer), biased=self.biased)), {})

        return score


class KernelDistance(OfLayer):
    """Unbiased squared MMD under a cubic kernel."""

    def check_counts(self, fake: int, real: int | None) -> None:
        at_least(2, fake, real)

    def against(self, real: Table | None) -> Scorer:
        assert real is not None
        one = real.get(self.layer)
        return lambda fake: Score(kernel_distance(one, fake.get(self.layer)), {})


class PrecisionRecall(OfLayer):
    """Precision (the headline), recall, density and coverage."""

    k: Count = 5
    """a ball around a clip's features reaches to its k-th neighbour"""

    def check_counts(self, fake: int, real: int | None) -> None:
        at_least(self.k + 1, fake, real)

    @property
    def larger_is_better(self) -> bool:
        return True

    def against(self, real: Table | None) -> Scorer:
        assert real is not None
        one = real.get(self.layer)

        def score(fake: Table) -> Score:
            found = precision_recall(one, fake.get(self.layer), self.k)
            return Score(found.precision, found._asdict())

        return score


class InceptionScore(OfFakes):
    """Inception Score of the logits: mean over splits."""

    splits: Count = 1
    """parts of clips that are neighbours once they are shuffled, each scored for itself"""
    epsilon: NotNegative = 0.0
    """added inside the logarithms"""
    shuffle: Seed | None = None
    """seed of numpy's RandomState that orders clips before the split; None keeps the order"""

    def check_counts(self, fake: int, real: int | None) -> None:
        at_least(self.splits, fake)

    def warnings(self, clips: int) -> list[str]:
        said = (
            f"an Inception Score of {clips} clips in {self.splits} parts is biased by their number: compare it with "
            "scores of the same number and parts only"
        )
        return [said] if clips < FEW_FOR_INCEPTION else []

    def against(self, real: Table | None) -> Scorer:
        def score(fake: Table) -> Score:
            found = inception_score(
                fake.get("logits"), self.splits, epsilon=self.epsilon, shuffle=self.shuffle
            )
            return Score(found.mean, {"deviation_over_splits": found.deviation} if self.splits > 1 else {})

        return score


class ClassAccuracy(OfFakes):
    """Share of clips in which the class that was asked for is seen."""

    @property
    def stratified(self) -> bool:
        return True

    def against(self, real: Table | None) -> Scorer:
        def score(fake: Table) -> Score:
            columns = (*fake.classes, "none")
            counts = np.zeros((len(fake.classes), len(columns)), np.int64)
            np.add.at(counts, (fake.labels, fake.get("seen")[:, 0].astype(np.int64)), 1)
            right, asked = np.diagonal(counts), counts.sum(1)
            per_class = {
                name: float(hits / number) if number else float("nan")
                for name, hits, number in zip(fake.classes, right, asked, strict=True)
            }
            table = {"rows": list(fake.classes), "columns": list(columns), "counts": counts.tolist()}
            return Score(float(right.sum() / max(1, asked.sum())), {"per_class": per_class}, table)

        return score


class PixelGap(Metric):
    """Largest difference between generated and real means of a colour channel; shares of dark clips beside it."""

    dark: Real = -0.9
    """a clip whose mean over all pixels is below this is dark, in [-1, 1]"""

    def against(self, real: Table | None) -> Scorer:
        assert real is not None
        one = real.get("means").astype(np.float64)

        def score(fake: Table) -> Score:
            values: dict[str, Any] = {"real_clips": len(one)}
            means = {"fake": fake.get("means").astype(np.float64), "real": one}
            for name, rows in means.items():
                values[f"{name}_mean"] = rows.mean(0).tolist()
                values[f"{name}_dark"] = float((rows.mean(1) < self.dark).mean())
            return Score(float(np.abs(means["fake"].mean(0) - one.mean(0)).max()), values)

        return score


class SpectralGap(Metric):
    """Power spectra of generated and real frames: mean over clips, deviation over groups of clips.

    SSW-GAN, appendix E, draws the two curves and prints no number. Our choice for the headline: the mean over
    frames and rings of the absolute difference of their base-ten logarithms.
    """

    groups: Count = 3
    """groups of clips that are neighbours once they are shuffled, over which deviations are taken"""
    shuffle: Seed | None = None
    """seed of numpy's RandomState that orders clips before they are grouped; None keeps the order"""

    def check_counts(self, fake: int, real: int | None) -> None:
        at_least(self.groups, fake, real)

    def against(self, real: Table | None) -> Scorer:
        assert real is not None
        one, one_deviation = self._curves(real)

        def score(fake: Table) -> Score:
            mean, deviation = self._curves(fake)
            if mean.shape != one.shape:
                raise UserError("spectra of unlike sizes cannot be compared: choose one by --size")
            tiny = np.finfo(np.float64).tiny
            gap = np.abs(np.log10(np.maximum(mean, tiny)) - np.log10(np.maximum(one, tiny)))
            curves = {"fake": mean, "fake_deviation": deviation, "real": one, "real_deviation": one_deviation}
            return Score(float(gap.mean()), {name: curve.tolist() for name, curve in curves.items()})

        return score

    def _curves(self, table: Table) -> tuple[Floats, Floats]:
        """(frames, rings) mean and deviation; clips that fill no group are left out."""
        rows = table.get("spectra").astype(np.float64)
        if self.shuffle is not None:
            rows = rows[np.random.RandomState(self.shuffle).permutation(len(rows))]
        kept = len(rows) - len(rows) % self.groups
        if kept == 0:
            raise UserError(f"power spectra need at least {self.groups} clips, not {len(rows)}")
        mean, deviation = group_spectra(rows[:kept].reshape(kept, -1), self.groups)
        return mean.reshape(rows.shape[1:]), deviation.reshape(rows.shape[1:])


class BestFuture(OfFakes):
    """Per real clip the best of several futures by its mean over time; then the mean over clips and frames."""

    futures: Count = 100
    """continuations per real clip"""

    def against(self, real: Table | None) -> Scorer:
        def score(fake: Table) -> Score:
            rows = fake.get("ssim").astype(np.float64)
            scores = rows.reshape(-1, self.futures, rows.shape[1]).transpose(1, 0, 2)
            best = best_of(scores).mean(0)
            values: dict[str, Any] = {"per_frame": best.tolist(), "mean_future": float(rows.mean())}
            values["best_of"] = {str(n): best_of(scores[:n]).mean(0).tolist() for n in shown(self.futures)}
            if "copied" in fake.rows:
                # One of the equal rows of each clip.
                copied = fake.get("copied").astype(np.float64)[:: self.futures].mean(0)
                values |= {"copy_last": float(copied.mean()), "copy_last_per_frame": copied.tolist()}
            return Score(float(best.mean()), values)

        return score


def shown(futures: int) -> list[int]:
    """Numbers of futures whose best is drawn: powers of ten, and all of them."""
    powers = [10**n for n in range(len(str(futures)))]
    return sorted({*powers, futures})


class MeanPerLevel(OfFakes):
    """Mean over clips, for the top level; those of all levels above the first stand beside it."""

    def against(self, real: Table | None) -> Scorer:
        def score(fake: Table) -> Score:
            means = fake.get("psnr").astype(np.float64).mean(0)
            levels: Mapping[str, float] = {f"level {i + 2}": float(mean) for i, mean in enumerate(means)}
            return Score(float(means[-1]), levels)

        return score


LEAST = 2
"""clips of a class without which it has no score"""


class PerClass(Metric):
    """A metric of the clips of each class for itself (SSW-GAN, appendix G)."""

    @property
    def stratified(self) -> bool:
        return True

    def check(self, subject: Subject) -> None:
        if not subject.conditional or len(subject.classes) < 2:
            raise UserError("this protocol scores class by class, and what is evaluated has none")

    @property
    def by_class(self) -> bool:
        return True

    def scored(self, fake: Mapping[str, int], real: Mapping[str, int] | None) -> list[str]:
        sides = [fake] if real is None else [fake, real]
        names = [name for name in fake if all(side.get(name, 0) >= LEAST for side in sides)]
        if not names:
            side = "" if real is None else " on either side, by the same name"
            raise UserError(
                f"this protocol takes {LEAST} clips or more of a class{side}, and no class has them: ask for more by "
                "--clips, or for fewer classes"
            )
        return names


class ByClass(PerClass):
    """A score of the clips of each class for itself; the headline is the mean over classes.

    Classes that have fewer than two clips on a side are left out.
    """

    score: Metric
    """what is computed within each class"""

    @property
    def needs_real(self) -> bool:
        return self.score.needs_real

    @property
    def larger_is_better(self) -> bool:
        return self.score.larger_is_better

    def dimension(self, fake: Table) -> int | None:
        return self.score.dimension(fake)

    def scored(self, fake: Mapping[str, int], real: Mapping[str, int] | None) -> list[str]:
        names = super().scored(fake, real)
        for name in names:
            self.score.check_counts(fake[name], None if real is None else real[name])
        return names

    def against(self, real: Table | None) -> Scorer:
        reals = {} if real is None else by_class(real)
        scorers = {name: self.score.against(part) for name, part in reals.items()}
        without = None if self.needs_real else self.score.against(None)

        def score(fake: Table) -> Score:
            fakes = by_class(fake)
            scores = {
                name: each(part).value
                for name, part in fakes.items()
                if (each := scorers.get(name, without)) is not None
            }
            values: dict[str, Any] = {"per_class": scores, "evaluated_clips_per_class": clips_of(fakes)}
            if real is not None:
                values["real_clips_per_class"] = clips_of(reals)
            return Score(mean(scores), values)

        return score


class MotionByClass(PerClass):
    """Mean motion of the generated and of the real clips of each class.

    The headline is the difference between the two, as a mean of its size over classes.
    """

    def against(self, real: Table | None) -> Scorer:
        assert real is not None
        reals = by_class(real)
        expected = {name: float(part.get("motion").mean()) for name, part in reals.items()}

        def score(fake: Table) -> Score:
            fakes = by_class(fake)
            found = {name: float(part.get("motion").mean()) for name, part in fakes.items()}
            gaps = {name: abs(found[name] - expected[name]) for name in found if name in expected}
            return Score(
                mean(gaps),
                {
                    "per_class": found,
                    "real_motion_per_class": expected,
                    "evaluated_clips_per_class": clips_of(fakes),
                    "real_clips_per_class": clips_of(reals),
                },
            )

        return score


def by_class(table: Table) -> dict[str, Table]:
    """The rows of every class that has enough of them, by its name, in order of labels."""
    members = {int(label): np.flatnonzero(table.labels == label) for label in np.unique(table.labels)}
    return {table.classes[label]: table.take(rows) for label, rows in members.items() if len(rows) >= LEAST}


def clips_of(classes: Mapping[str, Table]) -> dict[str, int]:
    """Numbers of clips by class."""
    return {name: len(part.labels) for name, part in classes.items()}


def mean(values: Mapping[str, float]) -> float:
    """The mean over classes; not a number where no class has clips on both sides."""
    return statistics.fmean(values.values()) if values else float("nan")
