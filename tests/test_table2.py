"""The comparison of recurrent units in small: what it reads off curves, and that it resumes where it stopped."""

from argparse import Namespace
from pathlib import Path

import pytest

import table2_in_small as table2
from runs import make_run, tick, write_log
from vidgan.evaluation.record import copies_log
from vidgan.presets import preset
from vidgan.run.directory import RunDirectory


def run_with(path: Path, seconds_per_step: float, values: dict[int, float]) -> RunDirectory:
    """A run measured at steps: SSIM as given, the distance ten times as much."""
    run = make_run(path)
    write_log(run, [tick(step, {}, seconds=step * seconds_per_step) for step in values])
    for step, value in values.items():
        run.metrics.append({"protocol": "ssim-best-of-100", "step": step, "settings": {}, "value": value})
        run.metrics.append({"protocol": "frechet-random", "step": step, "settings": {}, "value": 10 * value})
    return run


def test_units_are_read_at_equal_steps_and_at_equal_times(tmp_path: Path) -> None:
    runs = {
        "convgru": [
            run_with(tmp_path / "a", 1, {10: 0.1, 20: 0.2, 30: 0.3, 40: 0.4}),
            run_with(tmp_path / "b", 1, {10: 0.1, 20: 0.4, 30: 0.5, 40: 0.8}),
        ],
        "tsru-p": [
            run_with(tmp_path / "c", 2, {10: 0.2, 20: 0.6}),
            run_with(tmp_path / "d", 2, {10: 0.2, 20: 0.6}),
        ],
    }
    made = table2.table(runs, {"ssim-best-of-100": 0.7, "frechet-random": 3.0}, 35)
    head, _, gru, tsru, copy = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in made.splitlines()
    ]
    assert head[3:5] == ["SSIM, step 20", "SSIM, 35 s"]
    # At step 20: 0.2 and 0.4. After 35 s: midway between steps 30 and 40, 0.35 and 0.65.
    assert gru == ["ConvGRU", "49.4", "1", "0.3 ± 0.14", "0.5 ± 0.21", "3 ± 1.4", "5 ± 2.1"]
    # After 35 s at 2 s a step: three quarters of the way from step 10 to step 20.
    assert tsru == ["TSRU_p", "43.7", "2", "0.6 ± 0", "0.5 ± 0", "6 ± 0", "5 ± 0"]
    assert copy[3:] == ["0.7", "0.7", "3", "3"]
    by_step, by_time = table2.plots(runs, "ssim-best-of-100", "SSIM")
    assert [point.x for point in by_step.curves[1].points] == [10, 20]
    assert [point.x for point in by_time.curves[1].points] == [20, 40]


def test_small_variants_keep_the_structure() -> None:
    for unit in table2.PAPER:
        (level,) = table2.small(unit, seed=1, turn=5).levels
        (whole,) = preset(f"trivd-table2-{unit}").levels
        assert [stage.temporal for stage in level.generator.stages] == [
            stage.temporal for stage in whole.generator.stages[1:]
        ]
        assert [type(discriminator.view) for discriminator in level.discriminators] == [
            type(c.view) for c in whole.discriminators
        ]
        assert level.generator.size == 32
        level.build_generator(1)


def test_a_run_is_finished_at_the_end_of_a_turn(tmp_path: Path) -> None:
    run = run_with(tmp_path / "a", 1, {10: 0.1, 17: 0.2})
    scale = table2.Scale(seconds=12, turn=10, evaluated=4)
    run.checkpoints.mkdir(exist_ok=True)
    (run.checkpoints / "level1-step00000017.safetensors").touch()
    assert not table2.is_finished(run, scale)
    (run.checkpoints / "level1-step00000020.safetensors").touch()
    assert table2.is_finished(run, scale)
    assert not table2.is_finished(run, scale._replace(seconds=60))


@pytest.mark.slow
def test_a_report_is_of_what_was_measured_so_far(tmp_path: Path) -> None:
    run = run_with(tmp_path / "tsru-p-0", 1, {10: 0.1, 20: 0.2})
    make_run(tmp_path / "tsru-p-1")
    for name, value in (("ssim-best-of-100", 0.7), ("frechet-random", 3.0)):
        copies_log(run).append({"protocol": name, "step": None, "settings": {}, "value": value})
    given = Namespace(
        out=tmp_path, minutes=1, units=["tsru-p", "convgru"], seeds=2, turn=10, evaluated=8, report=True
    )
    table2.main(given)
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[2] == "| TSRU_p | 43.7 | 1 | 0.2 | 0.2 | 2 | 2 |"
    assert len(lines) == 4
    assert (tmp_path / "ssim.svg").exists()
    with pytest.raises(SystemExit, match="nothing"):
        table2.main(Namespace(**{**vars(given), "units": ["convgru"]}))
