"""How much the clips of a class vary beside real ones, in what an oracle sees of the built-in clips."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from vidgan.bounds import Count
from vidgan.errors import UserError
from vidgan.evaluation.metrics.features import Floats
from vidgan.evaluation.metrics.spread import circular_interquartile_range, interquartile_range
from vidgan.evaluation.oracle import Traits, measure, seen_in, traits
from vidgan.evaluation.protocols.base import EvaluationBatch, Extractor, Resources, Rows, Score, Scorer, Table
from vidgan.evaluation.protocols.metrics import PerClass
from vidgan.evaluation.protocols.pixels import OracleLabels, numbered

SPREADS: Final[dict[str, Callable[[Floats], float]]] = {"hue": circular_interquartile_range}
"""how the spread of a trait is measured, where it is not the interquartile range"""


class OracleTraits(OracleLabels):
    """``seen``, and what else an oracle sees of the object: ``x``, ``y``, ``size``, ``speed``, ``hue`` (1 each) and
    ``background`` (3), as :class:`~vidgan.evaluation.oracle.Traits` has them."""

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        def rows(batch: EvaluationBatch) -> Rows:
            side = batch.videos.shape[2]
            measures = measure(batch.videos)
            seen = seen_in(measures, side)
            found = traits(measures, seen, side)._asdict()
            columns = {name: values.reshape(len(seen), -1) for name, values in found.items()}
            return {"seen": numbered(seen, classes), **columns}

        return Extractor(rows, {"classes": list(classes)}, self)


class SpreadByClass(PerClass):
    """How far the traits of a class's clips spread, as part of how far those of real clips do.

    Of the clips in which their class is seen, each trait's interquartile range (of hue, a circular one) over that of
    real clips, r, counts as min(r, 1 / r), so that too wide is as wrong as too narrow; of the background the mean over
    its three channels. The headline is the mean over classes of the trait for which it is least.

    Our choice, all of it: the papers measure no variety within a class.
    """

    least: Count = 32
    """generated clips in which their class is seen, with fewer of which a class counts 0"""

    @property
    def larger_is_better(self) -> bool:
        return True

    def scored(self, fake: Mapping[str, int], real: Mapping[str, int] | None) -> list[str]:
        names = super().scored(fake, real)
        self._require("evaluated clips", fake, "--clips")
        self._require("real clips", {} if real is None else real, "--real-clips")
        return names

    def _require(self, what: str, counts: Mapping[str, int], option: str) -> None:
        """Raise :class:`UserError` where there are too few clips of a class for the number to say anything."""
        for name, clips in counts.items():
            if clips < self.least:
                raise UserError(
                    f"this protocol takes {self.least} {what} or more of a class, and {name} has {clips}: ask for "
                    f"more by {option}"
                )

    def against(self, real: Table | None) -> Scorer:
        assert real is not None
        known = as_asked(real)
        seen = {name: len(part.labels) for name, part in known.items()}
        self._require("real clips that the oracle knows", seen, "--real-clips")
        expected = {name: spreads(part) for name, part in known.items()}

        def score(fake: Table) -> Score:
            found = as_asked(fake)
            ratios: dict[str, dict[str, float]] = {}
            for name, of_real in expected.items():
                part = found.get(name)
                enough = part is not None and len(part.labels) >= self.least
                of_fake = spreads(part) if part is not None and enough else None
                ratios[name] = {
                    trait: 0.0 if of_fake is None else float(np.mean(likeness(of_fake[trait], wide)))
                    for trait, wide in of_real.items()
                }
            means = {
                trait: float(np.mean([each[trait] for each in ratios.values()])) for trait in Traits._fields
            }
            values: dict[str, Any] = {
                "per_trait": means,
                "per_class": ratios,
                "seen_as_asked_per_class": {name: len(part.labels) for name, part in found.items()},
            }
            return Score(min(means.values()), values)

        return score


def as_asked(table: Table) -> dict[str, Table]:
    """The rows of each class that there is in which the class is seen, by its name."""
    seen = table.get("seen")[:, 0] == table.labels
    return {
        table.classes[label]: table.take(np.flatnonzero(seen & (table.labels == label)))
        for label in np.unique(table.labels)
    }


def spreads(table: Table) -> dict[str, Floats]:
    """The spread of each column of each trait."""
    return {
        trait: np.array([SPREADS.get(trait, interquartile_range)(column) for column in table.get(trait).T])
        for trait in Traits._fields
    }


def likeness(one: Floats, other: Floats) -> Floats:
    """min(r, 1 / r) of the ratio r of each pair of spreads; 1 where both are 0."""
    larger = np.maximum(one, other)
    return np.where(larger > 0, np.minimum(one, other) / np.where(larger > 0, larger, 1), 1.0)
