"""What becomes of the clips' rows: a number. Each metric is a spec; the arithmetic stands in evaluate/metrics."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidgan.errors import UserError
from vidgan.evaluation.metrics.arrays import Floats
from vidgan.evaluation.metrics.classes import inception_score
from vidgan.evaluation.metrics.features import distance, gaussian, kernel_distance, manifold_scores
from vidgan.evaluation.metrics.frames import best_of, group_spectra
from vidgan.spec import Spec, require

LAYERS = ("logits", "features")


class Table(NamedTuple):
    """Rows of a set of clips."""

    rows: Mapping[str, NDArray[Any]]
    """arrays by name, a row per clip"""
    labels: NDArray[np.int64]
    """of the clips, indices into ``classes``"""
    classes: tuple[str, ...]
    """that the labels count"""

    def take(self, numbers: NDArray[np.int64]) -> "Table":
        """The rows with these numbers, which may repeat."""
        return self._replace(rows={k: v[numbers] for k, v in self.rows.items()}, labels=self.labels[numbers])

    def get(self, name: str) -> NDArray[Any]:
        """The array ``name``; raises :class:`UserError` where the network has no such output."""
        if name not in self.rows:
            raise UserError(
                f"the weights' file gives no {name}, only {', '.join(self.rows)}: use weights in another format"
            )
        return self.rows[name]


class Result(NamedTuple):
    """A number and what belongs to it."""

    value: float
    """the headline number"""
    values: Mapping[str, Any]
    """further numbers, by name"""
    table: Mapping[str, Any] | None = None
    """rows, columns and counts, where the protocol has a table"""


Judge = Callable[[Table], Result]


class Metric(Spec, ABC):
    """A number made of the rows of evaluated and, if it needs them, of real clips."""

    @property
    def needs_real(self) -> bool:
        """Whether it compares with real clips."""
        return True

    @property
    def larger_is_better(self) -> bool:
        """Which of two numbers is the better one."""
        return False

    @property
    def rows_per_clip(self) -> int:
        """Rows that stand together: several futures of one real clip."""
        return 1

    def dimension(self, fake: Table) -> int | None:
        """Dimensions of the features, where a count too small for them makes the number wrong."""
        return None

    @abstractmethod
    def against(self, real: Table | None) -> Judge:
        """What measures tables against ``real``, of which everything is computed once.

        Raises:
            UserError: there or when called, where the rows do not allow it.
        """


class OfLayer(Metric):
    """A metric of one output of the network."""

    layer: str = "features"
    """logits (time-averaged, before the softmax) or features (the last pool)"""

    def validate(self) -> None:
        require(self.layer in LAYERS, f"layer is one of {', '.join(LAYERS)}, not {self.layer!r}")

    def dimension(self, fake: Table) -> int | None:
        return int(fake.get(self.layer).shape[1])


class FrechetDistance(OfLayer):
    """Frechet distance between Gaussians, in float64, exact also with fewer clips than dimensions."""

    biased: bool = False
    """divide covariances by n instead of n - 1"""

    def against(self, real: Table | None) -> Judge:
        assert real is not None
        one = gaussian(real.get(self.layer), biased=self.biased)

        def score(fake: Table) -> Result:
            return Result(distance(one, gaussian(fake.get(self.layer), biased=self.biased)), {})

        return score


class KernelDistance(OfLayer):
    """Unbiased squared MMD under a cubic kernel."""

    def dimension(self, fake: Table) -> int | None:
        return None

    def against(self, real: Table | None) -> Judge:
        assert real is not None
        one = real.get(self.layer)
        return lambda fake: Result(kernel_distance(one, fake.get(self.layer)), {})


class ManifoldScores(OfLayer):
    """Precision (the headline), recall, density and coverage."""

    k: int = 5
    """a ball around a clip's features reaches to its k-th neighbour"""

    def dimension(self, fake: Table) -> int | None:
        return None

    @property
    def larger_is_better(self) -> bool:
        return True

    def against(self, real: Table | None) -> Judge:
        assert real is not None
        one = real.get(self.layer)

        def score(fake: Table) -> Result:
            found = manifold_scores(one, fake.get(self.layer), self.k)
            return Result(found.precision, found._asdict())

        return score


class InceptionScore(Metric):
    """Inception Score of the logits: mean over splits."""

    splits: int = 1
    """parts of neighbouring clips, each scored for itself"""
    epsilon: float = 0.0
    """added inside the logarithms"""
    shuffle: int | None = None
    """seed of numpy's RandomState that orders clips before the split; None keeps the order"""

    def validate(self) -> None:
        require(self.splits >= 1, f"splits must be at least 1, got {self.splits}")

    @property
    def needs_real(self) -> bool:
        return False

    @property
    def larger_is_better(self) -> bool:
        return True

    def against(self, real: Table | None) -> Judge:
        def score(fake: Table) -> Result:
            mean, deviation = inception_score(
                fake.get("logits"), self.splits, epsilon=self.epsilon, shuffle=self.shuffle
            )
            return Result(mean, {"deviation_over_splits": deviation} if self.splits > 1 else {})

        return score


class ClassAccuracy(Metric):
    """Share of clips in which the class that was asked for is seen."""

    @property
    def needs_real(self) -> bool:
        return False

    @property
    def larger_is_better(self) -> bool:
        return True

    def against(self, real: Table | None) -> Judge:
        def score(fake: Table) -> Result:
            columns = (*fake.classes, "none")
            counts = np.zeros((len(fake.classes), len(columns)), np.int64)
            np.add.at(counts, (fake.labels, fake.get("seen")[:, 0].astype(np.int64)), 1)
            right, asked = np.diagonal(counts), counts.sum(1)
            per_class = {
                name: float(hits / number) if number else float("nan")
                for name, hits, number in zip(fake.classes, right, asked, strict=True)
            }
            table = {"rows": list(fake.classes), "columns": list(columns), "counts": counts.tolist()}
            return Result(float(right.sum() / max(1, asked.sum())), {"per_class": per_class}, table)

        return score


class PixelGap(Metric):
    """Largest difference between generated and real means of a colour channel; shares of dark clips beside it."""

    dark: float = -0.9
    """a clip whose mean over all pixels is below this is dark, in [-1, 1]"""

    def against(self, real: Table | None) -> Judge:
        assert real is not None
        one = real.get("means").astype(np.float64)

        def score(fake: Table) -> Result:
            values: dict[str, Any] = {"real_clips": len(one)}
            means = {"fake": fake.get("means").astype(np.float64), "real": one}
            for name, rows in means.items():
                values[f"{name}_mean"] = rows.mean(0).tolist()
                values[f"{name}_dark"] = float((rows.mean(1) < self.dark).mean())
            return Result(float(np.abs(means["fake"].mean(0) - one.mean(0)).max()), values)

        return score


class SpectralGap(Metric):
    """Power spectra of generated and real frames: mean over clips, deviation over groups of clips.

    SSW-GAN, appendix E, draws the two curves and prints no number. Our choice for the headline: the mean over
    frames and rings of the absolute difference of their base-ten logarithms.
    """

    groups: int = 3
    """groups of neighbouring clips, over which deviations are taken"""

    def validate(self) -> None:
        require(self.groups >= 1, f"groups must be at least 1, got {self.groups}")

    def against(self, real: Table | None) -> Judge:
        assert real is not None
        one, one_deviation = self._curves(real)

        def score(fake: Table) -> Result:
            mean, deviation = self._curves(fake)
            if mean.shape != one.shape:
                raise UserError("spectra of unlike sizes cannot be compared: choose one by --size")
            tiny = np.finfo(np.float64).tiny
            gap = np.abs(np.log10(np.maximum(mean, tiny)) - np.log10(np.maximum(one, tiny)))
            curves = {"fake": mean, "fake_deviation": deviation, "real": one, "real_deviation": one_deviation}
            return Result(float(gap.mean()), {name: curve.tolist() for name, curve in curves.items()})

        return score

    def _curves(self, table: Table) -> tuple[Floats, Floats]:
        """(frames, rings) mean and deviation; clips that fill no group are left out."""
        rows = table.get("spectra").astype(np.float64)
        kept = len(rows) - len(rows) % self.groups
        if kept == 0:
            raise UserError(f"power spectra need at least {self.groups} clips, not {len(rows)}")
        mean, deviation = group_spectra(rows[:kept].reshape(kept, -1), self.groups)
        return mean.reshape(rows.shape[1:]), deviation.reshape(rows.shape[1:])


class BestFuture(Metric):
    """Per real clip the best of several futures by its mean over time; then the mean over clips and frames."""

    futures: int = 100
    """continuations per real clip"""

    def validate(self) -> None:
        require(self.futures >= 1, f"futures must be at least 1, got {self.futures}")

    @property
    def needs_real(self) -> bool:
        return False  # the rows have been compared already

    @property
    def rows_per_clip(self) -> int:
        return self.futures

    @property
    def larger_is_better(self) -> bool:
        return True

    def against(self, real: Table | None) -> Judge:
        def score(fake: Table) -> Result:
            rows = fake.get("ssim").astype(np.float64)
            scores = rows.reshape(-1, self.futures, rows.shape[1]).transpose(1, 0, 2)
            best = best_of(scores).mean(0)
            values: dict[str, Any] = {"per_frame": best.tolist(), "mean_future": float(rows.mean())}
            values["best_of"] = {str(n): best_of(scores[:n]).mean(0).tolist() for n in shown(self.futures)}
            if "copied" in fake.rows:
                # One of the equal rows of each clip.
                copied = fake.get("copied").astype(np.float64)[:: self.futures].mean(0)
                values |= {"copy_last": float(copied.mean()), "copy_last_per_frame": copied.tolist()}
            return Result(float(best.mean()), values)

        return score


def shown(futures: int) -> list[int]:
    """Numbers of futures whose best is drawn: powers of ten, and all of them."""
    powers = [10**n for n in range(len(str(futures)))]
    return sorted({*powers, futures})


def pick(table: Table, clips: Sequence[int], rows_per_clip: int) -> Table:
    """The rows of some clips, which may repeat."""
    first = np.asarray(clips, np.int64)[:, None] * rows_per_clip
    return table.take((first + np.arange(rows_per_clip)).ravel())
