"""A trained model from Python: loaded, sampled, saved, and equal to what the command line writes."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import runs
import vidgan
from commands import snapshot
from commands import vidgan as command
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.errors import UserError
from vidgan.nn.layers import WeightLayer
from vidgan.nn.temporal import RecurrentSpec
from vidgan.presets import preset
from vidgan.run.checkpoints import checkpoint_path, load, save
from vidgan.run.data import open_data
from vidgan.run.directory import RunDirectory
from vidgan.run.experiment import AverageSpec
from vidgan.run.tiny import tiny
from vidgan.sample import model as model_file
from vidgan.sample import sampler as sampler_file
from vidgan.sample import standing
from vidgan.sample.load import load_generators
from vidgan.sample.model import Model
from vidgan.sample.sampler import End
from vidgan.sample.video_io import to_bytes

Capture = pytest.CaptureFixture[str]
CLASSES = ("disc-right", "square-left", "square-grow")
PREDICTOR = "trivd-gan-fp-k600-16x64"
CASCADE = "ssw-gan-k600-48x128"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.untrained(tmp_path_factory.mktemp("model") / "run", tiny(preset("demo")), CLASSES).path


@pytest.fixture(scope="module")
def model(run: Path) -> Model:
    return vidgan.load(run)


def times(folder: Path) -> dict[str, tuple[int, int, int]]:
    """What a write would leave in the tree: of every file and folder its size, its time and its mode."""
    paths = [folder, *sorted(folder.rglob("*"))]
    states = [path.stat() for path in paths]
    return {
        str(path.relative_to(folder)): (state.st_size, state.st_mtime_ns, stat.S_IMODE(state.st_mode))
        for path, state in zip(paths, states, strict=True)
    }


def test_looking_writes_nothing(run: Path) -> None:
    before, bytes_before = times(run), snapshot(run)
    assert bytes_before
    model = vidgan.load(str(run))
    model.sample(2)
    model.sample(1, frames=model.experiment.levels[-1].frames + 2)
    model.interpolate(points=2)
    assert model.class_names == CLASSES
    assert model.step == 1
    assert (times(run), snapshot(run)) == (before, bytes_before)


def test_a_clip_is_a_function_of_seed_number_and_class(model: Model) -> None:
    level = model.experiment.levels[-1]
    videos = model.sample(5, classes=["square-grow", 0], seed=3)
    assert videos.shape == (5, level.frames, 3, level.size, level.size)
    assert videos.dtype == torch.float32
    assert videos.abs().max() <= 1
    # Number, class and seed alone, whatever is made beside it; rounding depends on how many are made at once.
    close = {"rtol": 0, "atol": 1e-5}
    torch.testing.assert_close(model.sample(2, ["square-grow", 0], seed=3, first=3), videos[3:], **close)
    torch.testing.assert_close(model.sample(3, ["square-grow"], seed=3)[[0, 2]], videos[[0, 2]], **close)
    for other in (
        model.sample(5, ["square-grow", 0], seed=4),
        model.sample(5, [0, "square-grow"], seed=3),
        model.sample(5, ["square-grow", 0], seed=3, sigma=0.5),
        model.sample(5, ["square-grow", 0], seed=3, threshold=0.5),
    ):
        assert ((other - videos).abs().amax((1, 2, 3, 4)) > 1e-3).all()
    assert model.labels_of(range(2, 6)) == [2, 0, 1, 2]
    assert model.labels_of(range(3), "square-left") == [1, 1, 1]
    longer = model.sample(1, frames=level.frames + 3)
    assert longer.shape[1] == level.frames + 3


def test_what_cannot_be_sampled_is_one_line(model: Model, run: Path) -> None:
    for text, call in (
        ("did you mean 'disc-right'", lambda: model.sample(1, ["disc-rihgt"])),
        ("there are 3", lambda: model.sample(1, [3])),
        ("no class -1", lambda: model.sample(1, [-1])),
        ("at least one video", lambda: model.sample(0)),
        ("two ways to truncate", lambda: model.sample(1, sigma=1, threshold=1)),
        ("sigma must be at least 0", lambda: model.sample(1, sigma=-1)),
        ("frames must be at least", lambda: model.sample(1, frames=1)),
        ("at least 2 points", lambda: model.interpolate(points=1)),
        ("not of 3", lambda: model.interpolate(CLASSES)),
        ("an empty list of classes", lambda: model.interpolate([])),
        ("an empty list of classes", lambda: model.sample(1, [])),
        ("from noise", lambda: model.predict(torch.zeros(2, 3, 8, 8))),
        ("best, last or a number of steps", lambda: vidgan.load(run, checkpoint="newest")),
        ("no checkpoint of step 7; there are: 1", lambda: vidgan.load(run, checkpoint=7)),
        ("does not know its best", lambda: vidgan.load(run, checkpoint="best")),
        ("not a run directory", lambda: vidgan.load(run / "checkpoints")),
    ):
        with pytest.raises(UserError, match=text):
            call()


@pytest.mark.parametrize(
    ("classes", "number", "ends"),
    [
        (None, 4, (End(8, 1), End(9, 1))),
        (["square-grow"], 1, (End(2, 2), End(3, 2))),
        (["square-grow", "disc-right"], 1, (End(1, 2), End(1, 0))),
    ],
)
def test_ends_of_an_interpolation(
    model: Model, classes: list[str] | None, number: int, ends: tuple[End, End]
) -> None:
    assert model.ends(classes, number) == ends
    path = model.interpolate(classes, points=3, seed=5, number=number)
    for end, video in zip(ends, path[[0, 2]], strict=True):
        (sampled,) = model.sample(1, [end.label], seed=5, first=end.number)
        torch.testing.assert_close(video, sampled, rtol=0, atol=1e-5)


def test_the_command_line_writes_the_same(run: Path, tmp_path: Path, capsys: Capture) -> None:
    mine = tmp_path / "run"
    shutil.copytree(run, mine)
    options = ("--seed", 3, "--sigma", 0.7, "--format", "npy", "--classes", "square-grow", "disc-right")
    answer = command(capsys, "sample", mine, "--out", tmp_path / "sampled", "--clips", 3, *options)
    assert answer.status == 0, answer.err
    drawn = {"seed": 3, "sigma": 0.7}
    model = vidgan.load(mine, device="cpu")
    expected = to_bytes(model.sample(3, ["square-grow", "disc-right"], **drawn)).numpy()
    names = ["00000-square-grow", "00001-disc-right", "00002-square-grow"]
    for name, video in zip(names, expected, strict=True):
        assert np.array_equal(np.load(tmp_path / "sampled" / f"{name}.npy"), video)
    between = ("--interpolate", "--clips", 2, "--points", 3)
    answer = command(capsys, "sample", mine, "--out", tmp_path / "path", *between, *options)
    assert answer.status == 0, answer.err
    size = model.experiment.size
    made = np.load(tmp_path / "path" / "00001-square-grow-disc-right.npy")
    path = to_bytes(model.interpolate(["square-grow", "disc-right"], 3, number=1, **drawn)).numpy()
    for point, video in enumerate(path):
        left = point * (size + 2)
        assert np.array_equal(made[:, :, left : left + size], video)


def test_statistics_are_kept_where_they_are_asked_for(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = times(run)
    expected = vidgan.load(run, cache=tmp_path / "kept").sample(2)
    (kept,) = (tmp_path / "kept").iterdir()
    assert times(run) == before
    monkeypatch.setattr(standing, "statistics_of_level", lambda *_: pytest.fail("they are kept"))
    assert torch.equal(vidgan.load(run, cache=tmp_path / "kept").sample(2), expected)
    # Those that the run keeps are read, too.
    mine = tmp_path / "run"
    shutil.copytree(run, mine)
    shutil.copy(kept, mine / "statistics")
    assert torch.equal(vidgan.load(mine).sample(2), expected)


@pytest.mark.parametrize("raw", [False, True])
def test_raw_and_averaged_weights(run: Path, raw: bool) -> None:
    mine = runs.untrained(run.parent / f"raw-{raw}", tiny(preset("demo")), CLASSES)
    state = load(checkpoint_path(mine.checkpoints, 1, 1))
    for name, tensor in state.tensors.items():
        if name.startswith("level/generator."):
            tensor.mul_(1.5)
    save(checkpoint_path(mine.checkpoints, 1, 1), state)
    (generator,) = vidgan.load(mine.path, raw=raw).generators
    name, weight = next(iter(generator.named_parameters()))
    assert torch.equal(weight, state.tensors[f"{'level/generator.' if raw else 'average/'}{name}"])


def test_averaged_weights_are_divided_by_their_own_norm(run: Path) -> None:
    """Checkpoints hold the average without vectors of its own: they come from power iterations when it is loaded."""
    mine = runs.untrained(run.parent / "norm", tiny(preset("demo")), CLASSES)
    path = checkpoint_path(mine.checkpoints, 1, 1)
    state, rng = load(path), torch.Generator().manual_seed(0)
    for name, tensor in state.tensors.items():
        if name.startswith("average/") and name.endswith("weight") and tensor.dim() > 1:
            matrix = tensor.view(len(tensor), -1)
            rows, columns = (torch.randn(n, generator=rng) for n in matrix.shape)
            matrix += 3 * torch.outer(rows / rows.norm(), columns / columns.norm())
    save(path, state)
    (generator,) = vidgan.load(mine.path, device="cpu").generators
    layers = [m for m in generator.modules() if isinstance(m, WeightLayer) and m.spectral]
    assert len(layers) > 10
    for layer in layers:
        first = torch.linalg.svdvals(layer.weight.view(len(layer.weight), -1))[0].item()
        assert layer.sigma().item() == pytest.approx(first, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("below_averaged", [False, True])
@pytest.mark.parametrize("raw", [False, True])
def test_lower_levels_are_as_they_fed_the_top(tmp_path: Path, below_averaged: bool, raw: bool) -> None:
    experiment = tiny(preset(CASCADE))
    average = AverageSpec(feeds=below_averaged)
    experiment = experiment.replace(training=experiment.training.replace(average=average))
    mine = runs.untrained(tmp_path / "run", experiment, CLASSES)
    for level in (1, 2):
        path = checkpoint_path(mine.checkpoints, level, 1)
        state = load(path)
        for name, tensor in state.tensors.items():
            if name.startswith("average/"):
                tensor.add_(0.5)
        save(path, state)
    for checkpoint in ("last", 1):  # a step is the top level's
        generators, _ = load_generators(RunDirectory.open(mine.path), checkpoint, raw)
        for level, averaged in ((1, below_averaged), (2, not raw)):
            tensors = load(checkpoint_path(mine.checkpoints, level, 1)).tensors
            name, weight = next(iter(generators[level - 1].named_parameters()))
            assert torch.equal(weight, tensors[f"{'average/' if averaged else 'level/generator.'}{name}"])


def test_a_saved_model_makes_the_same_bit_for_bit(model: Model, tmp_path: Path) -> None:
    longer = model.experiment.levels[-1].frames + 1
    folder = tmp_path / "new" / "saved"
    expected = [model.sample(3, seed=2), model.interpolate(points=2), model.sample(1, frames=longer)]
    model.save(folder)
    before = times(folder), snapshot(folder)
    again = vidgan.load(folder)
    assert (again.experiment, again.class_names, again.step) == (model.experiment, CLASSES, 1)
    made = [again.sample(3, seed=2), again.interpolate(points=2), again.sample(1, frames=longer)]
    for ours, theirs in zip(made, expected, strict=True):
        assert torch.equal(ours, theirs)
    assert (times(folder), snapshot(folder)) == before
    assert sorted(path.name for path in folder.parent.iterdir()) == ["saved"]
    assert subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder).returncode == 0
    with pytest.raises(UserError, match="exists and is not empty"):
        model.save(folder)
    with pytest.raises(UserError, match="leave out checkpoint, raw and level"):
        vidgan.load(folder, raw=True)
    again.save(tmp_path / "copy")
    assert torch.equal(vidgan.load(tmp_path / "copy").sample(3, seed=2), expected[0])


def test_saved_statistics_are_not_taken_anew(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.save(tmp_path / "saved")
    monkeypatch.setattr(standing, "statistics_of_level", lambda *_: pytest.fail("they are saved"))
    assert torch.equal(vidgan.load(tmp_path / "saved").sample(1), model.sample(1))


def test_one_flipped_byte_is_refused(model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    model.save(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"model.json", "weights.safetensors", "SHA256SUMS"}
    for path in files:
        whole = path.read_bytes()
        for place in (0, len(whole) // 3, len(whole) // 2, len(whole) - 1):
            for flip in (1, 0x20, 0x80):
                path.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
                with pytest.raises(UserError, match="is damaged"):
                    vidgan.load(folder)
        path.write_bytes(whole[:-1])
        with pytest.raises(UserError, match="is damaged"):
            vidgan.load(folder)
        path.unlink()
        with pytest.raises(UserError):
            vidgan.load(folder)
        path.write_bytes(whole)
    (folder / "NOTES.txt").write_text("A note of one's own harms nothing.")
    vidgan.load(folder)


def test_a_model_is_saved_whole_or_not_at_all(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_file, "write_sums", fail)
    with pytest.raises(OSError, match="No space left"):
        model.save(tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.untrained(
        tmp_path_factory.mktemp("predictor") / "run", tiny(preset(PREDICTOR)), ("all",)
    ).path


@pytest.mark.slow
def test_a_predictor_takes_data_or_saved_statistics(predictor: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the data of this run have changed"):
        vidgan.load(predictor)
    data = SyntheticDataset(SyntheticSpec(size=32, frames=12, clips=4))
    model = vidgan.load(predictor, data=data, device="cpu")
    level = model.experiment.levels[0]
    frames = torch.rand(level.context_frames, 3, level.size, level.size, generator=torch.Generator()) * 2 - 1
    futures = model.predict(frames, count=3, seed=1)
    assert futures.shape == (3, level.frames, 3, level.size, level.size)
    close = {"rtol": 0, "atol": 1e-5}
    torch.testing.assert_close(model.predict(frames, count=1, seed=1, first=2), futures[2:], **close)
    longer = model.predict(frames, count=3, seed=1, length=level.frames + 2)
    assert longer.shape[1] == level.frames + 2
    torch.testing.assert_close(longer[:, : level.frames], futures, **close)
    assert model.predict(frames, count=1, length=1).shape[1] == 1
    for length in (1, level.frames + 2):  # a field for every frame that is made, of whichever round
        motion = model.futures(frames, count=2, length=length).motion
        assert motion is not None
        assert motion.shape == (2, length, 2, level.size, level.size)
    for text, call in (
        ("give it frames to predict from", lambda: model.sample(1)),
        ("float frames", lambda: model.predict(frames[1:])),
        ("float frames", lambda: model.predict(to_bytes(frames[None])[0])),
        ("no class 1", lambda: model.predict(frames, label=1)),
        ("at least one frame", lambda: model.predict(frames, length=0)),
        ("at least one frame", lambda: model.predict(frames, count=0)),
    ):
        with pytest.raises(UserError, match=text):
            call()
    model.save(tmp_path / "saved")
    with pytest.warns(UserWarning, match="are the saved ones, of the data that it was trained on"):
        again = vidgan.load(tmp_path / "saved", device="cpu")
    assert (again.statistics.taken, model.statistics.taken) == (False, True)
    assert torch.equal(again.predict(frames, count=3, seed=1), futures)


def test_motion_is_of_all_units_from_coarse_to_fine(predictor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    refine = sampler_file.refine

    def recorded(fields: list[torch.Tensor]) -> torch.Tensor:
        seen.append([field.shape[-1] for field in fields])
        return refine(fields)

    monkeypatch.setattr(sampler_file, "refine", recorded)
    data = SyntheticDataset(SyntheticSpec(size=32, frames=12, clips=4))
    model = vidgan.load(predictor, data=data, device="cpu")
    (level,) = model.experiment.levels
    model.predict(torch.zeros(level.context_frames, 3, level.size, level.size), count=1)
    sides, side = [], level.generator.side
    for stage in level.generator.stages:
        sides += [side] * sum(isinstance(layer, RecurrentSpec) for layer in stage.temporal)
        side *= 2 if stage.upsample else 1
    assert len(sides) > 1
    assert seen == [sides]


@pytest.mark.slow
def test_a_predictor_says_whether_its_statistics_were_saved(predictor: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(predictor, run)
    record = (run / "experiment.json").read_text()
    data = open_data("synthetic", tiny(preset(PREDICTOR)))
    (run / "experiment.json").write_text(record.replace("0123abcd", data.fingerprint))
    for cache, said, taken in (
        (None, "were taken anew", True),
        (tmp_path / "cache", "were taken anew", True),
        (tmp_path / "cache", "are the saved ones", False),
        (None, "were taken anew", True),  # nothing was written into the run
    ):
        with pytest.warns(UserWarning, match=f"{said}, of the data that it was trained on"):
            model = vidgan.load(run, device="cpu", cache=cache)
        assert model.statistics.taken == taken


@pytest.mark.slow
def test_levels_of_a_cascade(tmp_path: Path) -> None:
    run = runs.untrained(tmp_path / "run", tiny(preset(CASCADE)), CLASSES)
    model = vidgan.load(run.path, device="cpu")
    low, high = model.levels(2, seed=4)
    assert [video.shape[1] for video in (low, high)] == [level.frames for level in model.experiment.levels]
    torch.testing.assert_close(model.sample(2, seed=4), high, rtol=0, atol=1e-4)
    fed = model.levels(2, seed=4, lowest=low.flip(0))
    assert torch.equal(fed[0], low.flip(0))
    assert (fed[1] - high).abs().max() > 1e-3
    parts = list(model.stream(1, 3, seed=4))
    assert len(parts) > 1
    torch.testing.assert_close(torch.cat(parts), high[1], rtol=0, atol=1e-4)
    model.save(tmp_path / "saved")
    assert torch.equal(vidgan.load(tmp_path / "saved", device="cpu").levels(2, seed=4)[1], high)


SCRIPT = """
import sys
import torch
import vidgan

model = vidgan.load(sys.argv[1], device="cpu")
video = model.sample(2, classes=["disc-right"], seed=0)
vidgan.save_video(video[0], sys.argv[2], fps=12)
"""


@pytest.mark.slow
def test_ten_lines_in_a_process_of_their_own(run: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(run), "disc.npy"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    video = vidgan.load(run, device="cpu").sample(2, classes=["disc-right"], seed=0)[0]
    assert np.array_equal(np.load(tmp_path / "disc.npy"), to_bytes(video[None])[0])
