"""experiments/scaling.py: a run's figures against compute, the best at each, and the line through them."""

import json
from pathlib import Path

import pytest

import runs
import scaling
from vidgan.errors import UserError
from vidgan.run.tiny import tiny
from vidgan.train.plan import plan_level


def measured(step: int, compute: float, distance: float) -> scaling.Measured:
    return scaling.Measured(step, compute, distance, None)


def test_the_latest_figure_of_each_checkpoint_counts(tmp_path: Path) -> None:
    run = runs.untrained(tmp_path / "run", tiny(scaling.width_16()))
    lines = [
        {
            "protocol": name,
            "step": step,
            "value": value,
            "settings": {},
            "deviation": {"value": 0.5, "over": "x"},
        }
        for name, step, value in [
            ("a", 20, 7.0),
            ("a", 10, 9.0),
            ("b", 10, 1.0),
            ("a", 30, None),
            ("a", 20, 6.0),
        ]
    ]
    run.metrics.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    clips = run.experiment.training.batch.global_batch
    operations = plan_level(run.experiment, 0).flops.of(clips)
    assert scaling.measured(run, "a") == [(10, 10 * operations, 9.0, 0.5), (20, 20 * operations, 6.0, 0.5)]
    with pytest.raises(UserError, match="nothing was measured by c"):
        scaling.measured(run, "c")


def test_networks_of_four_times_the_operations() -> None:
    """But for what is not a square of the width: colours, and statistics."""
    narrow, wide = (plan_level(made, 0).flops.of(16) for made in (scaling.width_8(), scaling.width_16()))
    assert narrow == plan_level(scaling.preset("dvd-gan-12x64-cpu"), 0).flops.of(16)
    assert 3 < wide / narrow < 4


def test_no_cheaper_checkpoint_is_better_than_the_best() -> None:
    small = [measured(1, 1e12, 9), measured(2, 2e12, 7), measured(3, 3e12, 8)]
    large = [measured(1, 1.5e12, 12), measured(2, 4e12, 5)]
    assert [each.distance for each in scaling.frontier([small, large])] == [9, 7, 5]


def test_the_line_through_powers_is_their_law() -> None:
    points = [measured(step, 1e12 * step, 30 * (1e12 * step) ** -0.25) for step in (1, 10, 100)]
    found = scaling.law(points)
    assert found == pytest.approx((30, -0.25))
    assert found.at(1e16) == pytest.approx(0.003)
    with pytest.raises(UserError, match="two points"):
        scaling.law(points[:1])
