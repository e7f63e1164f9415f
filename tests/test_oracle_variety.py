"""How much clips of a class vary: spreads by definition, traits as they were drawn, classes that nearly stand still."""

import math

import numpy as np
import pytest

from vidgan.data.synthetic import FIRST, LARGEST, SyntheticDataset, SyntheticSpec, draw_scene
from vidgan.errors import UserError
from vidgan.evaluation.metrics.spread import circular_interquartile_range, interquartile_range
from vidgan.evaluation.oracle import Traits, measure, seen_in, traits
from vidgan.evaluation.protocols.base import EvaluationBatch, Resources, Table
from vidgan.evaluation.protocols.variety import OracleTraits, SpreadByClass


def test_interquartile_range_of_few_numbers() -> None:
    """Linear interpolation: of 4, 1, 2, 9 the quartiles stand at ranks 0.75 and 2.25."""
    assert interquartile_range([4, 1, 2, 9]) == pytest.approx((4 + 0.25 * 5) - (1 + 0.75 * 1))
    with pytest.raises(UserError, match="finite"):
        interquartile_range([1.0, float("nan")])


def naive_circular(turns: list[float]) -> float:
    """In radians and by loops: every angle as the centre, the best one kept."""

    def arc(a: float, b: float) -> float:
        return math.atan2(math.sin(2 * math.pi * (a - b)), math.cos(2 * math.pi * (a - b))) / (2 * math.pi)

    centre = min(turns, key=lambda c: sum(abs(arc(each, c)) for each in turns))
    apart = sorted(arc(each, centre) for each in turns)

    def at(part: float) -> float:
        rank = part * (len(apart) - 1)
        low = int(rank)
        return apart[low] + (rank - low) * (apart[min(low + 1, len(apart) - 1)] - apart[low])

    return at(0.75) - at(0.25)


@pytest.mark.parametrize("seed", range(5))
def test_circular_range_equals_a_loop_and_does_not_know_where_zero_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    turns = rng.normal(0, 0.02 * 3**seed, 41) % 1
    expected = naive_circular(turns.tolist())
    assert circular_interquartile_range(turns) == pytest.approx(expected)
    assert circular_interquartile_range((turns + 0.37) % 1) == pytest.approx(expected)


def test_circular_range_all_around_is_half() -> None:
    assert circular_interquartile_range(np.arange(1000) / 1000) == pytest.approx(0.5, abs=0.01)


def test_traits_are_those_that_were_drawn() -> None:
    """From the numbers each clip was drawn with: where the middle of its way is, its radius, its way, its colours."""
    spec = SyntheticSpec()
    data = SyntheticDataset(spec)
    videos = np.stack([data.read(i, 0, 8) for i in range(48)])
    measures = measure(videos)
    found = traits(measures, seen_in(measures, 24), 24)
    for i in range(48):
        scene, motion = draw_scene(spec, i), data.classes[i % 8].split("-")[1]
        edge = (LARGEST if motion == "grow" else scene.radius) + 0.5 / 24
        travel = min(scene.travel, 1 - 2 * edge)
        for axis, place, moves in zip("xy", scene.place, (("right", "left"), ("down",)), strict=True):
            room = 1 - 2 * edge - (travel if motion in moves else 0)
            middle = edge + room * place + (travel / 2 if motion in moves else 0) - 0.5 / 24
            assert getattr(found, axis)[i] == pytest.approx(middle, abs=0.012), (i, axis)
        # A square of radius r has the side 2 r, a disc an area of pi r^2.
        side = 2.0 if data.classes[i % 8].startswith("square") else math.sqrt(math.pi)
        first = FIRST * scene.radius if motion == "grow" else scene.radius
        last = LARGEST if motion == "grow" else scene.radius
        assert found.size[i] == pytest.approx(side * (first + last) / 2, abs=0.02), i
        speed = side * (last - first) if motion == "grow" else travel
        assert found.speed[i] == pytest.approx(speed, abs=0.03), i
        assert abs((found.hue[i] - scene.hue + 0.5) % 1 - 0.5) < 0.02, i
        np.testing.assert_allclose(found.background[i], scene.base, atol=0.012)


def table(labels: list[int], seen: list[int], spread: dict[str, float], seed: int = 0) -> Table:
    """Traits evenly over an interval of these widths in each class (else 0.2), shuffled apart; hues about zero."""
    rng = np.random.default_rng(seed)
    numbers, rows = np.array(labels), {"seen": np.array(seen)[:, None]}
    for trait in Traits._fields:
        columns = 3 if trait == "background" else 1
        values = np.zeros((len(labels), columns))
        for label in set(labels):
            members = np.flatnonzero(numbers == label)
            even = np.linspace(0, spread.get(trait, 0.2), len(members))
            values[members] = np.stack([rng.permutation(even) for _ in range(columns)], axis=1)
        rows[trait] = (values - 0.02) % 1 if trait == "hue" else values
    return Table(rows, numbers, ("one", "other"))


def test_ratios_by_hand() -> None:
    """Half as wide and twice as wide are both 0.5; the headline is the worst trait's mean over classes."""
    labels = [0, 1] * 64
    real = table(labels, labels, {})
    result = SpreadByClass().against(real)(table(labels, labels, {"x": 0.1, "speed": 0.4, "hue": 0.05}, 1))
    expected = {"x": 0.5, "y": 1.0, "size": 1.0, "speed": 0.5, "hue": 0.25, "background": 1.0}
    assert result.values["per_trait"] == pytest.approx(expected)
    assert result.value == pytest.approx(0.25)
    assert result.values["per_class"]["other"] == pytest.approx(expected)


def test_clips_of_another_class_do_not_count_and_too_few_are_none() -> None:
    """Those that the oracle takes for another class lie far off; of one class 31 of 64 are seen as asked, of the other
    32, so that the mean over the two classes is half of what the second has."""
    labels = [0] * 64 + [1] * 64
    real = table(labels, labels, {})
    seen = [0] * 31 + [2] * 33 + [1] * 32 + [0] * 32
    fake = table(labels, seen, {})
    kept = np.flatnonzero(np.array(seen) == labels)
    for name in Traits._fields:
        values = fake.rows[name]
        values[:] = 100.0
        values[kept[31:]] = np.linspace(0, 0.1, 32)[:, None]
    result = SpreadByClass().against(real)(fake)
    assert result.values["per_trait"] == pytest.approx(dict.fromkeys(Traits._fields, 0.25))
    assert result.value == pytest.approx(0.25)
    assert result.values["seen_as_asked_per_class"] == {"one": 31, "other": 32}
    assert result.values["per_class"]["one"]["x"] == 0


def test_nothing_varies_on_either_side() -> None:
    labels = [0] * 40
    still = table(labels, labels, dict.fromkeys(Traits._fields, 0.0))
    assert SpreadByClass().against(still)(still).value == 1
    assert SpreadByClass().against(table(labels, labels, {}))(still).value == 0


def test_too_few_clips_are_refused() -> None:
    """Those that are asked for, before any is made or looked at; of real ones, those that the oracle knows, too."""
    labels = [0] * 40 + [1] * 20
    with pytest.raises(UserError, match=r"real clips .* other has 20"):
        SpreadByClass().against(table(labels, labels, {}))
    enough, few = {"one": 32, "other": 32}, {"one": 32, "other": 31}
    assert SpreadByClass().scored(enough, enough) == ["one", "other"]
    with pytest.raises(UserError, match=r"real clips .* other has 31: .* --real-clips"):
        SpreadByClass().scored(enough, few)
    with pytest.raises(UserError, match=r"evaluated clips .* other has 31: .* --clips"):
        SpreadByClass().scored(few, enough)


@pytest.mark.slow
def test_real_clips_vary_as_real_ones_and_centred_ones_less() -> None:
    """Clips that all begin in the middle stand out in place alone."""
    names = SyntheticDataset(SyntheticSpec()).classes[:2]

    def rows(spec: SyntheticSpec, first: int) -> Table:
        data = SyntheticDataset(spec)
        numbers = [first + 8 * (i // 2) + i % 2 for i in range(256)]
        videos = np.stack([data.read(n, 0, 8) for n in numbers])
        labels = np.array([n % 8 for n in numbers])
        found = OracleTraits().open(Resources(), names).rows(EvaluationBatch(videos, labels))
        return Table(found, labels, names)

    scorer = SpreadByClass().against(rows(SyntheticSpec(), 0))
    assert scorer(rows(SyntheticSpec(), 2048)).value > 0.8
    centred = scorer(rows(SyntheticSpec(middle=True), 2048)).values["per_trait"]
    assert centred["y"] < 0.1
    assert min(centred["hue"], centred["background"]) > 0.8
