"""`vidgan plan --frames`: memory and operations over the length of videos (CVG, Figure 3)."""

from pathlib import Path

import pytest
import torch

import catalog
from commands import require_one_line, vidgan
from vidgan.errors import UserError
from vidgan.presets import preset
from vidgan.run.batch import BatchSpec
from vidgan.run.experiment import Experiment
from vidgan.run.tiny import tiny
from vidgan.train.lengths import ONE, LevelCost, lengthened
from vidgan.train.operations import Operations
from vidgan.train.plan import DryRun, LevelPlan, Line, LiveTensors, Update

Capture = pytest.CaptureFixture[str]


def test_levels_below_make_their_part_and_windows_stay() -> None:
    """CVG: "the first level generates half the total output frames", windows of 12 whatever the length."""
    cascade = preset("cvg-k600-48x128")
    for frames, expected in ((96, ((48, None), (96, 12))), (8, ((4, None), (8, 8)))):
        bodies = tuple(
            level.replace(discriminators=level.discriminators[-1:]) for level in cascade.levels
        )  # the clip's, which draws no number of frames
        made = lengthened(cascade.replace(levels=bodies), frames)
        assert tuple((level.frames, level.window) for level in made.levels) == expected
    assert cascade.levels[1].frames == 48
    with pytest.raises(UserError, match="multiple of 2"):
        lengthened(cascade, 25)


def test_clips_that_fit_leave_a_margin() -> None:
    """1,000 bytes stay, 10 per clip wait; updates of 100 + 40 n and 500 + 20 n bytes: 5,000 hold 72 at 0.92."""
    updates = (
        Update("discriminators", Operations(0), (Line(100.0, 40.0),)),
        Update("generator", Operations(0), (Line(500.0, 20.0),)),
    )
    cost = LevelCost("level 1", LevelPlan((), updates, Operations(0), 500, 200, 300, 10, ()))
    assert cost.memory == 1000 + 10 + 520  # the generator's peak is the higher one
    assert cost.more == 50
    assert cost.fitting(5000) == 70  # (4,600 - 1,000 - 100) / 50, and 103 for the generator
    assert cost.fitting(1500) == 0


def measured(experiment: Experiment, index: int) -> int:
    """The most that tensors hold at a time in two steps of one clip on the CPU."""
    training = experiment.training.replace(batch=BatchSpec(global_batch=ONE.clips))
    with LiveTensors() as live:
        dry_run = DryRun(experiment.replace(training=training), index, torch.device("cpu"))
        for _ in range(2):
            dry_run.step()
    return live.most


@pytest.mark.long
@pytest.mark.slow
def test_the_table_is_what_steps_of_one_clip_take(capsys: Capture, tmp_path: Path) -> None:
    """At each length and level, and a figure with a curve per level and experiment."""
    lengths, figure = (16, 8), tmp_path / "lengths.svg"
    answer = vidgan(
        capsys,
        *("plan", "demo-cascade", "--tiny", "--frames", *lengths, "--device-memory", "100M"),
        *("--beside", "demo", "--out", figure),
    )
    assert answer.status == 0, answer.err
    assert "clips that fit" in answer.out
    rows = [line.split() for line in answer.out.splitlines() if "level " in line and line[-1].isdigit()]
    rows = [row if row[0].isdigit() else ["", *row] for row in rows]
    assert [row[0] for row in rows] == ["8", "", "16", "", "8", "16"]  # sorted; demo has one level
    cascade = catalog.experiments()["demo-cascade"]
    for row, (frames, index) in zip(rows, ((8, 0), (8, 1), (16, 0), (16, 1)), strict=False):
        first, second = cascade.levels
        factor = second.frames // first.frames
        levels = (
            first.replace(frames=frames // factor),
            second.replace(frames=frames, window=second.window and min(second.window, frames)),
        )
        expected = measured(cascade.replace(levels=levels), index) / 1e9
        assert float(row[3]) == pytest.approx(expected, rel=0.15), row
    drawn = figure.read_text()
    for name in ("demo-cascade, level 2", "demo, level 1", "output frames", "GB", "TFLOP"):
        assert name in drawn.replace("<!-- ", "").replace(" -->", ""), name


@pytest.mark.slow
def test_what_does_not_fit_is_told_before_anything_is_counted(capsys: Capture) -> None:
    plan = ("plan", "demo-cascade", "--tiny", "--frames", 9)
    require_one_line(vidgan(capsys, *plan), "9 frames", "multiple of")
    require_one_line(vidgan(capsys, *plan[:-1], 8, "--nodes", 2), "--nodes", "--frames")
    require_one_line(vidgan(capsys, *plan[:-1], 0), "--frames", "at least 1")
    require_one_line(vidgan(capsys, *plan[:3], "--beside", "demo"), "--beside", "--frames")
    require_one_line(vidgan(capsys, *plan[:-1], 8, "--out", "x.txt"), ".svg")


def test_short_videos_of_a_tiny_model_are_refused_by_their_discriminator(capsys: Capture) -> None:
    assert tiny(preset("demo")).levels[0].frames > 1
    require_one_line(vidgan(capsys, "plan", "demo", "--tiny", "--frames", 1), "draws", "frames")
