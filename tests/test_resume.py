"""Killed and resumed equals uninterrupted, bit for bit; logs have no gap and no repeat."""

import json
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from commands import start, vidgan
from vidgan.run.checkpoints import latest
from vidgan.run.logs import read_lines

STEPS = 12
COMMAND = ("train", "demo", "--tiny", "--data", "synthetic", "--steps", STEPS, "--reporting.samples", 100)


def train(out: Path, *more: object, kill_after: float | None = None) -> int:
    """Train in a process of its own; kill it that long after its first log line appeared."""
    process = start(*COMMAND, "--out", out, *more)
    if kill_after is not None:
        known = len(read_lines(out / "log.jsonl"))
        while process.poll() is None and len(read_lines(out / "log.jsonl")) <= known:
            time.sleep(0.01)
        time.sleep(kill_after)
        process.send_signal(signal.SIGKILL)
    _, err = process.communicate(timeout=240)
    assert kill_after is not None or process.returncode == 0, err
    return process.returncode


def final(out: Path) -> dict[str, torch.Tensor]:
    found = latest(out / "checkpoints", 1)
    assert found is not None
    assert found.state.facts["step"] == STEPS
    return found.state.tensors


def logged(out: Path) -> list[dict[str, object]]:
    return [{k: v for k, v in line.items() if k != "seconds"} for line in read_lines(out / "log.jsonl")]


@pytest.mark.slow
def test_kill_and_resume_is_bit_exact(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(whole)
    chance = random.Random(7)
    kills = 0
    for _ in range(4):
        status = train(broken, "--resume", kill_after=chance.uniform(0.0, 0.25))
        kills += status == -signal.SIGKILL
    assert kills >= 2, "the run ended before it was killed; the test shows nothing"
    train(broken, "--resume")
    expected, seen = final(whole), final(broken)
    assert expected.keys() == seen.keys()
    assert all(torch.equal(expected[name], seen[name]) for name in expected)
    assert logged(broken) == logged(whole)
    assert [line["step"] for line in logged(broken)] == list(range(1, STEPS + 1))


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
def test_more_steps_are_recorded_and_seconds_go_on(
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
    assert vidgan(capsys, *command, "--steps", 4, "--resume").status == 0
    most = 1000 + time.monotonic() - began
    seconds = [line["seconds"] for line in read_lines(log)]
    assert len(seconds) == 4
    assert 1000 <= seconds[2] <= seconds[3] <= most
    record = json.loads((out / "experiment.json").read_text())
    assert record["experiment"]["training"]["steps"] == 4
    assert [entry["changes"] for entry in record["amended"]] == [["training.steps: 2 -> 4"]]
    before = (out / "experiment.json").read_bytes()
    refused = vidgan(capsys, *command, "--steps", 5, "--training.adam.beta1", 0.5, "--resume")
    assert refused.status == 2
    assert (out / "experiment.json").read_bytes() == before


def test_resume_skips_a_truncated_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert vidgan(capsys, *COMMAND[:-4], "--steps", 3, "--out", out, "--workers", 0).status == 0
    newest = sorted((out / "checkpoints").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-200])
    answer = vidgan(capsys, *COMMAND[:-4], "--steps", 4, "--out", out, "--workers", 0, "--resume")
    assert answer.status == 0, answer.err
    assert newest.name in answer.out
    assert "goes on from step 2" in answer.out
    assert [line["step"] for line in read_lines(out / "log.jsonl")] == [1, 2, 3, 4]
    again = vidgan(capsys, *COMMAND[:-4], "--steps", 4, "--out", out, "--workers", 0, "--resume")
    assert "is finished at step 4" in again.out
