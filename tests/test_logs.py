"""What stays in a run's logs when it is resumed."""

import json
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import catalog
from commands import require_one_line, vidgan
from runs import cascade, tick
from vidgan.run import checkpoints
from vidgan.run.checkpoints import checkpoint_path, cut_logs, save
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import Log, read_lines, seconds_logged
from vidgan.tensor_file import State
from vidgan.train import logging
from vidgan.train.callbacks import RunWriter
from vidgan.train.logging import LiveProgress, PlainProgress, clock
from vidgan.train.trainer import Trainer

Capture = pytest.CaptureFixture[str]


def test_cutting_keeps_chosen_lines_and_drops_half_a_line(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.cut(lambda line: False)  # there is no file yet
    assert not log.path.exists()
    for step in (1, 2, 3):
        log.append({"step": step, "value": float("nan")})
    before = log.path.read_bytes()
    log.path.write_bytes(before + b'{"step": 4, "val')
    log.cut(lambda line: True)
    assert log.path.read_bytes() == before
    log.cut(lambda line: line["step"] != 2)
    assert read_lines(log.path) == [{"step": 1, "value": None}, {"step": 3, "value": None}]


def test_each_level_is_cut_at_its_own_checkpoint(tmp_path: Path) -> None:
    run = cascade(tmp_path / "run", 6, 4)
    # Both levels were trained to 4; then more steps were asked for, and level 1 was killed at 7.
    for level, steps in ((1, (2, 4)), (2, (2, 4)), (1, (6, 7))):
        for step in steps:
            run.log.append({"level": level, "step": step})
    for step in (4, 5):
        run.metrics.append({"protocol": "p", "step": step})
    cut_logs(run)
    lines = [(line["level"], line["step"]) for line in read_lines(run.log.path)]
    assert lines == [(1, 2), (1, 4), (2, 2), (2, 4), (1, 6)]
    assert [line["step"] for line in read_lines(run.metrics.path)] == [4]


def test_no_two_checkpoints_are_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = cascade(tmp_path / "run", 6, 4)
    for level, step in ((1, 6), (2, 4)):
        file = checkpoint_path(run.checkpoints, level, step)
        save(file, State({"weight": torch.zeros(3)}, {"level": level, "step": step}))
    read: list[weakref.ref[torch.Tensor]] = []
    load = checkpoints.load_checkpoint

    def noted(folder: Path, level: int, step: int) -> State:
        assert all(tensor() is None for tensor in read)
        state = load(folder, level, step)
        read.append(weakref.ref(state.tensors["weight"]))
        return state

    monkeypatch.setattr(checkpoints, "load_checkpoint", noted)
    cut_logs(run)
    assert len(read) == 2


def test_a_level_without_checkpoints_starts_over(tmp_path: Path) -> None:
    run = cascade(tmp_path / "run", 6)
    for level, step in ((1, 6), (2, 1)):
        run.log.append({"level": level, "step": step})
    cut_logs(run)
    assert [line["level"] for line in read_lines(run.log.path)] == [1]


def test_seconds_are_those_of_a_levels_last_line(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    assert seconds_logged(log.path, 1) == 0
    for level, seconds in ((1, 5.5), (1, 8.25), (2, 1.5)):
        log.append(tick(1, {}, level, seconds))
    assert [seconds_logged(log.path, level) for level in (1, 2, 3)] == [8.25, 1.5, 0]


def test_seconds_continue_from_those_of_the_same_level(tmp_path: Path) -> None:
    run = cascade(tmp_path / "run")
    for level, seconds in ((1, 7.0), (1, 9.0), (2, 3.0), (2, 4.0)):
        run.log.append(tick(1, {}, level, seconds))
    for index, spent in ((0, 9.0), (1, 4.0)):
        writer = RunWriter(run)
        writer.on_level_start(SimpleNamespace(state=SimpleNamespace(index=index)))  # type: ignore[arg-type]
        assert writer.spent == spent


def test_the_record_holds_what_a_resumed_run_changed(tmp_path: Path) -> None:
    run = cascade(tmp_path / "run")
    path = run.path / "experiment.json"
    first = json.loads(path.read_text())
    experiment = run.experiment
    assert (first.pop("resumed"), first["processes"]) == ([], 1)
    run.resume(experiment, ["nothing", "changes"])
    for steps in (11, 12):
        training = experiment.training.replace(steps=steps)
        changed = experiment.replace(training=training)
        RunDirectory.open(run.path).resume(changed, ["vidgan", str(steps)], processes=steps - 10)
    record = json.loads(path.read_text())
    resumed = record.pop("resumed")
    assert [entry["command"][1] for entry in resumed] == ["changes", "11", "12"]
    assert [entry["processes"] for entry in resumed] == [1, 1, 2]
    before = experiment.training.steps
    changes = [[], [f"training.steps: {before} -> 11"], ["training.steps: 11 -> 12"]]
    assert [entry["changes"] for entry in resumed] == changes
    assert record["experiment"]["training"]["steps"] == 12
    record["experiment"]["training"]["steps"] = before
    assert record == first
    assert RunDirectory.open(run.path).experiment.training.steps == 12


@pytest.mark.parametrize("change", [{"format": "vidgan-run-1"}, {"format": None}])
def test_a_run_of_another_version_is_refused_in_one_line(
    tmp_path: Path, capsys: Capture, change: dict[str, str | None]
) -> None:
    run = cascade(tmp_path / "run")
    path = run.path / "experiment.json"
    record = json.loads(path.read_text()) | change
    record["experiment"]["training"]["batch"]["replicas"] = 1
    path.write_text(json.dumps({key: value for key, value in record.items() if value is not None}))
    answer = vidgan(capsys, "sample", run.path, "--out", tmp_path / "clips")
    require_one_line(answer, str(run.path), "another version of vidgan", "train anew")


@pytest.mark.slow
def test_evaluations_survive_resuming(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "run"
    train = ("train", "demo", "--tiny", "--data", "synthetic", "--out", out, "--workers", 0)
    assert vidgan(capsys, *train, "--steps", 2).status == 0
    answer = vidgan(capsys, "evaluate", out, "--protocol", "pixel-statistics", "--clips", 4)
    assert answer.status == 0, answer.err
    files = (out / "metrics.jsonl", out / "log.jsonl")
    before = [path.read_bytes() for path in files]
    assert vidgan(capsys, *train, "--steps", 2, "--resume").status == 0
    assert [path.read_bytes() for path in files] == before
    assert vidgan(capsys, *train, "--steps", 3, "--resume").status == 0
    assert files[0].read_bytes() == before[0]
    assert [line["step"] for line in read_lines(files[1])] == [1, 2, 3]


@pytest.mark.slow
def test_reporting_may_change_on_resume(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "run"
    train = ("train", "demo", "--tiny", "--data", "synthetic", "--out", out, "--workers", 0, "--steps", 4)
    assert vidgan(capsys, *train).status == 0
    newest = checkpoint_path(out / "checkpoints", 1, 4)
    for path in (newest, checkpoint_path(out / "checkpoints", 1, 3)):
        path.unlink()
    answer = vidgan(capsys, *train, "--resume", "--reporting.tick", 2, "--reporting.checkpoint", 10)
    assert answer.status == 0, answer.err
    assert [line["step"] for line in read_lines(out / "log.jsonl")] == [1, 2, 4]


def test_live_progress_shows_names_as_they_are(capsys: Capture) -> None:
    experiment = catalog.experiments()["demo"].replace(name="[bold]mine")
    trainer, progress = Trainer(experiment, "synthetic", device="cpu"), LiveProgress()
    progress.on_level_start(trainer)
    progress.on_tick(trainer, {"loss/[red]": 1.0})
    trainer.say("[bold] said")
    progress.on_level_end(trainer)
    shown = capsys.readouterr().out
    for text in ("[bold]mine", "loss/[red]", "[bold] said"):
        assert text in shown


def test_progress_counts_from_where_this_process_began(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resumed at step 6 of 26, after 8 s it has made 4 steps of 2 x 3 clips: 16 steps are left, at 2 s each."""
    experiment = catalog.experiments()["demo"]
    training = experiment.training.replace(steps=26, discriminator_updates=2)
    reporting = experiment.reporting.replace(tick=10, checkpoint=9)
    trainer = Trainer(experiment.replace(training=training, reporting=reporting), "synthetic", device="cpu")
    now = [100.0]
    monkeypatch.setattr(logging, "time", SimpleNamespace(monotonic=lambda: now[0]))
    progress = PlainProgress()
    trainer.state.steps = 6
    progress.on_level_start(trainer)
    assert "steps 6 to 26; first figures at step 9\n" in capsys.readouterr().out
    # The first step holds what starts once, so the second is measured.
    for ending, took, said in (
        (False, 9.0, ""),
        (True, 70.0, ""),
        (False, 70.0, "a step takes 1:10: first figures in 1:10 "),
    ):
        trainer.state.steps, trainer.ending, now[0] = 7, ending, 160.0
        progress.on_step(trainer, {})
        trainer.state.steps, now[0] = 8, 160 + took
        progress.on_step(trainer, {})
        out = capsys.readouterr().out
        assert said in out
        assert bool(said) == bool(out)
    trainer.state.steps, now[0] = 10, 108.0
    progress.on_tick(trainer, {"loss/generator": 1.5, "pixel/fake red": 0.5})
    assert "step 10  clips 60  3.0 clips/s  0:32 left  loss/generator 1.5  memory " in capsys.readouterr().out
    progress.minutes = 0.5  # of which 22 s are left
    assert progress.left(10) == 22
    progress.minutes = 5
    assert progress.left(10) == 32
    assert [clock(seconds) for seconds in (0, 61.9, 3600, 90_061)] == ["0:00", "1:01", "1:00:00", "25:01:01"]
