"""Cascades in their run directories: killed in the middle of level 2, one level at a time, fed by raw weights."""

import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from commands import require_one_line, start, vidgan
from vidgan.presets import preset
from vidgan.run.checkpoints import checkpoint_path, load, parameters_hash, save, steps_of
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_lines
from vidgan.run.tiny import tiny
from vidgan.sample.load import load_run

Capture = pytest.CaptureFixture[str]
COMMON = ("--tiny", "--data", "synthetic", "--workers", 0, "--reporting.samples", 100)


def killed_in_level_2(out: Path, *args: object) -> int:
    """Start training and kill -9 it once level 2 has logged two steps; the step that its newest checkpoint is at."""
    process = start(*args, "--out", out)
    log = out / "log.jsonl"
    try:
        while process.poll() is None and not (log.is_file() and b'"level": 2, "step": 2' in log.read_bytes()):
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, err
    return steps_of(out / "checkpoints", 2)[-1]


def require_same(whole: Path, broken: Path, steps: Sequence[int]) -> None:
    """Checkpoints of the levels at ``steps`` and manifests are equal, bit for bit."""
    for level, step in enumerate(steps, 1):
        expected, found = (load(checkpoint_path(run / "checkpoints", level, step)) for run in (whole, broken))
        assert found.facts == expected.facts
        assert found.tensors.keys() == expected.tensors.keys()
        assert all(torch.equal(tensor, expected.tensors[key]) for key, tensor in found.tensors.items())
    assert (whole / "manifest.json").read_text() == (broken / "manifest.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "uses"),
    [("demo-cascade", 2), pytest.param("ssw-gan-bdd100k-100x128", 1, marks=pytest.mark.long)],
)
def test_killed_in_the_middle_of_level_2(name: str, uses: int, tmp_path: Path, capsys: Capture) -> None:
    """As if nothing had happened, lower videos shared or not; each level has its own steps."""
    levels = len(preset(name).levels)
    train = ("train", name, *COMMON, "--steps", 1, "--levels.1.lower-video-uses", uses)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = killed_in_level_2(broken, *train, "--levels.1.steps", 10_000)
    ended = done + 1
    train = (*train, "--levels.1.steps", ended)
    answer = vidgan(capsys, *train, "--out", broken, "--resume")
    assert answer.status == 0, answer.err
    assert "level 1 is finished at step 1" in answer.out
    assert f"level 2 resumes at step {done} " in answer.out
    for level, step in enumerate([1, ended, 1][:levels], 1):
        steps = [line["step"] for line in read_lines(broken / "log.jsonl") if line["level"] == level]
        assert steps == list(range(1, step + 1))
    if levels == 2:  # the third only costs time
        assert vidgan(capsys, *train, "--out", whole).status == 0
        require_same(whole, broken, [1, ended])
    answer = vidgan(capsys, "sample", broken, "--out", tmp_path / "clips", "--clips", 1, "--format", "npy")
    assert answer.status == 0, answer.err
    top = tiny(preset(name)).levels[-1]
    clip = np.load(next((tmp_path / "clips").glob("*.npy")))
    assert clip.shape == (top.frames, top.size, top.size, 3)
    answer = vidgan(capsys, "evaluate", broken, "--protocol", "pixel-statistics", "--clips", 3)
    assert answer.status == 0, answer.err
    assert read_lines(broken / "metrics.jsonl")[-1]["step"] == [1, ended, 1][levels - 1]


@pytest.mark.slow
def test_levels_one_at_a_time(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "run"
    train = ("train", "ssw-gan-k600-48x128", *COMMON, "--steps", 1, "--out", out)
    require_one_line(vidgan(capsys, *train, "--level", 2), "--level 2", "first")
    require_one_line(vidgan(capsys, *train, "--level", 3), "1 to 2", "got 3")
    assert not out.exists()
    answer = vidgan(capsys, *train, "--level", 1)
    assert answer.status == 0, answer.err
    assert "trained level 1 of 2; next: --level 2 --resume" in answer.out
    assert steps_of(out / "checkpoints", 2) == []
    assert [entry["level"] for entry in json.loads((out / "manifest.json").read_text())] == [1]
    require_one_line(vidgan(capsys, "sample", out, "--out", tmp_path / "no"), "no checkpoint of level 2")
    answer = vidgan(capsys, *train, "--levels.0.steps", 2, "--level", 2, "--resume")
    require_one_line(answer, "level 2 needs level 1 finished", "step 1 of 2", "--level 1")
    answer = vidgan(capsys, *train, "--levels.0.steps", 1, "--level", 2, "--resume")
    assert answer.status == 0, answer.err
    assert [steps_of(out / "checkpoints", level) for level in (1, 2)] == [[1], [1]]


@pytest.mark.slow
def test_raw_weights_may_feed_the_levels_above(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fed a level is below it whenever it is sampled; other weights there are refused."""
    cascade = tiny(preset("ssw-gan-k600-48x128"))
    demo = tiny(preset("demo")).training.average
    assert demo is not None
    training = cascade.training.replace(average=demo.replace(start=0, feeds=False), steps=1)
    monkeypatch.setattr("vidgan.cli.experiment.tiny", lambda experiment: cascade.replace(training=training))
    out = tmp_path / "run"
    answer = vidgan(capsys, "train", "ssw-gan-k600-48x128", *COMMON, "--out", out)
    assert answer.status == 0, answer.err
    run = RunDirectory.open(out)
    states = [load(checkpoint_path(run.checkpoints, level, 1)) for level in (1, 2)]
    manifest = json.loads(run.manifest.read_text())
    assert [entry["averaged"] for entry in manifest] == [False, True]
    assert manifest[1]["below"] == states[1].facts["below"]
    prefix = "level/generator."
    for averaged in (True, False):
        low, high = load_run(run, raw=not averaged, cache=run.statistics).sampler().levels
        assert [parameters_hash(low.generator)] == states[1].facts["below"]
        for level, state, place in (
            (low, states[0], prefix),
            (high, states[1], "average/" if averaged else "level/generator."),
        ):
            name, weight = next(iter(level.generator.named_parameters()))
            assert torch.equal(weight, state.tensors[place + name])
    files = {path: path.read_bytes() for path in run.statistics.iterdir()}
    assert len(files) == 3  # level 1, and both kinds of level 2
    (out / "checkpoints" / "level1-step00000001.safetensors").unlink()
    state = states[0]
    state.tensors[prefix + "start.weight"].view(-1)[0] += 1
    save(checkpoint_path(run.checkpoints, 1, 1), state)
    answer = vidgan(capsys, "sample", out, "--out", tmp_path / "no")
    require_one_line(answer, "level 2 was trained upon other weights of level 1")
