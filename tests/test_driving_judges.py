"""experiments/driving_judges.py beside loops over clips, pixels and resamples, on made-up clips."""

import itertools
import json
import math
import random
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import driving_judges
import runs
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.errors import UserError
from vidgan.presets import preset
from vidgan.run.tiny import tiny
from vidgan.sample.load import load

Floats = NDArray[np.float64]
HEIGHT, WIDTH, FRAMES = 16, 48, 5


def moving(speed: float, below: float = 0.0) -> NDArray[np.uint8]:
    """A clip (T H W 3) whose upper half moves to the right by ``speed`` pixels a frame, its lower one by ``below``."""
    clip = np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    for time in range(FRAMES):
        for row in range(HEIGHT):
            for column in range(WIDTH):
                x = column - time * (speed if row < HEIGHT // 2 else below)
                wave = math.sin(0.31 * x + row) + math.sin(0.17 * x + 2 * row) + math.sin(0.43 * x)
                clip[time, row, column] = round(128 + 35 * wave)
    return clip


@pytest.mark.parametrize("speed", [3, 1, 0, -2, -5, 1.5])
def test_sideways_is_the_way_of_the_upper_half_and_its_sign(speed: float) -> None:
    clips = np.stack([moving(speed, -speed), moving(-speed, 2)])
    found = driving_judges.sideways(clips)
    way = speed * (FRAMES - 1)
    assert found == pytest.approx([way, -way], abs=0.1 * FRAMES)


def naive_shift(clip: NDArray[np.uint8]) -> float:
    """The sum over steps of the shift of least mean square difference, and of the parabola through its neighbours."""
    upper = [
        [
            [sum(map(float, clip[time, row, column])) / 3 for column in range(WIDTH)]
            for row in range(HEIGHT // 2)
        ]
        for time in range(FRAMES)
    ]
    frames = []
    for picture in upper:
        mean = statistics.fmean(value for row in picture for value in row)
        frames.append([[value - mean for value in row] for row in picture])
    total = 0.0
    for before, after in itertools.pairwise(frames):
        costs = {
            shift: statistics.fmean(
                (old[column] - new[column + shift]) ** 2
                for old, new in zip(before, after, strict=True)
                for column in range(WIDTH)
                if 0 <= column + shift < WIDTH
            )
            for shift in range(-8, 9)
        }
        best = max(-7, min(7, min(costs, key=costs.__getitem__)))
        left, middle, right = (costs[best + step] for step in (-1, 0, 1))
        total += best + max(-1.0, min(1.0, (left - right) / 2 / max(left - 2 * middle + right, 1e-9)))
    return total


def test_sideways_is_the_naive_sum_over_steps() -> None:
    noise = np.random.default_rng(0).integers(0, 40, (2, FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)
    clips = np.stack([moving(2.3), moving(-6)]) // 2 + noise
    assert driving_judges.sideways(clips) == pytest.approx([naive_shift(clip) for clip in clips], abs=1e-6)


def naive_class(shift: float, low: float, high: float) -> int:
    """0, left, where the picture moves to the right by more than ``high``; 1, right; 2, straight."""
    if shift > high:
        return 0
    return 1 if shift < low else 2


def test_a_turn_to_the_left_moves_the_picture_to_the_right() -> None:
    assert driving_judges.CLASSES == ("left", "right", "straight")
    assert driving_judges.seen(np.array([9.0, -9.0, 0.5]), (-4, 5)).tolist() == [0, 1, 2]
    assert driving_judges.seen(np.array([5.0, -4.0]), (-4, 5)).tolist() == [2, 2], "the bounds are straight"


def test_bounds_sort_clips_that_can_be_sorted() -> None:
    shifts = np.array([12.5, 15.0, 30.0, -8.5, -11.0, -20.0, 3.0, -2.5, 0.0])
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    bounds = driving_judges.bounds_of(shifts, labels)
    assert driving_judges.seen(shifts, bounds).tolist() == labels.tolist()
    assert -8.5 < bounds[0] <= -2.5
    assert 3.0 <= bounds[1] < 12.5


def test_no_other_bounds_are_better() -> None:
    draw = random.Random(1)
    labels = [draw.randrange(3) for _ in range(60)]
    shifts = [draw.gauss((11, -9, 1)[label], 6) for label in labels]
    right = {
        (low, high): sum(naive_class(s, low, high) == label for s, label in zip(shifts, labels, strict=True))
        for low in range(-40, 5)
        for high in range(max(low, 0), 40)
    }
    bounds = driving_judges.bounds_of(np.array(shifts), np.array(labels))
    assert right[bounds] == max(right.values()) < 60


def apart(a: Sequence[float], b: Sequence[float]) -> float:
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def naive_mean(rows: Floats, chosen: Sequence[int]) -> float:
    """Of the distances of all pairs of chosen clips, but for a clip and itself."""
    return statistics.fmean(
        apart(rows[i], rows[j]) for place, i in enumerate(chosen) for j in chosen[:place] if i != j
    )


def test_variety_is_a_ratio_of_mean_distances_with_a_deviation_over_both_sides() -> None:
    rng = np.random.default_rng(2)
    made, real = 0.7 * rng.normal(size=(14, 3)), rng.normal(size=(9, 3))
    found = driving_judges.variety(made, real, "left")
    means = {"made": naive_mean(made, range(14)), "real": naive_mean(real, range(9))}
    assert {side: found[side]["value"] for side in means} == pytest.approx(means)
    assert found["ratio"]["value"] == pytest.approx(means["made"] / means["real"])
    draw = random.Random(3)
    again: dict[str, list[float]] = {"made": [], "real": [], "ratio": []}
    for _ in range(600):
        of_made = naive_mean(made, [draw.randrange(14) for _ in range(14)])
        of_real = naive_mean(real, [draw.randrange(9) for _ in range(9)])
        for name, value in (("made", of_made), ("real", of_real), ("ratio", of_made / of_real)):
            again[name].append(value)
    for name, values in again.items():
        assert found[name]["deviation"] == pytest.approx(statistics.stdev(values), rel=0.15), name
    assert driving_judges.variety(made, real, "left") == found, "resamples derive from the figure's name"
    assert driving_judges.variety(made, real, "right")["ratio"]["deviation"] != found["ratio"]["deviation"]


def naive_bound(real: Sequence[float]) -> float:
    """The 99 % point, on the straight line between the two values beside it."""
    ordered, place = sorted(real), 0.99 * (len(real) - 1)
    below = math.floor(place)
    return ordered[below] + (place - below) * (ordered[min(below + 1, len(real) - 1)] - ordered[below])


def test_an_outlier_is_beyond_the_99_percent_point_of_held_out_distances() -> None:
    draw = random.Random(4)
    real = [draw.gauss(5, 1) for _ in range(103)]
    made = [draw.gauss(6, 1) for _ in range(80)]
    bound = naive_bound(real)
    found = driving_judges.outliers(np.array(made), np.array(real))
    assert found["bound"] == pytest.approx(bound)
    assert found["which"] == [number for number in range(32) if made[number] > bound]
    share = sum(value > bound for value in made) / 80
    assert 0 < share < 0.5
    assert found["share"] == pytest.approx(share)
    # A share's deviation at a bound that stays is known; with the bound's own it is larger.
    assert found["share deviation at this bound"] == pytest.approx(
        math.sqrt(share * (1 - share) / 80), rel=0.1
    )
    shares, bounds = [], []
    for _ in range(1000):
        bounds.append(naive_bound(draw.choices(real, k=103)))
        shares.append(sum(value > bounds[-1] for value in draw.choices(made, k=80)) / 80)
    assert found["share deviation"] == pytest.approx(statistics.stdev(shares), rel=0.15)
    assert found["share deviation"] > found["share deviation at this bound"]
    assert found["bound deviation"] == pytest.approx(statistics.stdev(bounds), rel=0.15)
    first = len(found["which"]) / 32
    assert found["number deviation"] == pytest.approx(math.sqrt(32 * first * (1 - first)), rel=0.1)
    assert found["median distance"] == pytest.approx(
        {"real": statistics.median(real), "made": statistics.median(made)}
    )
    assert 0 < found["median distance deviation"]["real"] < 0.3


def pixels(videos: NDArray[np.uint8]) -> Floats:
    """Means of frames and colours in place of a network's features."""
    return videos.astype(np.float64).mean((2, 3)).reshape(len(videos), -1)


@pytest.mark.slow
def test_all_of_a_model_is_told_with_its_deviation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SyntheticSpec(shapes=("disc",), motions=("right", "left", "grow"), size=24, clips=30)
    known, real = (SyntheticDataset(spec.replace(seed=seed)) for seed in (0, 1))
    run = runs.untrained(tmp_path / "run", tiny(preset("demo")), known.classes).path
    model = load(run, device="cpu")
    monkeypatch.setattr(driving_judges, "features_of", pixels)
    monkeypatch.setattr(driving_judges, "RESAMPLES", 20)
    found = driving_judges.judge(model, known, real, 36, 0)
    assert found.keys() == {
        *("step", "seed", "sigma", "bounds", "real", "made", "variety", "variety deviation", "outliers")
    }
    for side, clips in (("real", 30), ("made", 36)):
        assert found[side]["three classes"]["clips"] == clips
        assert found[side]["sign"]["clips"] == clips * 2 // 3
        for each in driving_judges.CLASSES:
            within = found[side]["distance within a class"][each]
            assert within.keys() == {"value", "deviation", "clips"}
            assert within["clips"] == clips // 3
            assert 0 < within["deviation"] < within["value"]
            assert len(found[side]["sideways"][each]) == len(found[side]["sideways deviation"][each]) == 3
    for each in driving_judges.CLASSES:
        parts = [found[side]["distance within a class"][each]["value"] for side in ("made", "real")]
        assert found["variety"][each] == pytest.approx(parts[0] / parts[1])
        assert found["variety deviation"][each] > 0
    lines = driving_judges.lines_of(json.loads(json.dumps(found)))
    assert sum("±" in line for line in lines) == len(lines) - 1
    spread = found["variety deviation"]["left"]
    assert f"variety, left: {found['variety']['left']:.3f} ± {spread:.3f} of real" in lines
    with pytest.raises(UserError, match="of the generated clips 2 are of class left"):
        driving_judges.judge(model, known, real, 5, 0)
