"""Each kind of bad input ends with one line, status 2, nothing lost and nothing half-written."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from commands import require_one_line, snapshot, vidgan
from vidgan import tensor_file
from vidgan.run import checkpoints
from vidgan.run.logs import read_lines

TRAIN = ("train", "demo", "--tiny", "--data", "synthetic", "--workers", 0, "--steps", 2)
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from vidgan.cli import main

    out = tmp_path_factory.mktemp("bad") / "run"
    assert main([*map(str, TRAIN), "--out", str(out)]) == 0
    return out


def test_unknown_preset(capsys: Capture, tmp_path: Path) -> None:
    answer = vidgan(capsys, "train", "dvd-gan-k600-12x46", "--data", "synthetic", "--out", tmp_path / "x")
    require_one_line(answer, "dvd-gan-k600-12x46", "did you mean 'dvd-gan-k600-12x64'")
    assert not (tmp_path / "x").exists()


def test_a_preset_that_was_begun_and_not_finished(capsys: Capture) -> None:
    require_one_line(vidgan(capsys, "presets", "dvd-gan-k600"), "did you mean 'dvd-gan-k600-12x64'")


@pytest.mark.slow
def test_clips_too_short_are_named_before_anything_is_written(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "strips" / "a").mkdir(parents=True)
    Image.new("RGB", (3 * 24, 24)).save(tmp_path / "strips" / "a" / "short.png")
    data = tmp_path / "data"
    assert (
        vidgan(capsys, "prepare", tmp_path / "strips", data, "--layout", "strips", "--size", 24).status == 0
    )
    answer = vidgan(capsys, "train", "demo", "--data", data, "--out", tmp_path / "run")
    require_one_line(answer, "a/short.png (3 frames, needs 8)")
    assert not (tmp_path / "run").exists()


def test_unknown_verb(capsys: Capture) -> None:
    require_one_line(vidgan(capsys, "trian"), "trian", "did you mean 'train'")


def test_unknown_field(capsys: Capture, tmp_path: Path) -> None:
    answer = vidgan(capsys, *TRAIN, "--out", tmp_path / "x", "--levels.0.generator.widht", 4)
    require_one_line(answer, "--levels.0.generator.widht", "--levels.0.generator.width")
    assert not (tmp_path / "x").exists()


def test_impossible_value(capsys: Capture, tmp_path: Path) -> None:
    answer = vidgan(capsys, *TRAIN, "--out", tmp_path / "x", "--training.batch.micro-batch", 0)
    require_one_line(answer, "micro-batch", "at least 1")
    assert not (tmp_path / "x").exists()


def test_a_discriminator_that_draws_more_frames_than_there_are(capsys: Capture, tmp_path: Path) -> None:
    answer = vidgan(capsys, *TRAIN, "--out", tmp_path / "x", "--levels.0.discriminators.0.view.k", 9)
    require_one_line(answer, "'frames' draws 9 frames")
    assert not (tmp_path / "x").exists()


def test_unknown_class(capsys: Capture, run: Path, tmp_path: Path) -> None:
    answer = vidgan(capsys, "sample", run, "--out", tmp_path / "x", "--classes", "disc-rigth")
    require_one_line(answer, "disc-rigth", "did you mean 'disc-right'")
    assert not (tmp_path / "x").exists()


def test_unknown_protocol(capsys: Capture, run: Path) -> None:
    require_one_line(vidgan(capsys, "evaluate", run, "--protocol", "orcale-accuracy"), "oracle-accuracy")


def test_data_missing(capsys: Capture, tmp_path: Path) -> None:
    answer = vidgan(capsys, "train", "demo", "--data", tmp_path / "none", "--out", tmp_path / "x")
    require_one_line(answer, str(tmp_path / "none"))
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_data_empty_or_not_prepared(capsys: Capture, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    require_one_line(vidgan(capsys, "train", "demo", "--data", folder, "--out", tmp_path / "x"), str(folder))
    (folder / "holiday.txt").write_text("not a video")
    require_one_line(vidgan(capsys, "train", "demo", "--data", folder, "--out", tmp_path / "x"), str(folder))
    assert not (tmp_path / "x").exists()


def test_run_directory_taken(capsys: Capture, run: Path) -> None:
    before = snapshot(run)
    require_one_line(vidgan(capsys, *TRAIN, "--out", run), "not empty", "--resume")
    assert snapshot(run) == before


def test_resume_with_a_changed_experiment(capsys: Capture, run: Path) -> None:
    before = snapshot(run)
    answer = vidgan(capsys, *TRAIN, "--out", run, "--resume", "--training.adam.discriminator-rate", 0.5)
    require_one_line(answer, "training.adam.discriminator_rate", "0.5", "--init-from")
    assert snapshot(run) == before


def test_resume_with_another_preset(capsys: Capture, run: Path) -> None:
    answer = vidgan(capsys, *("train", "dvd-gan-k600-12x64", *TRAIN[2:]), "--out", run, "--resume")
    require_one_line(answer, "name: demo -> dvd-gan-k600-12x64", " more. Give the values", "--init-from")
    assert len(answer.err) < 1000


def test_foreign_checkpoint(capsys: Capture, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    copy(run, out)
    for path in (out / "checkpoints").iterdir():
        torch.save({"weights": torch.zeros(3)}, path)
    require_one_line(vidgan(capsys, "sample", out, "--out", tmp_path / "x"), "checkpoint")
    require_one_line(vidgan(capsys, *TRAIN, "--out", out, "--resume"), "no checkpoint of level 1 can be read")


def test_not_a_run(capsys: Capture, tmp_path: Path) -> None:
    for verb in ("report", "evaluate", "sample"):
        more = {
            "report": [],
            "evaluate": ["--protocol", "pixel-statistics"],
            "sample": ["--out", tmp_path / "x"],
        }
        require_one_line(vidgan(capsys, verb, tmp_path, *more[verb]), str(tmp_path))


@pytest.mark.slow
def test_loss_turned_nan(capsys: Capture, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert vidgan(capsys, *TRAIN, "--out", out).status == 0
    before = sorted(path.name for path in (out / "checkpoints").iterdir())
    found = checkpoints.latest(out / "checkpoints", 1)
    assert found is not None
    # A checkpoint whose next step diverges: one weight of the generator is infinite.
    found.state.tensors["level/generator.to_pixels.weight"].fill_(float("inf"))
    checkpoints.save(found.path, found.state)
    answer = vidgan(capsys, *TRAIN[:-1], 4, "--out", out, "--resume")
    require_one_line(answer, "diverged", "step 3", "the checkpoint of step 2 is kept")
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == before
    lines = read_lines(out / "log.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert [alarm["rule"] for alarm in lines[-1]["alarms"]] == ["diverged"]


@pytest.mark.slow
def test_disk_full_while_saving(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    assert vidgan(capsys, *TRAIN, "--out", out).status == 0
    before = snapshot(out / "checkpoints")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensor_file, "save_file", full)
    answer = vidgan(capsys, *TRAIN[:-1], 4, "--out", out, "--resume")
    require_one_line(answer, "disk is full")
    assert snapshot(out / "checkpoints") == before
    monkeypatch.undo()
    assert vidgan(capsys, *TRAIN[:-1], 4, "--out", out, "--resume").status == 0


def copy(source: Path, target: Path) -> None:
    for name, content in snapshot(source).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)


def test_broken_experiment_file(capsys: Capture, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    copy(run, out)
    record = json.loads((out / "experiment.json").read_text())
    record["experiment"]["training"]["stepz"] = 3
    (out / "experiment.json").write_text(json.dumps(record))
    require_one_line(vidgan(capsys, "sample", out, "--out", tmp_path / "x"), "stepz", "did you mean 'steps'")


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "RUN", "video.mp4", "--out", "x", "--futures"),
        ("predict", "RUN", "video.mp4", "--out", "x", "--frames"),
        ("predict", "RUN", "video.mp4", "--out", "x", "--start"),
        ("sample", "RUN", "--out", "x", "--clips"),
        ("sample", "RUN", "--out", "x", "--interpolate", "--points"),
        ("plot", "levels", "RUN", "--out", "x.png", "--clips"),
        ("evaluate", "RUN", "--memorisation", "--per-class"),
        ("train", "demo", "--data", "synthetic", "--out", "x", "--workers"),
    ],
)
def test_numbers_that_nothing_could_hold_are_refused(words: tuple[str, ...], capsys: Capture) -> None:
    require_one_line(vidgan(capsys, *words, 10**23), f"{words[-1]} must be at most", "got 1e+23")
