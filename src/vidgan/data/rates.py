"""How fast clips are: which frame rates a set of them has, and whether they are mixed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidgan.data.dataset import Dataset
from vidgan.data.listing import NAMED, Remark

ALIKE = 1.02
"""Rates by this factor apart are the same: 23.976 and 24, and what a container's rounding makes of them. 24 and 25
are not."""


class RateCount(NamedTuple):
    """Clips of one frame rate."""

    rate: float
    """frames per second"""
    clips: int


def rate_counts(rates: NDArray[np.float64]) -> list[RateCount]:
    """The frame rates among ``rates`` (NaN: not known, left out), the commonest first; those alike are one."""
    known = np.sort(rates[~np.isnan(rates)])
    groups: list[list[float]] = []
    for rate in known.tolist():
        if groups and rate <= groups[-1][0] * ALIKE:
            groups[-1].append(rate)
        else:
            groups.append([rate])
    counts = [RateCount(float(np.median(group)), len(group)) for group in groups]
    return sorted(counts, key=lambda count: -count.clips)


def in_words(counts: Sequence[RateCount]) -> str:
    """``24/s (10 clips), 30/s (5)``."""
    nouns = [" clip" if each.clips == 1 else " clips" for each in counts[:1]] + [""] * 4
    told = [f"{rate:.4g}/s ({clips}{noun})" for (rate, clips), noun in zip(counts, nouns, strict=False)]
    return ", ".join([*told, *(["..."] if len(counts) > 5 else [])])


def same_rates(one: Sequence[RateCount], other: Sequence[RateCount]) -> bool:
    """Whether each rate of one set is found in the other; sets of which nothing is known are taken to agree."""

    def held(rate: float, others: Sequence[RateCount]) -> bool:
        return any(max(rate, each.rate) <= min(rate, each.rate) * ALIKE for each in others)

    if not one or not other:
        return True
    return all(held(each.rate, other) for each in one) and all(held(each.rate, one) for each in other)


def mixed_rates(dataset: Dataset) -> Remark | None:
    """A remark where the clips of ``dataset`` have several frame rates, on those that have not the commonest."""
    rates = dataset.rates()
    counts = rate_counts(rates)
    if len(counts) < 2:
        return None
    low, high = counts[0].rate / ALIKE, counts[0].rate * ALIKE
    others = np.flatnonzero((rates < low) | (rates > high)).tolist()
    what = f"frame rates differ, {in_words(counts)}: `vidgan prepare --fps R` resamples"
    return Remark(what, len(others), tuple(dataset.name(index) for index in others[:NAMED]))
