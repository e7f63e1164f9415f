"""Levels one above the other, and other runs below them, fed with the same first level."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from cascades import GRU, SEPARABLE, frozen_level, level_spec
from commands import require_one_line, vidgan
from vidgan.errors import UserError
from vidgan.models.level import LevelSpec
from vidgan.run.batch import BatchSpec
from vidgan.run.checkpoints import checkpoint_path, save
from vidgan.run.directory import DataRecord, RunDirectory
from vidgan.run.experiment import Experiment, StandingStatisticsSpec, TrainingSpec
from vidgan.sample.load import load
from vidgan.sample.model import Model
from vidgan.sample.video_io import Row, as_film, as_strip, spread, stand_in_time, to_bytes
from vidgan.tensor_file import State

LOW, HIGH = level_spec(4, 2, 2, GRU), level_spec(8, 4, 1, SEPARABLE)
"""4 frames of 4x4, 8 frames of 8x8"""
FLAT = level_spec(6, 4, 1, GRU)


def save_run(path: Path, levels: tuple[LevelSpec, ...], classes: tuple[str, ...] = ("a", "b", "c")) -> Path:
    """A run whose levels have weights as they are drawn; those of equal first levels are equal."""
    training = TrainingSpec(
        steps=1,
        average=None,
        batch=BatchSpec(global_batch=2),
        standing_statistics=StandingStatisticsSpec(batches=1, clips=4),
        bf16=False,
    )
    experiment = Experiment(name="x", levels=levels, classes=len(classes), training=training)
    run = RunDirectory.create(path, experiment, DataRecord("synthetic", classes, 0, ""), [])
    for index in range(len(levels)):
        weights = frozen_level(levels, index).generator.float().state_dict()
        tensors = {f"level/generator.{name}": tensor for name, tensor in weights.items()}
        facts = {"level": index + 1, "step": 1, "labels": [1] * len(classes)}
        save(checkpoint_path(run.checkpoints, index + 1, 1), State(tensors, facts))
    return path


def clip(values: list[int], size: int) -> np.ndarray:
    """A clip whose frames have these values."""
    return np.stack([np.full((size, size, 3), value, np.uint8) for value in values])


def test_rows_stand_in_time_with_each_other() -> None:
    low = Row("low", np.stack([clip([10, 20], 2), clip([30, 40], 2)]))
    high = Row("high", np.stack([clip([1, 2, 3, 4], 4), clip([5, 6, 7, 8], 4)]))
    shown = stand_in_time([low, high], [0, 1, 3], 4)
    assert [videos.shape for videos in shown] == [(2, 3, 4, 4, 3)] * 2
    assert shown[0][:, :, 0, 0, 0].tolist() == [[10, 10, 20], [30, 30, 40]]
    assert shown[1][:, :, 3, 3, 2].tolist() == [[1, 2, 4], [5, 6, 8]]
    picture = as_strip(shown)  # tiles of 4x4 with two pixels between them: for each clip low, then high
    assert picture.shape == (4 * 6 - 2, 3 * 6 - 2, 3)
    assert picture[::6, ::6, 0].tolist() == [[10, 10, 20], [1, 2, 4], [30, 30, 40], [5, 6, 8]]
    film = as_film(shown)  # a column per clip
    assert film.shape == (3, 2 * 6 - 2, 2 * 6 - 2, 3)
    assert film[2, ::6, ::6, 0].tolist() == [[20, 40], [4, 8]]
    assert spread(50, 5) == [0, 12, 24, 37, 49]
    assert spread(3, 10) == [0, 1, 2]
    odd = Row("odd", np.zeros((2, 2, 3, 3, 3), np.uint8))
    with pytest.raises(UserError, match="odd has 3 pixels"):
        stand_in_time([odd, high], [0], 4)


@pytest.mark.slow
def test_a_cascade_and_others_below_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = save_run(tmp_path / "first", (LOW, HIGH))
    wider = HIGH.replace(generator=HIGH.generator.replace(width=8))
    second, flat = save_run(tmp_path / "second", (LOW, wider)), save_run(tmp_path / "flat", (FLAT,))
    out = tmp_path / "rows.png"
    ask = ("plot", "levels", first, "--out", out, "--clips", 2, "--columns", 4, "--beside")
    answer = vidgan(capsys, *ask, second, flat, first)
    assert answer.status == 0, answer.err
    _, *rows, last = answer.out.splitlines()
    assert [row.split(":")[0] for row in rows] == [
        "first, level 1 (4x4x4)", "first, level 2 (8x8x8)", "second, level 2 (8x8x8)", "flat, level 1 (8x8x8)",
        "first, level 2 (8x8x8)",
    ]  # fmt: skip
    assert ["dB" in row for row in rows] == [False, True, True, False, True]
    assert str(out) in last
    picture = np.asarray(Image.open(out))
    assert picture.shape == (2 * 5 * 10 - 2, 4 * 10 - 2, 3)
    tiles = [picture[10 * row : 10 * row + 8] for row in range(10)]
    for clip_rows in (tiles[:5], tiles[5:]):
        assert np.array_equal(clip_rows[4], clip_rows[1])  # fed with its own first level, a cascade is itself
        assert not np.array_equal(clip_rows[2], clip_rows[1])
        assert np.array_equal(clip_rows[0][::2], clip_rows[0][1::2])  # enlarged


def test_sampling_writes_every_level_beside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = save_run(tmp_path / "run", (LOW, HIGH))
    ask = ("sample", run, "--clips", 2, "--format", "npy", "--out")
    for out, more in (("plain", ()), ("all", ("--levels",))):
        assert vidgan(capsys, *ask, tmp_path / out, *more).status == 0
    assert {path.name for path in tmp_path.iterdir()} == {"run", "plain", "all", "all-level1"}
    names = sorted(path.name for path in (tmp_path / "plain").iterdir())
    for folder, shape in (("all", (8, 8, 8, 3)), ("all-level1", (4, 4, 4, 3))):
        assert sorted(path.name for path in (tmp_path / folder).iterdir()) == names
        assert all(np.load(path).shape == shape for path in (tmp_path / folder).iterdir())
    for name in names:
        assert np.array_equal(np.load(tmp_path / "plain" / name), np.load(tmp_path / "all" / name))
    require_one_line(
        vidgan(capsys, "sample", run, "--out", tmp_path / "x", "--chunk", 4, "--levels"), "--levels"
    )
    flat = save_run(tmp_path / "flat", (FLAT,))
    answer = vidgan(capsys, "sample", flat, "--out", tmp_path / "x", "--chunk", 4)
    require_one_line(answer, "this model has one level")
    assert not (tmp_path / "x").exists()


def test_runs_that_do_not_fit_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = save_run(tmp_path / "first", (LOW, HIGH))
    longer = save_run(tmp_path / "long", (LOW.replace(frames=8, stride=1), HIGH))
    others = save_run(tmp_path / "others", (LOW, HIGH), ("a", "b", "d"))
    ask = ("plot", "levels", first, "--out", tmp_path / "a.png", "--beside")
    require_one_line(vidgan(capsys, *ask, longer), "makes 4x4x4", "takes 8x4x4")
    require_one_line(vidgan(capsys, *ask, others), "other classes")
    require_one_line(vidgan(capsys, "plot", "levels", first, "--out", tmp_path / "a.bmp"), "unknown format")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.slow
def test_sampled_clips_are_written_while_others_are_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory does not grow with the number of clips, and they are those of one call, lower levels and grid too."""
    run, make, asked = save_run(tmp_path / "run", (LOW, HIGH)), Model.levels, list[int]()
    whole = load(run).levels(19, classes=["c", "a"], seed=3)

    def levels(model: Model, count: int, *given: Any) -> list[Tensor]:
        asked.append(count)
        return make(model, count, *given)

    monkeypatch.setattr(Model, "levels", levels)
    ask = ("--clips", 19, "--classes", "c", "a", "--seed", 3, "--format", "npy", "--levels", "--grid")
    answer = vidgan(capsys, "sample", run, "--out", tmp_path / "x", *ask)
    assert (answer.status, asked) == (0, [8, 8, 3])
    for folder, videos in zip(("x-level1", "x"), whole, strict=True):
        files = sorted((tmp_path / folder).iterdir())
        assert [file.stem for file in files] == [f"{i:05d}-{'ca'[i % 2]}" for i in range(19)]
        np.testing.assert_array_equal(np.stack([np.load(file) for file in files]), to_bytes(videos).numpy())
    assert np.load(tmp_path / "x-grid.npy").shape[0] == 8
