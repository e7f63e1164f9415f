"""experiments/scaling.py: a run's figures against compute, the best at each, and the line through them."""

import json
from pathlib import Path

import pytest

import runs
import scaling
from vidgan.errors import UserError
from vidgan.presets import preset
from vidgan.run.tiny import tiny
from vidgan.train.plan import plan_level

FLOOR = 2.0
PARTS = {"deviation": {"value": 0.5, "over": "x"}, "two_real_halves": {"value": FLOOR, "clips": 8}}


def measured(step: int, compute: float, distance: float) -> scaling.Measured:
    return scaling.Measured(step, compute, distance, None, FLOOR)


def test_the_latest_figure_of_each_checkpoint_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.untrained(tmp_path / "run", tiny(scaling.width_16()))
    figures = [("a", 20, 7.0), ("a", 10, 9.0), ("b", 10, 1.0), ("a", 30, None), ("a", 20, 6.0)]
    lines = [
        {"protocol": name, "step": step, "value": value, "settings": {}, **PARTS}
        for name, step, value in figures
    ]
    run.metrics.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr(scaling, "operations_of", lambda experiment: 10**12)
    assert scaling.measured(run, "a") == [
        (10, 10**13, 9.0, 0.5, FLOOR),
        (20, 2 * 10**13, 6.0, 0.5, FLOOR),
    ]
    with pytest.raises(UserError, match="nothing was measured by c"):
        scaling.measured(run, "c")


@pytest.mark.slow
def test_operations_are_those_of_the_plan() -> None:
    """And of twice the width nearly four times as many: not of what is no square of it, such as colours."""
    narrow, wide = (scaling.operations_of(made) for made in (scaling.width_8(), scaling.width_16()))
    assert narrow == plan_level(preset("dvd-gan-12x64-cpu"), 0).flops.of(16)
    assert 3 < wide / narrow < 4


def test_no_cheaper_checkpoint_is_better_than_the_best() -> None:
    small = [measured(1, 1e12, 9), measured(2, 2e12, 7), measured(3, 3e12, 8)]
    large = [measured(1, 1.5e12, 12), measured(2, 4e12, 5)]
    assert [each.distance for each in scaling.frontier([small, large])] == [9, 7, 5]


def test_the_line_through_powers_is_their_law() -> None:
    """What is above the floor: a straight line of logarithms."""
    points = [measured(step, 1e12 * step, FLOOR + 30 * (1e12 * step) ** -0.25) for step in (1, 10, 100)]
    found = scaling.law(points)
    assert found == pytest.approx((30, -0.25, FLOOR))
    assert found.at(1e16) == pytest.approx(FLOOR + 0.003)
    with pytest.raises(UserError, match="two points"):
        scaling.law(points[:1])
