"""Noise of sampled clips: its law, its truncation and its independence of the batch."""

import math

import pytest
import torch
from torch import Tensor

from vidgan.sample.noise import Scaled, Threshold, interpolate, latents
from vidgan.spec import SpecError

F64 = torch.float64
LEVELS = [0.0, 0.44, 1.0]
"""Standard deviations: the mean sample, Clark et al. 2019, Figure 14, and no truncation."""


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def phi(x: float) -> float:
    """The standard normal distribution function."""
    return (1 + math.erf(x / math.sqrt(2))) / 2


def distance(values: Tensor, law) -> float:
    """Kolmogorov and Smirnov's: the largest gap between the values' distribution and ``law``, times sqrt(n)."""
    ordered = sorted(values.double().tolist())
    n = len(ordered)
    gaps = [max(abs(law(x) - i / n), abs(law(x) - (i + 1) / n)) for i, x in enumerate(ordered)]
    return max(gaps) * math.sqrt(n)


KS_LIMIT = 1.95
"""Exceeded by one sample in a thousand."""


def rejected(limit: float, count: int, generator: torch.Generator) -> list[float]:
    """z ~ N(0, 1), drawn again while beyond the limit (Brock et al. 2018, 3.1), one by one."""
    values = []
    pool = iter(torch.randn(20 * count, generator=generator, dtype=F64).tolist())
    while len(values) < count:
        z = next(pool)
        while abs(z) > limit:
            z = next(pool)
        values.append(z)
    return values


@pytest.mark.parametrize("sigma", [0.44, 1.0])
def test_scaled_noise_is_gaussian(sigma: float) -> None:
    drawn = Scaled(sigma=sigma).draw(8000, rng(1))
    assert distance(drawn, lambda x: phi(x / sigma)) < KS_LIMIT
    assert distance(drawn, lambda x: phi(x / (1.1 * sigma))) > KS_LIMIT  # the test can tell them apart


def test_scaled_noise_is_the_same_draw_times_sigma() -> None:
    """One seed walks a straight line as sigma falls, down to the mean sample."""
    plain = Scaled().draw(16, rng(3))
    for sigma in LEVELS:
        assert torch.equal(Scaled(sigma=sigma).draw(16, rng(3)), sigma * plain)
    assert not Scaled(sigma=0.0).draw(16, rng(3)).any()


@pytest.mark.parametrize("limit", [0.3, 0.8, 2.0])
def test_threshold_noise_is_the_truncated_gaussian(limit: float) -> None:
    """Values beyond the limit are drawn again, so the density inside keeps the Gaussian's shape."""
    drawn = Threshold(limit=limit).draw(8000, rng(1))
    assert drawn.dtype == torch.float32
    assert drawn.abs().max() <= limit
    assert drawn.abs().max() > 0.99 * limit
    inside = phi(limit) - phi(-limit)

    def law(x: float) -> float:
        return min(1.0, max(0.0, (phi(x) - phi(-limit)) / inside))

    assert distance(drawn, law) < KS_LIMIT
    clipped = torch.randn(8000, generator=rng(2)).clamp(-limit, limit)
    assert distance(clipped, law) > KS_LIMIT  # clipping is another law


def test_threshold_noise_has_the_law_of_drawing_again() -> None:
    limit, count = 0.8, 6000
    again = sorted(rejected(limit, count, rng(5)))
    drawn = sorted(Threshold(limit=limit).draw(count, rng(6)).double().tolist())
    largest, i, j = 0, 0, 0  # two-sample Kolmogorov and Smirnov
    while i < count and j < count:
        if again[i] <= drawn[j]:
            i += 1
        else:
            j += 1
        largest = max(largest, abs(i - j))
    assert largest / count * math.sqrt(count / 2) < KS_LIMIT
    assert sum(z * z for z in drawn) / count == pytest.approx(sum(z * z for z in again) / count, rel=0.05)


def test_a_wide_threshold_is_no_truncation() -> None:
    drawn = Threshold(limit=12.0).draw(8000, rng(1))
    assert drawn.isfinite().all()
    assert distance(drawn, phi) < KS_LIMIT


def test_senseless_truncations_are_refused() -> None:
    for limit in (0.0, -1.0):
        with pytest.raises(SpecError, match="must be positive"):
            Threshold(limit=limit)
    with pytest.raises(SpecError, match="sigma must be at least 0"):
        Scaled(sigma=-0.1)


@pytest.mark.parametrize("truncation", [Scaled(), Scaled(sigma=0.5), Threshold(limit=0.8)], ids=repr)
def test_a_clip_is_the_same_whatever_the_batch(truncation: Scaled | Threshold) -> None:
    together = latents(7, 0, range(6), 5, truncation)
    assert together.shape == (6, 5)
    for clip in range(6):
        assert torch.equal(latents(7, 0, [clip], 5, truncation)[0], together[clip])
    assert torch.equal(latents(7, 0, [4, 1], 5, truncation), together[[4, 1]])
    halves = [latents(7, 0, part, 5, truncation) for part in (range(2), range(2, 6))]
    assert torch.equal(torch.cat(halves), together)
    assert latents(7, 0, [], 5, truncation).shape == (0, 5)


def test_clips_levels_and_seeds_have_noise_of_their_own() -> None:
    drawn = [
        tuple(row.tolist())
        for seed in (0, 1)
        for level in (0, 1, 2)
        for row in latents(seed, level, range(3), 4, Scaled())
    ]
    assert len(set(drawn)) == 18


def test_noise_of_many_clips_is_independent_and_gaussian() -> None:
    drawn = latents(0, 0, range(400), 16, Scaled()).double()
    assert distance(drawn.flatten(), phi) < KS_LIMIT
    covariance = drawn.T @ drawn / 400
    assert (covariance - torch.eye(16, dtype=F64)).abs().max() < 4.5 * math.sqrt(2 / 400)
    between = (drawn[:-1] * drawn[1:]).mean()  # successive clips
    assert abs(between) < 4 / math.sqrt(399 * 16)


def test_no_global_randomness() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = latents(3, 0, [2], 4, Threshold(limit=1.0))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert torch.equal(latents(3, 0, [2], 4, Threshold(limit=1.0)), first)


def test_interpolation_is_a_straight_line_with_both_ends() -> None:
    first, last = torch.randn(5, generator=rng(1), dtype=F64), torch.randn(5, generator=rng(2), dtype=F64)
    made = interpolate(first, last, 4)
    assert made.shape == (4, 5)
    for i in range(4):
        for k in range(5):
            expected = first[k] + i / 3 * (last[k] - first[k])
            torch.testing.assert_close(made[i, k], expected)
    assert torch.equal(made[0], first)
    assert torch.equal(made[-1], last)
    assert torch.equal(interpolate(first, last, 2), torch.stack([first, last]))
