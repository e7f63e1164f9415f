"""Killed and resumed equals uninterrupted, bit for bit; logs have no gap and no repeat."""

import json
import signal
import time
from pathlib import Path

import pytest
import torch

from commands import require_one_line, start, vidgan
from kills import kill_often
from vidgan.run.checkpoints import checkpoint_path, latest, load, steps_of
from vidgan.run.logs import read_lines

STEPS = 12
COMMAND = ("train", "demo", "--tiny", "--data", "synthetic", "--steps", STEPS, "--reporting.samples", 100)


@pytest.mark.slow
def test_kill_and_resume_is_bit_exact(tmp_path: Path) -> None:
    """`python tests/kills.py` does it at twenty moments."""
    struck = kill_often(tmp_path, kills=3, steps=40, seed=7)
    assert len(set(struck)) >= 2, "all blows fell at one checkpoint; the test shows little"


@pytest.mark.slow
def test_sigterm_saves_and_stops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    process = start(
        *COMMAND[:-4],
        "--steps",
        100_000,
        "--out",
        out,
        "--reporting.checkpoint",
        100_000,
        "--reporting.samples",
        10**6,
    )
    while len(read_lines(out / "log.jsonl")) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    said, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "stopped by SIGTERM" in said
    found = latest(out / "checkpoints", 1)
    assert found is not None
    assert found.state.facts["step"] == read_lines(out / "log.jsonl")[-1]["step"]


@pytest.mark.slow
def test_resume_needs_a_run_unless_it_may_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = (*COMMAND[:-4], "--steps", 1, "--workers", 0, "--out", out)
    require_one_line(vidgan(capsys, *command, "--resume"), str(out), "--resume auto")
    assert not out.exists()
    started = vidgan(capsys, *command, "--resume", "auto")
    assert started.status == 0, started.err
    assert "starting one" in started.err
    again = vidgan(capsys, *command, "--resume", "auto")
    assert "is finished at step 1" in again.out


@pytest.mark.slow
def test_a_run_killed_at_its_start_is_started_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    for name in ("checkpoints", "samples/fixed", "statistics"):
        (out / name).mkdir(parents=True)
    (out / ".experiment.json.x1y2.part.json").write_text("{")
    command = (*COMMAND[:-4], "--steps", 1, "--workers", 0, "--out", out)
    assert vidgan(capsys, *command, "--resume", "auto").status == 0
    (tmp_path / "other" / "checkpoints").mkdir(parents=True)
    (tmp_path / "other" / "checkpoints" / "mine").touch()
    require_one_line(vidgan(capsys, *command[:-1], tmp_path / "other"), "not empty")


@pytest.mark.slow
def test_more_steps_are_recorded_and_seconds_continue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = (*COMMAND[:-4], "--out", out, "--workers", 0)
    assert vidgan(capsys, *command, "--steps", 2).status == 0
    log = out / "log.jsonl"
    lines = read_lines(log)
    lines[-1]["seconds"] = 1000.0  # as if it had taken that long
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    began = time.monotonic()
    plainly = ("--training.folded", False)  # another way to the same numbers
    assert vidgan(capsys, *command, "--steps", 4, *plainly, "--resume").status == 0
    most = 1000 + time.monotonic() - began
    seconds = [line["seconds"] for line in read_lines(log)]
    assert len(seconds) == 4
    assert 1000 <= seconds[2] <= seconds[3] <= most
    record = json.loads((out / "experiment.json").read_text())
    assert record["experiment"]["training"]["steps"] == 4
    changes = ["training.folded: True -> False", "training.steps: 2 -> 4"]
    assert [sorted(entry["changes"]) for entry in record["resumed"]] == [changes]
    before = (out / "experiment.json").read_bytes()
    command = (*command, *plainly)
    refused = vidgan(capsys, *command, "--steps", 5, "--training.adam.beta1", 0.5, "--resume")
    assert refused.status == 2
    fewer = vidgan(capsys, *command, "--steps", 3, "--resume")
    require_one_line(fewer, "has made 4 steps already, and 3 are asked for")
    assert (out / "experiment.json").read_bytes() == before


@pytest.mark.slow
def test_resume_skips_a_truncated_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert vidgan(capsys, *COMMAND[:-4], "--steps", 3, "--out", out, "--workers", 0).status == 0
    newest = sorted((out / "checkpoints").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-200])
    answer = vidgan(capsys, *COMMAND[:-4], "--steps", 4, "--out", out, "--workers", 0, "--resume")
    assert answer.status == 0, answer.err
    assert newest.name in answer.out
    assert "resumes at step 2" in answer.out
    assert [line["step"] for line in read_lines(out / "log.jsonl")] == [1, 2, 3, 4]
    again = vidgan(capsys, *COMMAND[:-4], "--steps", 4, "--out", out, "--workers", 0, "--resume")
    assert "is finished at step 4" in again.out


@pytest.mark.slow
def test_checkpoints_of_named_steps_are_written_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for figures of several steps: between regular checkpoints, and as if training had ended there."""
    few = ("--reporting.checkpoint", 4, "--reporting.keep", 1, "--reporting.keep-at", 3, 5)
    command, whole, part = (*COMMAND[:-4], "--workers", 0), tmp_path / "whole", tmp_path / "part"
    assert vidgan(capsys, *command, *few, "--steps", 6, "--out", whole).status == 0
    assert steps_of(whole / "checkpoints", 1) == [3, 5, 6]
    assert vidgan(capsys, *command, "--steps", 3, "--out", part).status == 0
    kept, ended = (load(checkpoint_path(run / "checkpoints", 1, 3)).tensors for run in (whole, part))
    assert kept.keys() == ended.keys()
    assert all(torch.equal(kept[name], ended[name]) for name in kept)
