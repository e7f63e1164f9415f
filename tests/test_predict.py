"""``vidgan predict``: what it takes of a video, needs and writes."""

import json
import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from torch import Tensor

from commands import require_one_line, vidgan
from runs import untrained
from vidgan.cli.given import read_source
from vidgan.data.layouts import Folder
from vidgan.data.loader import to_float
from vidgan.data.prepare import prepare_by
from vidgan.data.store import PrepareSpec, open_prepared
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.data.window import random_clip
from vidgan.presets import preset
from vidgan.run.data import open_data
from vidgan.run.directory import RunDirectory
from vidgan.run.tiny import tiny
from vidgan.sample import previews
from vidgan.sample.load import load_run
from vidgan.sample.model import Model
from vidgan.sample.noise import Scaled, latents
from vidgan.sample.sampler import Sampler
from vidgan.sample.standing import GivenFrames
from vidgan.sample.video_io import colour_wheel, to_bytes, write_clip
from vidgan.seeds import derive
from vidgan.shapes import as_video

Capture = pytest.CaptureFixture[str]
GIVEN = 2
MADE = 4
SIDE = 32


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny frame-conditional model whose data are no longer there."""
    from vidgan.cli import main

    folder = tmp_path_factory.mktemp("predict")
    made = SyntheticDataset(SyntheticSpec(size=SIDE, frames=8, clips=4))
    (folder / "videos").mkdir()
    for i in range(len(made)):
        write_clip(folder / "videos" / f"{i}.mp4", made.read(i, 0, 8), 8.0)
    prepare_by(folder / "videos", folder / "data", PrepareSpec(layout=Folder(), size=SIDE), workers=0)
    command = ["train", "trivd-gan-fp-k600-16x64", "--tiny", "--workers", "0", "--steps", "1"]
    assert main([*command, "--data", str(folder / "data"), "--out", str(folder / "run")]) == 0
    (folder / "data").rename(folder / "elsewhere")
    return folder / "run"


def video(path: Path, frames: int) -> Path:
    """A video whose frame i is grey of value 10 * i."""
    values = (10 * np.arange(frames, dtype=np.uint8))[:, None, None, None]
    write_clip(path, np.broadcast_to(values, (frames, 64, 80, 3)), 12.0)
    return path


def decoded(path: Path) -> NDArray[np.uint8]:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def frames_of(path: Path) -> NDArray[np.uint8]:
    """Frames of an animation; those that repeat are stored once, so each is taken for its duration."""
    with Image.open(path) as image:
        shown = []
        for frame in ImageSequence.Iterator(image):
            pixels = np.asarray(frame.convert("RGB"))
            shown += [pixels] * round(frame.info["duration"] / 125)
    return np.stack(shown)


def greys(frames: NDArray[np.uint8]) -> list[int]:
    return [round(float(frame.mean()) / 10) for frame in frames]


def test_given_and_following_frames(tmp_path: Path, capsys: Capture) -> None:
    given = tiny(preset("trivd-gan-fp-k600-16x64")).levels[0]
    level = given.replace(context_frames=2, frames=3, stride=2)
    source = read_source(video(tmp_path / "a.mp4", 11), level, 1, 3)
    assert source.given.shape == (2, SIDE, SIDE, 3)
    assert greys(source.given) == [1, 3]
    assert source.truth is not None
    assert greys(source.truth) == [5, 7, 9]
    middle = f"a.mp4 is not square: the middle {SIDE}x{SIDE} of {SIDE * 80 // 64}x{SIDE} pixels is continued"
    assert middle in capsys.readouterr().out.replace("\n  ", " ")
    short = read_source(tmp_path / "a.mp4", level, 2, 3)
    assert greys(short.given) == [2, 4]
    assert short.truth is not None
    assert read_source(tmp_path / "a.mp4", level, 3, 3).truth is None
    longer = read_source(tmp_path / "a.mp4", level, 0, 4)
    assert longer.truth is not None
    assert greys(longer.truth) == [4, 6, 8, 10]
    strip = np.repeat(np.arange(11, dtype=np.uint8) * 10, SIDE)[None, :, None]
    Image.fromarray(np.broadcast_to(strip, (SIDE, 11 * SIDE, 3)).copy()).save(tmp_path / "strip.png")
    (tmp_path / "folder").mkdir()
    for number in range(11):
        frame = Image.new("RGB", (SIDE, SIDE), (10 * number,) * 3)
        frame.save(tmp_path / "folder" / f"{number}.png")
    assert greys(read_source(tmp_path / "folder", level, 8, 3).given) == [8, 10]
    frames = read_source(tmp_path / "strip.png", level, 1, 3)
    assert greys(frames.given) == [1, 3]
    assert frames.truth is not None
    assert greys(frames.truth) == [5, 7, 9]


@pytest.mark.slow
@pytest.mark.parametrize("long_enough", [True, False])
def test_a_model_with_saved_statistics_needs_no_data(
    run: Path, tmp_path: Path, capsys: Capture, long_enough: bool
) -> None:
    source = video(tmp_path / "in.mp4", GIVEN + MADE - (not long_enough))
    (tmp_path / "out").mkdir()
    for earlier in ("future-007.mp4", "truth.mp4", "mine.txt"):
        (tmp_path / "out" / earlier).touch()
    answer = vidgan(capsys, "predict", run, source, "--out", tmp_path / "out", "--futures", 2)
    assert answer.status == 0, answer.err
    assert ("ends before" in answer.out) != long_enough
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"mine.txt", "future-000.mp4", "future-001.mp4", "futures.mp4"} | (
        {"truth.mp4"} if long_enough else set()
    )
    together = decoded(tmp_path / "out" / "futures.mp4")
    clips = 2 + long_enough
    assert together.shape == (GIVEN + MADE, SIDE, SIDE * clips + 2 * (clips - 1), 3)
    # All begin with the given frames, and the truth stands first.
    assert greys(together[:GIVEN, :, 4 - SIDE :]) == [0, 1]
    if long_enough:
        assert greys(together[:, :, : SIDE - 4]) == list(range(GIVEN + MADE))


@pytest.mark.slow
def test_rolling_on_continues_from_its_own_frames(run: Path, tmp_path: Path, capsys: Capture) -> None:
    """Ten frames from a model that makes four: three times, each given the last two of what there is."""
    source = video(tmp_path / "in.mp4", GIVEN + 10)
    for name, options in (("short", ()), ("long", ("--frames", 10)), ("less", ("--frames", 3))):
        out = ("--out", tmp_path / name, "--futures", 2, "--seed", 3)
        answer = vidgan(capsys, "predict", run, source, *out, *options)
        assert answer.status == 0, answer.err
    films = {name: decoded(tmp_path / name / "futures.mp4") for name in ("short", "long", "less")}
    assert [len(films[name]) for name in ("short", "long", "less")] == [GIVEN + n for n in (4, 10, 3)]
    assert greys(decoded(tmp_path / "long" / "truth.mp4")) == list(range(GIVEN + 10))

    directory = RunDirectory.open(run)
    data = GivenFrames(directory.data.fingerprint, lambda: pytest.fail("its statistics are saved"))
    model = load_run(directory, data=data)
    given = as_video(
        torch.rand((2, GIVEN, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(1)) * 2 - 1
    )
    rolled = model.sampler().predict(given, range(2), [0, 0], 3, 10).video
    level, seen = model.sampler().levels[0], given
    for turn in range(3):
        seed = 3 if turn == 0 else derive(3, "rolling on", turn)
        z = latents(seed, 0, range(2), level.spec.generator.latent, Scaled())
        with torch.no_grad():
            state = level.generator.encode(seen[:, -2:])
            e = level.generator.embed_label(torch.zeros(2, dtype=torch.int64))
            made = level.generator.generate(z, e, MADE, level.statistics, state)
        seen = torch.cat([seen, made], dim=1)
    torch.testing.assert_close(rolled, seen[:, GIVEN : GIVEN + 10])


@pytest.mark.slow
def test_a_model_without_saved_statistics_says_what_is_missing(
    run: Path, tmp_path: Path, capsys: Capture
) -> None:
    for path in (run / "statistics").iterdir():
        path.rename(tmp_path / path.name)
    source = video(tmp_path / "in.mp4", 6)
    answer = vidgan(capsys, "predict", run, source, "--out", tmp_path / "out")
    for path in tmp_path.glob("*.safetensors"):
        path.rename(run / "statistics" / path.name)
    require_one_line(answer, "--data")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_impossible_options(run: Path, tmp_path: Path, capsys: Capture) -> None:
    source = video(tmp_path / "in.mp4", 6)
    for options, words in (
        (("--start", -5), ("--start", "at least 0")),
        (("--start", 5), ("6 frames", "number 7")),
        (("--futures", 0), ("--futures", "at least 1")),
        (("--fps", 0), ("frames per second",)),
        (("--frames", 0), ("--frames", "at least 1")),
        (("--threshold", 0), ("threshold", "positive")),
        (("--sigma", -1), ("sigma",)),
    ):
        answer = vidgan(capsys, "predict", run, source, "--out", tmp_path / "out", *options)
        require_one_line(answer, *words)
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_statistics_of_other_data_are_kept_apart(run: Path, tmp_path: Path, capsys: Capture) -> None:
    other, mine = tmp_path / "other", tmp_path / "run"
    shutil.copytree(run, mine)
    (mine / "videos").mkdir()
    for i in range(3):
        video(mine / "videos" / f"{i}.mp4", 8)
    prepare_by(mine / "videos", other, PrepareSpec(layout=Folder(), size=SIDE), workers=0)
    source = video(tmp_path / "in.mp4", 6)
    (own,) = (mine / "statistics").iterdir()
    # Measured against other data, a model keeps the statistics of its own.
    measure = ("evaluate", mine, "--protocol", "pixel-statistics", "--clips", 2, "--data", other)
    assert vidgan(capsys, *measure).status == 0
    assert list((mine / "statistics").iterdir()) == [own]
    own.unlink()
    options = ("--futures", 1, "--out", tmp_path / "out")
    assert vidgan(capsys, "predict", mine, source, *options, "--data", other).status == 0
    (theirs,) = (mine / "statistics").iterdir()
    assert theirs.name != own.name
    # Its own data are gone, and those of others do not stand in for them.
    require_one_line(vidgan(capsys, "predict", mine, source, *options), "--data")
    require_one_line(vidgan(capsys, *measure), "--data")


@pytest.mark.slow
def test_motion_stands_under_each_future(run: Path, tmp_path: Path, capsys: Capture) -> None:
    source = video(tmp_path / "in.mp4", GIVEN + MADE)
    answer = vidgan(capsys, "predict", run, source, "--out", tmp_path / "out", "--futures", 2, "--motion")
    assert answer.status == 0, answer.err
    assert "pixels per frame" in answer.out
    for i in range(2):
        film = decoded(tmp_path / "out" / f"motion-{i:03d}.mp4")
        assert film.shape == (GIVEN + MADE, 2 * SIDE, SIDE, 3)
        alone = decoded(tmp_path / "out" / f"future-{i:03d}.mp4")
        assert abs(film[:, : SIDE - 8].astype(int) - alone[:, : SIDE - 8]).mean() < 3  # both are lossy
        assert abs(film[:GIVEN, SIDE + 8 :].astype(int) - 128).max() < 4
    assert not (tmp_path / "out" / "motion-002.mp4").exists()


@pytest.mark.slow
def test_training_writes_previews_over_their_motion(run: Path) -> None:
    fixed = frames_of(run / "samples" / "fixed" / "level1-step00000001.webp")
    moving = frames_of(run / "samples" / "motion" / "level1-step00000001.webp")
    fastest = json.loads((run / "samples" / "motion" / "level1-step00000001.json").read_text())["fastest"]
    assert 0 < fastest <= 14  # a position is 8, 4 and 2 pixels, and kernels reach one
    assert moving.shape == (GIVEN + MADE, 2 * SIDE, previews.COLUMNS * (SIDE + 2) - 2, 3)
    assert np.array_equal(moving[:, :SIDE], fixed[:, :SIDE])
    fields = np.delete(
        moving[:, SIDE:],
        [(SIDE + 2) * i + j for i in range(previews.COLUMNS - 1) for j in (SIDE, SIDE + 1)],
        axis=2,
    )
    assert (fields[:GIVEN] == 128).all()
    # Every colour is one of the wheel's: white with a hue in it, so that a channel stays full.
    assert (fields[GIVEN:].max(axis=3) == 255).all()
    assert fields[GIVEN:].min() == 0, "the fastest has full colour"


@pytest.mark.slow
def test_truncations_stand_side_by_side(run: Path, tmp_path: Path, capsys: Capture) -> None:
    source = video(tmp_path / "in.mp4", GIVEN + MADE)
    ways = {"zero": ("--sigma", 0), "part": ("--threshold", 0.8), "all": ("--truncations",)}
    for name, options in ways.items():
        out = ("--out", tmp_path / name, "--futures", 2)
        answer = vidgan(capsys, "predict", run, source, *out, *options)
        assert answer.status == 0, answer.err
    assert "zero, threshold 0.8, no truncation" in " ".join(answer.out.split())
    # Statistics of truncated noise need the data, which are gone: it says what it takes instead.
    assert "deviation 1 instead of 0.442" in answer.err
    film = decoded(tmp_path / "all" / "truncations.mp4")
    assert film.shape == (GIVEN + MADE, SIDE * 2 + 2, SIDE * 3 + 4, 3)
    step = SIDE + 2
    alone = {(n, i): decoded(tmp_path / n / f"future-{i:03d}.mp4").astype(int) for n in ways for i in (0, 1)}
    for column, own in enumerate(ways):
        for row in range(2):
            shown = film[GIVEN:, step * row : step * row + SIDE, step * column : step * column + SIDE]
            gaps = {name: abs(shown - alone[name, row][GIVEN:])[:, 4:-4, 4:-4].mean() for name in ways}
            assert min(gaps, key=lambda name: gaps[name]) == own, gaps


@pytest.mark.slow
def test_continuations_by_class(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that was trained with classes is asked for one, never for the first in silence."""
    experiment = tiny(preset("demo-prediction")).replace(conditional=True)
    run = untrained(tmp_path / "run", experiment, SyntheticDataset(SyntheticSpec()).classes)
    asked: list[list[int]] = []
    real = Sampler.predict

    def predict(self: Sampler, given: Tensor, numbers: Any, labels: list[int], *more: Any) -> Any:
        asked.append(labels)
        return real(self, given, numbers, labels, *more)

    monkeypatch.setattr(Sampler, "predict", predict)
    source, out = video(tmp_path / "in.mp4", 12), tmp_path / "out"
    command = ("predict", run.path, source, "--data", "synthetic", "--out", out)
    require_one_line(vidgan(capsys, *command), "by class", "disc-right")
    require_one_line(vidgan(capsys, *command, "--classes", "disk-right"), "did you mean 'disc-right'")
    assert not out.exists()
    answer = vidgan(capsys, *command, "--classes", 1, "square-grow", "--futures", 3)
    assert answer.status == 0, answer.err
    assert asked == [[1, 7, 1]]
    clips = open_data("synthetic", experiment)
    command = ("predict", run.path, "synthetic", "--data", "synthetic", "--out", out, "--futures", 2)
    assert vidgan(capsys, *command, "--clips", 0, 3, 5).status == 0  # each as one of its own class
    assert asked[1:] == [[clips.info(clip).label] * 2 for clip in (0, 3, 5)]
    assert len({label for labels in asked[1:] for label in labels}) > 1
    assert vidgan(capsys, *command, "--clips", 3, "--classes", "square-grow").status == 0
    assert asked[-1] == [7, 7]


@pytest.mark.slow
def test_units_that_do_not_warp_have_no_motion(tmp_path: Path, capsys: Capture) -> None:
    command = ("train", "trivd-table1-downsampled", "--tiny", "--workers", 0, "--steps", 1)
    assert vidgan(capsys, *command, "--data", "synthetic", "--out", tmp_path / "run").status == 0
    source = video(tmp_path / "in.mp4", GIVEN + MADE)
    answer = vidgan(capsys, "predict", tmp_path / "run", source, "--out", tmp_path / "out", "--motion")
    require_one_line(answer, "warps", "--motion")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_clips_of_a_dataset_by_number_name_and_at_random(run: Path, tmp_path: Path, capsys: Capture) -> None:
    data = open_prepared(run.parent / "elsewhere")
    named = data.name(3)
    predict = ["predict", run, run.parent / "elsewhere", "--futures", 1, "--start", 1]
    chosen = ["--clips", 1, named, "--random", 2, "--seed", 3]
    answer = vidgan(capsys, *predict, *chosen, "--out", tmp_path / "out")
    assert answer.status == 0, answer.err
    folders = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert {"00001", "00003"} <= set(folders)
    drawn = {random_clip(4, derive(3, "predicted clips"), n) for n in range(2)}
    assert folders == sorted(f"{index:05d}" for index in {1, 3} | drawn)
    # The frames that are given and what followed them are the clip's own, from --start on.
    truth = decoded(tmp_path / "out" / "00001" / "truth.mp4")
    assert truth.shape == (GIVEN + MADE, SIDE, SIDE, 3)
    expected = data.read(1, 1, GIVEN + MADE)
    assert abs(truth.astype(int) - expected).mean() < 3
    made = decoded(tmp_path / "out" / "00001" / "future-000.mp4")
    assert abs(made[:GIVEN].astype(int) - expected[:GIVEN]).mean() < 3
    # All stand in one film, a row per clip in the order of the command.
    film = decoded(tmp_path / "out" / "clips.mp4").astype(int)
    assert film.shape == (GIVEN + MADE, len(folders) * (SIDE + 2) - 2, 2 * SIDE + 2, 3)
    for row, name in enumerate(["00001", "00003"]):
        part = film[:, row * (SIDE + 2) :][:, :SIDE]
        for left, file in ((0, "truth.mp4"), (SIDE + 2, "future-000.mp4")):
            assert abs(part[:, :, left : left + SIDE] - decoded(tmp_path / "out" / name / file)).mean() < 4
    # Where the clip ends before, there is no truth.
    late = ["--clips", 1, 2, "--start", 8 - GIVEN - 1, "--beside", run, "--out", tmp_path / "late"]
    assert vidgan(capsys, *predict[:-2], *late).status == 0
    assert not (tmp_path / "late" / "00001" / "truth.mp4").exists()
    dark = decoded(tmp_path / "late" / "clips.mp4")
    assert dark.shape[1:3] == (2 * SIDE + 2, 3 * SIDE + 4)
    assert dark[:, :, : SIDE - 4].mean() < 4 < dark[:, :, SIDE + 2 :].mean()
    out = ["--out", tmp_path / "none"]
    require_one_line(vidgan(capsys, *predict, *out), "4 clips", "--clips", "--random")
    require_one_line(vidgan(capsys, *predict, *out, "--clips", 4), "'4'", "0 to 3")
    require_one_line(vidgan(capsys, *predict, *out, "--clips", 1, "--start", 7), "from frame 7")
    alone = video(tmp_path / "in.mp4", 8)
    require_one_line(vidgan(capsys, "predict", run, alone, *out, "--clips", 1), "dataset", "in.mp4")
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_runs_side_by_side(run: Path, tmp_path: Path, capsys: Capture) -> None:
    """Luc et al. 2020, D.1: one model left, the other right, of the same frames; a row per continuation."""
    shutil.copytree(run, tmp_path / "other")
    film = video(tmp_path / "in.mp4", GIVEN + MADE)
    one = ["--futures", 2, "--out"]
    both = ["predict", run, film, "--beside", tmp_path / "other", *one, tmp_path / "both"]
    answer = vidgan(capsys, *both)
    assert answer.status == 0, answer.err
    assert "from left to right run, other" in " ".join(answer.out.split())
    shown = decoded(tmp_path / "both" / "beside.mp4")
    assert shown.shape == (GIVEN + MADE, 2 * SIDE + 2, 2 * SIDE + 2, 3)
    alone = decoded(tmp_path / "both" / "future-001.mp4")
    for left in (0, SIDE + 2):  # the same weights, so the same frames
        part = shown[:, SIDE + 2 :, left : left + SIDE].astype(int)
        assert abs(part - alone).mean() < 3
    untrained(tmp_path / "demo", tiny(preset("demo-prediction")))
    command = ["predict", run, film, "--beside", tmp_path / "demo", *one, tmp_path / "none"]
    require_one_line(vidgan(capsys, *command), "continue other frames")
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_strips_of_every_second_frame_over_the_finer_units_motion(
    run: Path, tmp_path: Path, capsys: Capture
) -> None:
    """Luc et al. 2020, Figure 3, from the continuations and fields that Python gives."""
    film = video(tmp_path / "in.mp4", GIVEN + MADE)
    motion = ["--motion", "--motion-units", 2, "--strips"]
    answer = vidgan(capsys, "predict", run, film, "--futures", 2, *motion, "--out", tmp_path / "out")
    assert answer.status == 0, answer.err
    model = load_run(RunDirectory.open(run))
    given = read_source(film, model.experiment.levels[0], 0, MADE).given
    frames = to_float(torch.from_numpy(given)[None])[0]
    two, every = (model.futures(frames, 2, motion_units=count) for count in (2, None))
    assert two.motion is not None
    assert every.motion is not None
    assert not torch.allclose(two.motion, every.motion)
    fastest = float(two.motion.norm(dim=2).max())
    for i in range(2):
        picture = np.asarray(Image.open(tmp_path / "out" / f"strip-{i:03d}.png"))
        assert picture.shape == (2 * SIDE, (MADE // 2) * (SIDE + 2) - 2, 3)
        for column, t in enumerate(range(0, MADE, 2)):
            part = picture[:, column * (SIDE + 2) :][:, :SIDE]
            assert abs(part[:SIDE].astype(int) - to_bytes(two.video).numpy()[i, t]).max() <= 1
            assert abs(part[SIDE:].astype(int) - colour_wheel(two.motion[i, t].numpy(), fastest)).max() <= 1
    alone = ["predict", run, film, "--motion-units", 2, "--out", tmp_path / "none"]
    require_one_line(vidgan(capsys, *alone), "--motion")


def test_the_finest_units_are_the_last_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """4.4: a coarse field is refined "with the next lower level flow field", so the lower levels are the finer ones."""
    seen: list[list[int]] = []

    def refine(fields: list[Tensor]) -> Tensor:
        seen.append([field.shape[-1] for field in fields])
        return fields[-1]

    monkeypatch.setattr("vidgan.sample.sampler.refine", refine)
    experiment = tiny(preset("trivd-gan-fp-k600-16x64"))
    data = GivenFrames.of(SyntheticDataset(SyntheticSpec(size=SIDE, frames=8, clips=4)))
    model = Model(
        experiment, [experiment.levels[0].build_generator(1).requires_grad_(False)], ("all",), 0, (1,), data
    )
    for count in (None, 2):
        model.futures(torch.zeros(GIVEN, 3, SIDE, SIDE), 1, motion_units=count)
    assert seen == [[4, 8, 16], [8, 16]]
