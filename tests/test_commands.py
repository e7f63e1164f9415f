"""The whole command-line cycle, once per distinct structure, at tiny size."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

import runs
from commands import require_one_line, snapshot, vidgan
from vidgan.presets import preset
from vidgan.run.logs import read_lines
from vidgan.run.tiny import tiny
from vidgan.sample.load import load
from vidgan.sample.video_io import write_clip


def cycle(
    capsys: pytest.CaptureFixture[str], preset: str, out: Path, *protocols: str, first: int = 2
) -> None:
    """Train ``first`` steps, resume to four, evaluate by ``protocols`` and report."""
    train = ("train", preset, "--tiny", "--data", "synthetic", "--out", out, "--workers", 0)
    for steps, flags in ((first, ()), (4, ("--resume",))):
        answer = vidgan(capsys, *train, "--steps", steps, *flags)
        assert answer.status == 0, answer.err
    levels = len(json.loads((out / "experiment.json").read_text())["experiment"]["levels"])
    lines = read_lines(out / "log.jsonl")
    for level in range(1, levels + 1):
        steps = [line["step"] for line in lines if line["level"] == level]
        assert steps == [1, 2, 3, 4]
    answer = vidgan(capsys, "evaluate", out, "--protocol", *protocols, "--clips", 6)
    assert answer.status == 0, answer.err
    metrics = read_lines(out / "metrics.jsonl")
    assert [line["protocol"] for line in metrics] == [*protocols]
    for line in metrics:
        assert {"protocol", "value", "step", "clips", "seed"} <= line.keys()
        assert line["step"] == 4
        assert line["protocol"] != "oracle-accuracy" or 0 <= line["value"] <= 1
    assert vidgan(capsys, "report", out).status == 0
    assert (out / "report.html").stat().st_size > 1000
    assert list((out / "samples" / "fixed").glob("*.webp"))


@pytest.mark.slow
def test_saved_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, saved = runs.untrained(tmp_path / "run", tiny(preset("demo"))).path, tmp_path / "saved"
    load(run, device="cpu").save(saved)
    kept = snapshot(saved)
    for place in (run, saved):
        out = tmp_path / f"of-{place.name}"
        answer = vidgan(
            capsys, "sample", place, "--out", out, "--clips", 2, "--format", "npy", "--device", "cpu"
        )
        assert answer.status == 0, answer.err
        answer = vidgan(
            capsys, "evaluate", place, "--protocol", "pixel-statistics", "--data", "synthetic", "--clips", 4
        )
        assert answer.status == 0, answer.err
    assert snapshot(tmp_path / "of-run") == snapshot(tmp_path / "of-saved")
    (ours,), (theirs,) = read_lines(run / "metrics.jsonl"), read_lines(tmp_path / "saved.metrics.jsonl")
    assert ours["value"] == theirs["value"]
    assert snapshot(saved) == kept
    ask = ("sample", saved, "--out", tmp_path / "x")
    require_one_line(vidgan(capsys, *ask, "--checkpoint", "best"), "one set of weights")
    require_one_line(vidgan(capsys, *ask, "--device", "gpu"), "no device 'gpu'")
    require_one_line(vidgan(capsys, "report", saved), "not a run directory")
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_synthesis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    cycle(capsys, "demo", out, "pixel-statistics", "oracle-accuracy")
    folders = [tmp_path / name for name in ("a", "b")]
    for folder, clips in zip(folders, (3, 5), strict=True):
        answer = vidgan(
            capsys, "sample", out, "--out", folder, "--clips", clips, "--format", "npy", "--classes",
            "square-grow", "disc-left", "--seed", 3,
        )  # fmt: skip
        assert answer.status == 0, answer.err
    names = sorted(path.name for path in folders[0].iterdir())
    assert names == ["00000-square-grow.npy", "00001-disc-left.npy", "00002-square-grow.npy"]
    for name in names:  # clip i is the same whatever the batch
        a, b = (np.load(folder / name).astype(int) for folder in folders)
        assert np.abs(a - b).max() <= 1  # sums over another batch size may round differently
    for kind in ("mp4", "gif", "webp", "png"):
        answer = vidgan(
            capsys, "sample", out, "--out", tmp_path / kind, "--clips", 2, "--format", kind, "--grid"
        )
        assert answer.status == 0, answer.err
        assert len(list((tmp_path / kind).iterdir())) == 2
        assert (tmp_path / f"{kind}-grid.{kind}").exists()


@pytest.mark.slow
def test_frame_prediction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    cycle(capsys, "trivd-gan-fp-k600-16x64", out, "pixel-statistics")
    rng = np.random.default_rng(0)
    video = tmp_path / "input.mp4"
    write_clip(video, rng.integers(0, 255, (12, 80, 96, 3), dtype=np.uint8), 12.0)
    answer = vidgan(capsys, "predict", out, video, "--out", tmp_path / "futures", "--futures", 3)
    assert answer.status == 0, answer.err
    assert len(list((tmp_path / "futures").glob("future-*.mp4"))) == 3


@pytest.mark.slow
def test_cascade(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    # A level that has fed another takes no more steps.
    cycle(capsys, "ssw-gan-k600-48x128", out, "pixel-statistics", "oracle-accuracy", first=4)
    manifest = json.loads((out / "manifest.json").read_text())
    assert [entry["level"] for entry in manifest] == [1, 2]
    answer = vidgan(capsys, "sample", out, "--out", tmp_path / "clips", "--clips", 2, "--format", "npy")
    assert answer.status == 0, answer.err
    clip = np.load(next((tmp_path / "clips").glob("*.npy")))
    spec = json.loads((out / "experiment.json").read_text())["experiment"]["levels"][1]
    assert spec["window"] < spec["frames"]  # trained on windows, run over the full length
    assert clip.shape == (spec["frames"], 32, 32, 3)
    answer = vidgan(
        capsys, "sample", out, "--out", tmp_path / "long", "--clips", 1, "--frames", 16, "--chunk", 6
    )
    assert answer.status == 0, answer.err
    with av.open(str(next((tmp_path / "long").iterdir()))) as container:
        assert [(frame.width, frame.height) for frame in container.decode(video=0)] == [(32, 32)] * 16
