"""Levels of a cascade with batches of their own."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from commands import TINY, require_one_line, vidgan
from vidgan.errors import UserError
from vidgan.presets import preset
from vidgan.report.changes import of_consequence
from vidgan.report.costs import fitting
from vidgan.run.batch import BatchSpec, Share
from vidgan.run.checkpoints import checkpoint_path, load
from vidgan.run.directory import DataRecord, RunDirectory
from vidgan.run.experiment import Experiment
from vidgan.run.logs import read_lines
from vidgan.run.tiny import tiny
from vidgan.sample.passes import Trained, clips_in_memory
from vidgan.spec import SpecError, to_json
from vidgan.train.memory import short_of_memory
from vidgan.train.operations import Operations
from vidgan.train.plan import LevelPlan, Line, Update
from vidgan.train.trainer import Trainer

Capture = pytest.CaptureFixture[str]
TRAIN = ("train", "demo-cascade", *TINY, "--reporting.samples", 100)


def of_levels(base: str, *batches: tuple[int | None, int | None]) -> Experiment:
    experiment = preset(base)
    levels = tuple(
        level.replace(global_batch=whole, micro_batch=micro)
        for level, (whole, micro) in zip(experiment.levels, batches, strict=True)
    )
    batch = BatchSpec(global_batch=12, micro_batch=6)
    return experiment.replace(levels=levels, training=experiment.training.replace(batch=batch))


def test_what_a_level_does_not_say_is_as_training_says() -> None:
    experiment = of_levels("demo-cascade", (None, None), (8, 2))
    assert experiment.batch_of(0) == experiment.training.batch
    assert experiment.batch_of(1) == BatchSpec(global_batch=8, micro_batch=2)
    assert experiment.with_micro_batch(0, 3).batch_of(0).micro_batch == 3
    assert experiment.with_micro_batch(0, 3).batch_of(1).micro_batch == 2
    # As many frames at once as a step of the level has: 2 clips of its window.
    level = experiment.levels[1]
    assert clips_in_memory(Trained(experiment, 1), 1, level.trained_frames) == 2
    assert clips_in_memory(Trained(experiment, 8), 1, level.trained_frames) == 1
    small = tiny(experiment)
    assert small.batch_of(1) == small.training.batch
    with pytest.raises(SpecError, match="the same batches"):
        of_levels("demo-cascade", (None, None), (8, 2)).replace(joint=True)


@pytest.mark.slow
def test_levels_train_on_their_own_batches(tmp_path: Path, capsys: Capture) -> None:
    """Whichever of the two is the exception."""
    whole, micro = "--training.batch.global-batch", "--training.batch.micro-batch"
    first = (whole, 3, micro, 3, "--levels.1.global-batch", 4, "--levels.1.micro-batch", 2)
    other = (whole, 4, micro, 2, "--levels.0.global-batch", 3, "--levels.0.micro-batch", 3)
    runs = []
    for name, batches in (("first", first), ("other", other)):
        answer = vidgan(capsys, *TRAIN, "--out", tmp_path / name, *batches)
        assert answer.status == 0, answer.err
        runs.append(tmp_path / name)
        updates = tiny(preset("demo-cascade")).training.discriminator_updates
        seen = {(line["level"], line["step"]): line["clips"] for line in read_lines(runs[-1] / "log.jsonl")}
        assert seen == {(1, 1): 3 * updates, (1, 2): 6 * updates, (2, 1): 4 * updates, (2, 2): 8 * updates}
    for level in (1, 2):
        a, b = (load(checkpoint_path(run / "checkpoints", level, 2)).tensors for run in runs)
        assert a.keys() == b.keys()
        assert all(torch.equal(tensor, b[key]) for key, tensor in a.items())


@pytest.mark.slow
def test_passes_of_a_level_may_change_and_its_batches_until_it_has_begun(
    tmp_path: Path, capsys: Capture
) -> None:
    train = (*TRAIN, "--out", tmp_path / "run", "--training.batch.global-batch", 4)
    assert vidgan(capsys, *train, "--level", 1).status == 0
    require_one_line(
        vidgan(capsys, *train, "--resume", "--levels.0.global-batch", 2), "levels.0.global_batch"
    )
    changed = (*train, "--resume", "--levels.1.micro-batch", 2, "--levels.1.lower-video-uses", 2)
    answer = vidgan(capsys, *changed, "--level", 2)
    assert answer.status == 0, answer.err
    one = (*changed, "--levels.1.lower-video-uses", 1)
    require_one_line(vidgan(capsys, *one), "levels.1.lower_video_uses: 2 -> 1")
    answer = vidgan(capsys, *changed, "--levels.1.micro-batch", 1, "--levels.1.steps", 3)
    assert answer.status == 0, answer.err
    record = json.loads((tmp_path / "run" / "experiment.json").read_text())["resumed"][-1]
    assert "levels.1.micro_batch: 2 -> 1" in record["changes"]


def passes(capsys: Capture, run: Path, steps: int, *more: object) -> dict[str, torch.Tensor]:
    """What is trained after so many steps of 4 clips."""
    options = ("--training.batch.global-batch", 4, "--steps", steps, "--out", run, *more)
    answer = vidgan(capsys, "train", "demo", *TINY, "--reporting.samples", "none", *options)
    assert answer.status == 0, answer.err
    return load(checkpoint_path(run / "checkpoints", 1, steps)).tensors


@pytest.mark.slow
def test_a_run_goes_on_in_smaller_passes(tmp_path: Path, capsys: Capture) -> None:
    """As one that had them for the steps after: an update of 4 clips that two passes give gradients to."""
    micro = "--training.batch.micro-batch"
    once = passes(capsys, tmp_path / "once", 1, micro, 4)
    whole = passes(capsys, tmp_path / "whole", 2, micro, 4)
    shutil.copytree(tmp_path / "once", tmp_path / "cut")
    cut = passes(capsys, tmp_path / "cut", 2, micro, 2, "--resume")
    assert once.keys() == whole.keys() == cut.keys()
    experiment = RunDirectory.open(tmp_path / "cut").experiment
    assert experiment.training.batch == BatchSpec(global_batch=4, micro_batch=2)
    with Trainer(experiment, "synthetic", device="cpu", workers=0, progress=False) as trainer:
        trainer.state.restore(once, 1)
        trainer.step()
        expected = trainer.state.tensors()
    assert all(torch.equal(cut[name], tensor) for name, tensor in expected.items())
    assert any(not torch.equal(cut[name], whole[name]) for name in cut)


def test_the_option_of_the_level_is_named(tmp_path: Path) -> None:
    experiment = of_levels("demo-cascade", (None, None), (None, None))
    run = RunDirectory(tmp_path, experiment, DataRecord("synthetic", ("all",), 1, ""))
    for index, words in (
        (0, "in step 7 of level 1 .* start a new run with --levels.0.micro-batch 3,"),
        (0, "in step 7 of level 1 .* resume with --levels.0.micro-batch 3,"),
        (1, "in step 7 of level 2 .* resume with --levels.1.micro-batch 3,"),
    ):
        with pytest.raises(UserError, match=words), short_of_memory(experiment, index, 1, 7, run):
            raise MemoryError
        run.checkpoints.mkdir(exist_ok=True)
        checkpoint_path(run.checkpoints, 1, 5).touch()
    one = preset("demo").replace(training=experiment.training)
    words = r"start a new run with --training\.batch\.micro-batch 3,"
    with pytest.raises(UserError, match=words), short_of_memory(one, 0, 1, 1):
        raise MemoryError
    updates = (
        Update("discriminators", Operations(0), (Line(100.0, 30.0),)),
        Update("generator", Operations(0), (Line(50.0, 40.0),)),
    )
    plan = LevelPlan((), updates, Operations(0), 500, 200, 1000, 2, ())
    assert "--levels.1.micro-batch 6 (of level 2) fits" in fitting(experiment, 1, plan, Share(12, 12), 2200)


def test_how_a_batch_is_cut_matters_where_it_is_cut() -> None:
    """In what a run changes of its preset."""

    def changed(old: Experiment, new: Experiment) -> list[str]:
        return of_consequence(to_json(old), to_json(new))

    cut, less = (of_levels("demo-cascade", (6, 6), (6, micro)) for micro in (2, 3))
    assert changed(cut, less) == ["levels.1.micro_batch: 2 -> 3"]
    whole, more = (of_levels("demo-cascade", (6, 6), (6, micro)) for micro in (6, 8))
    assert changed(whole, more) == []
