"""Options whose value makes no sense end with one line, status 2 and nothing written."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from commands import require_one_line, snapshot, vidgan
from runs import make_run
from vidgan import memory
from vidgan.errors import UserError
from vidgan.presets import preset, presets
from vidgan.run.batch import Share
from vidgan.run.checkpoints import checkpoint_path, save
from vidgan.run.tiny import tiny
from vidgan.sample.sampler import values_at_once
from vidgan.sample.video_io import FORMATS, RATES, write_clip
from vidgan.tensor_file import State
from vidgan.train.loop import kept
from vidgan.train.phases import sample_pass
from vidgan.train.plan import META, untrained_levels

Capture = pytest.CaptureFixture[str]
TRAIN = ("train", "demo", "--tiny", "--data", "synthetic", "--workers", 0, "--steps", 1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from vidgan.cli import main

    out = tmp_path_factory.mktemp("options") / "run"
    assert main([*map(str, TRAIN), "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--fps", 0, "--format", "gif"), ("frames per second", "got 0")),
        (("--fps", 0), ("frames per second", "got 0")),
        (("--fps", "nan", "--format", "webp"), ("frames per second", "nan")),
        (("--fps", 5000, "--format", "webp"), ("frames per second", "1000")),
        (("--clips", 0), ("--clips", "at least 1")),
        (("--sigma", -1), ("sigma", "-1")),
        (("--threshold", 0), ("threshold", "positive")),
        (("--sigma", 0.5, "--threshold", 0.5), ("sigma and threshold", "one of them")),
    ],
)
def test_sample(
    run: Path, tmp_path: Path, capsys: Capture, options: tuple[object, ...], words: tuple[str, ...]
) -> None:
    before = snapshot(run)
    require_one_line(vidgan(capsys, "sample", run, "--out", tmp_path / "x", *options), *words)
    assert not (tmp_path / "x").exists()
    assert snapshot(run) == before


@pytest.mark.parametrize(
    ("command", "idle"),
    [
        (("sample", "RUN", "--out", "x", "--format", "npy", "--fps", 8), "--fps"),
        (("sample", "RUN", "--interpolate", "--out", "x", "--format", "png", "--fps=8"), "--fps"),
        (("sample", "RUN", "--out", "x", "--levels"), "--levels"),
        (("evaluate", "RUN", "--memorisation", "--hop", 4), "--hop"),
        (("evaluate", "RUN", "--memorisation", "--weights", "w"), "--weights"),
        (("evaluate", "RUN", "--memorisation", "--paths", 0, "--points", 16), "--points"),
        (
            ("evaluate", "RUN", "--memorisation", "--features", "frechet-random", "--weights", "w"),
            "--weights",
        ),
        (("evaluate", "RUN", "--protocol", "frechet-random", "--copy-last", "--sigma", 0.5), "--sigma"),
        (("evaluate", "RUN", "--protocol", "frechet-random", "--copy-last", "--runs", 2), "--runs"),
        (("plot", "levels", "RUN", "--out", "x.png", "--fps", 8), "--fps"),
        (("plot", "levels", "RUN", "--out", "x.mp4", "--columns", 10), "--columns"),
        (("report", "RUN", "--every", 3), "--every"),
        (("inspect", "RUN", "--stride", 2), "--stride"),
        (("plan", "guide-k400-12x64", "--conditional", "False", "--classes", 5), "--classes"),
        (("prepare", "RUN", "x", "--quality", 80), "--quality"),
        (("prepare", "RUN", "x", "--layout", "strips", "--fps", 8), "--fps"),
        (("prepare", "RUN", "x", "--layout", "bair", "--max_gap", 8), "--max-gap"),
        (("compare", "RUN", "--by-class", "--split", "test"), "--split"),
    ],
)
def test_options_without_effect_are_refused(
    run: Path, capsys: Capture, command: tuple[object, ...], idle: str
) -> None:
    """Whoever gives one expects it to do something; a default is given here too, as that is no excuse."""
    words = [run if word == "RUN" else word for word in command]
    before = snapshot(run)
    require_one_line(vidgan(capsys, *words), f"{idle} changes nothing", "leave it out")
    assert snapshot(run) == before


MANY = 99_999_999


@pytest.mark.parametrize(
    "command",
    [
        ("sample", "RUN", "--out", "x", "--clips", MANY, "--grid"),
        ("sample", "RUN", "--out", "x", "--interpolate", "--points", MANY),
        ("plot", "levels", "RUN", "--out", "x.png", "--clips", MANY),
        ("evaluate", "RUN", "--memorisation", "--out", "x", "--per-class", MANY),
        ("evaluate", "RUN", "--memorisation", "--out", "x", "--points", MANY),
        ("evaluate", "synthetic", "--train-classifier", "x.safetensors", "--batch", MANY),
        ("evaluate", "synthetic", "--train-classifier", "x.safetensors", "--size", 60_000),
        ("sample", "RUN", "--out", "x", "--clips", 1, "--frames", 65_536),
        ("prepare", "FILES", "x", "--size", 30_000),
        ("evaluate", "FILES", "--protocol", "frechet-random", "--data", "synthetic", "--size", 30_000),
    ],
)
def test_what_memory_cannot_hold_is_refused_before_the_work(
    run: Path, tmp_path: Path, capsys: Capture, command: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it would take, and before standing statistics, which take longest, and any file."""
    monkeypatch.setattr("vidgan.memory.available", lambda: 2.0 * 2**30)
    monkeypatch.setattr("vidgan.sample.sampler.Sampler.sample", None)
    (tmp_path / "clips").mkdir()
    write_clip(tmp_path / "clips" / "0.npy", np.zeros((9, 16, 16, 3), np.uint8), 8.0)
    monkeypatch.chdir(tmp_path)
    places = {"RUN": run, "FILES": "clips"}
    before = snapshot(run)
    require_one_line(vidgan(capsys, *(places.get(str(word), word) for word in command)), "GB of memory")
    assert snapshot(run) == before
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["demo", "demo-prediction", "dvd-gan-k600-12x64", "guide-k400-12x64"])
def test_no_video_is_refused_that_fits(name: str) -> None:
    """Beside the tensors that a pass on the meta device has at a time; most are no more than three times the least."""
    experiment = preset(name)
    (level,) = experiment.levels
    pass_of = sample_pass(experiment, untrained_levels(experiment, 1, META))
    made = pass_of.peak(5) - pass_of.peak(4)
    kind = experiment.training.dtype or torch.float32
    assert 1 <= made / (kind.itemsize * values_at_once(level.generator, level.frames)) < 4


def test_rows_that_memory_cannot_hold_are_refused_after_the_first(
    run: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """How long a row is, the first say; what many videos were given is not listed before."""
    monkeypatch.setattr("vidgan.memory.available", lambda: 3.0 * 2**20)
    command = ("evaluate", run, "--protocol", "frechet-random", "--clips", 5000, "--cache", tmp_path)
    command += ("--real-clips", 40)
    answer = vidgan(capsys, *command)
    assert (answer.status, "5,000 clips would take" in answer.err) == (2, True)


def test_memory_is_the_least_that_something_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    free = memory.available()
    assert 0 < free < float("inf")
    (tmp_path / "limit").write_text("12345\n")
    (tmp_path / "none").write_text("max\n")
    monkeypatch.setattr(memory, "CGROUPS", (tmp_path / "none", tmp_path / "missing"))
    assert memory.available() > 12345
    monkeypatch.setattr(memory, "CGROUPS", (tmp_path / "none", tmp_path / "limit"))
    assert memory.available() == 12345


def test_videos_of_an_earlier_call_are_named(run: Path, tmp_path: Path, capsys: Capture) -> None:
    sample = ("sample", run, "--out", tmp_path / "x", "--format", "npy", "--clips")
    for clips in (3, 3):
        assert "besides" not in vidgan(capsys, *sample, clips).out
    (tmp_path / "x" / "notes.txt").write_text("mine")
    kept = sorted(path.name for path in (tmp_path / "x").glob("*.npy"))
    assert f"holds 2 other videos besides, which are measured with these: {', '.join(kept[1:])}" in (
        vidgan(capsys, *sample, 1).out
    )
    assert sorted(path.name for path in (tmp_path / "x").glob("*.npy")) == kept


@pytest.mark.slow
def test_output_that_is_a_file(run: Path, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "below"):
        require_one_line(vidgan(capsys, "sample", run, "--out", out), str(file), "folder")
        require_one_line(vidgan(capsys, *TRAIN, "--out", out), str(file))
    require_one_line(vidgan(capsys, *TRAIN, "--out", file), "is a file; choose another --out")
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--workers", -1), ("--workers", "at least 0")),
        (("--minutes", 0), ("--minutes", "above 0")),
        (("--minutes", "nan"), ("--minutes", "above 0")),
        (("--steps", 0), ("--steps", "at least 1")),
        (("--device", "gpu"), ("no device 'gpu'", "cuda:1")),
        (("--data", "synthetc"), ("synthetc", "did you mean 'synthetic'")),
        (("--data", "mine.py"), ("mine.py:NAME",)),
    ],
)
def test_train(tmp_path: Path, capsys: Capture, options: tuple[object, ...], words: tuple[str, ...]) -> None:
    require_one_line(vidgan(capsys, *TRAIN, "--out", tmp_path / "x", *options), *words)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--protocol",), ("--protocol NAME", "--protocols lists them")),
        (("--protocol", "pixel-statistics", "--clips", 0), ("clips", "at least 1")),
        (("--protocol", "pixel-statistics", "--sigma", -0.5), ("sigma", "-0.5")),
    ],
)
def test_evaluate(run: Path, capsys: Capture, options: tuple[object, ...], words: tuple[str, ...]) -> None:
    before = snapshot(run)
    require_one_line(vidgan(capsys, "evaluate", run, *options), *words)
    assert snapshot(run) == before


@pytest.mark.parametrize(
    "option", ["--runs 2", "--raw", "--checkpoint best", "--checkpoint 3", "--sigma 0.5", "--classes a"]
)
def test_options_of_a_model_for_files(tmp_path: Path, capsys: Capture, option: str) -> None:
    np.save(tmp_path / "clips.npy", np.zeros((2, 4, 16, 16, 3), np.uint8))
    evaluate = ("evaluate", tmp_path / "clips.npy", "--protocol", "psd", "--real", tmp_path / "clips.npy")
    answer = vidgan(capsys, *evaluate, *option.split())
    require_one_line(answer, option.split()[0], "holds finished videos")


def test_no_checkpoint_is_promised_that_is_not_there(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    trainer: Any = SimpleNamespace(run=run, state=SimpleNamespace(index=0))
    assert kept(trainer).startswith("no checkpoint was written before")
    for step in (1, 4):
        save(checkpoint_path(run.checkpoints, 1, step), State({}, {"level": 1, "step": step}))
    assert kept(trainer) == "the checkpoint of step 4 is kept and can be sampled"


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_takes_the_slowest_and_the_fastest_rate(tmp_path: Path, suffix: str) -> None:
    clip = np.zeros((3, 16, 16, 3), np.uint8)
    for fps in (*RATES, 29.97):
        write_clip(tmp_path / f"clip{suffix}", clip, fps)
    with pytest.raises(UserError, match="got 0"):
        write_clip(tmp_path / f"none{suffix}", clip, 0)
    assert not (tmp_path / f"none{suffix}").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("prepare", "a", "b", "--layuot", "strips"), ("--layuot", "did you mean '--layout'")),
        (("prepare", "a", "b", "--codec", "jpg"), ("jpg", "raw", "jpeg")),
        (("prepare", "a"), ("DEST",)),
        (("prepare", "a", "b", "--workers", -1), ("--workers", "at least 0")),
        (("prepare", "a", "b", "--codec", "jpeg", "--quality", 0), ("quality",)),
        (("inspect", "a", "--skip-cheksums"), ("--skip-cheksums", "did you mean '--skip-checksums'")),
        (("inspect", "a", "--size", "large"), ("large",)),
        (("inspect",), ("DEST",)),
        (("plan", "demo", "--replicas", 2), ("no option --replicas", "did you mean '--processes'")),
        (("plan", "demo", "--chunk", 2), ("no option --chunk", "did you mean '--sample-chunk'")),
        (("evaluate", "a", "--replicas", 2), ("no option --replicas",)),
    ],
)
def test_options_that_are_not_understood(
    capsys: Capture, words: tuple[object, ...], said: tuple[str, ...]
) -> None:
    require_one_line(vidgan(capsys, *words), *said)


@pytest.mark.parametrize("name", presets())
def test_shrunk_presets_take_another_batch(name: str) -> None:
    small = tiny(preset(name))
    for clips in (1, 8, 32):
        assert small.training.batch.replace(global_batch=clips).share() == Share(clips, clips)
