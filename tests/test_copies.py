"""Whether a model only remembers: alignment in time, copies told from new clips, collapsed classes, jumps."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

import runs
from commands import require_one_line, snapshot, vidgan
from vidgan.data.dataset import ClipInfo, Dataset, Frames
from vidgan.data.layouts import Strips
from vidgan.data.open import open_dataset
from vidgan.data.prepare import prepare_by
from vidgan.data.store import PrepareSpec
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError
from vidgan.evaluation.memorisation import (
    ClassDiversity,
    Copying,
    Nearest,
    NetworkFeatures,
    Pixels,
    Queries,
    compare_each_real,
    compare_nearest,
    diversity,
    group_of,
    jump,
    nearest_videos,
    real_clips,
)
from vidgan.evaluation.metrics.frames import aligned_distances, pair_distances
from vidgan.evaluation.protocols import protocol
from vidgan.evaluation.protocols.base import Resources
from vidgan.presets import preset
from vidgan.run.tiny import tiny
from vidgan.sample.load import load
from vidgan.sample.video_io import write_clip

Capture = pytest.CaptureFixture[str]
Bytes = NDArray[np.uint8]
TRAINED = SyntheticSpec(size=16, frames=12, clips=24)
STEPS, STRIDE = 4, 2


class Recordings(Dataset):
    """Built-in clips, each of them twice: as it is, and a little brighter."""

    def __init__(self, clips: int) -> None:
        self._clips = SyntheticDataset(TRAINED.replace(clips=clips))

    @property
    def classes(self) -> tuple[str, ...]:
        return self._clips.classes

    @property
    def fingerprint(self) -> str:
        return ""

    def __len__(self) -> int:
        return 2 * len(self._clips)

    def info(self, index: int) -> ClipInfo:
        return self._clips.info(index % len(self._clips))

    def read(self, index: int, start: int, frames: int, stride: int = 1) -> Frames:
        copy, original = divmod(index, len(self._clips))
        return np.minimum(self._clips.read(original, start, frames, stride), 250) + np.uint8(2 * copy)


def windows(dataset: Dataset, starts: list[int]) -> Queries:
    """A window of each clip, from these frames on in turns."""
    videos = [dataset.read(i, starts[i % len(starts)], STEPS, STRIDE) for i in range(len(dataset))]
    labels = [dataset.info(i).label for i in range(len(dataset))]
    return Queries(np.stack(videos), np.array(labels), [None] * len(dataset))


def neighbours(queries: Queries, dataset: Dataset) -> list[Nearest]:
    labels = list(range(len(dataset.classes)))
    return nearest_videos(queries, dataset, labels, STRIDE, Pixels(), lambda done: None)


def with_noise(clips: Bytes, amount: float) -> Bytes:
    noise = np.random.default_rng(5).normal(0, amount, clips.shape)
    return np.clip(clips + noise, 0, 255).round().astype(np.uint8)


def blurred(clips: Bytes) -> Bytes:
    frames = clips.reshape(-1, *clips.shape[2:])
    soft = [np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(4))) for frame in frames]
    return np.stack(soft).reshape(clips.shape)


def test_alignment_is_that_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (2, 3, 4, 4, 3), dtype=np.uint8)
    video = rng.integers(0, 256, (9, 4, 4, 3), dtype=np.uint8)
    expected = [
        [
            np.sqrt(((clip / 255 - video[start : start + 2 * 2 + 1 : 2] / 255) ** 2).mean())
            for start in range(9 - 2 * 2)
        ]
        for clip in clips
    ]
    np.testing.assert_allclose(aligned_distances(clips, video, 2), expected, rtol=1e-12)
    assert aligned_distances(clips, video[:4], 2).shape == (2, 0)
    (pair,) = pair_distances(clips)
    assert pair == pytest.approx(np.sqrt(((clips[0] / 255 - clips[1] / 255) ** 2).mean()))


def test_the_nearest_video_of_the_class_is_found_at_its_place_in_time() -> None:
    dataset = SyntheticDataset(TRAINED)
    queries = windows(dataset, [3, 0, 5])
    for index, near in enumerate(neighbours(queries, dataset)):
        assert (near.video, near.start, near.distance) == (index, [3, 0, 5][index % 3], 0.0)
        assert near.ratio == 0
    # A clip's own recording does not count where it is a training clip itself.
    apart = neighbours(queries._replace(own=list(range(len(dataset)))), dataset)
    labels = queries.labels
    assert all(near.video != i and labels[near.video] == labels[i] for i, near in enumerate(apart))
    assert all(near.distance <= near.other for near in apart)


def test_clips_of_one_recording_are_not_each_others_rivals(monkeypatch: pytest.MonkeyPatch) -> None:
    """UCF-101 cuts several clips from a recording: the second of them must not make a copy look unlike one."""
    dataset = Recordings(16)
    queries = windows(SyntheticDataset(TRAINED.replace(clips=16)), [1])
    assert max(near.other for near in neighbours(queries, dataset)) < 0.01
    monkeypatch.setattr("vidgan.evaluation.memorisation.group_of", lambda dataset, index: index % 16)
    found = neighbours(queries, dataset)
    assert min(near.other for near in found) > 0.01
    assert [near.video for near in found] == list(range(16))


@pytest.fixture(scope="module")
def real() -> list[Nearest]:
    """Neighbours of real clips that were not trained on."""
    return neighbours(
        windows(SyntheticDataset(TRAINED.replace(seed=9, clips=40)), [2]), SyntheticDataset(TRAINED)
    )


def copying_of(clips: Bytes, labels: NDArray[np.int64], real: list[Nearest]) -> Copying:
    queries = Queries(clips, labels, [None] * len(clips))
    return compare_nearest(neighbours(queries, SyntheticDataset(TRAINED)), real)


def test_remembered_clips_are_copies(real: list[Nearest]) -> None:
    trained = windows(SyntheticDataset(TRAINED), [0, 3])
    found = copying_of(with_noise(trained.videos, 8)[:20], trained.labels[:20], real)
    assert found.said == "copies"
    assert found.share > 0.9


def test_real_clips_that_were_held_out_are_none(real: list[Nearest]) -> None:
    others = windows(SyntheticDataset(TRAINED.replace(seed=4, clips=40)), [1])
    found = copying_of(others.videos, others.labels, real)
    assert found.said == "no copies"
    assert found.share < 0.1


def test_real_clips_are_compared_with_each_other(real: list[Nearest]) -> None:
    found = compare_each_real(real)
    assert (found.said, len(found.copies)) == ("no copies", len(real))
    assert found.share <= 0.1
    # One that is a copy is told by the others, though limits that it sets itself would hide it.
    copy = real[0]._replace(distance=0.0, other=1.0)
    assert not compare_nearest([copy], [copy, copy]).copies[0]
    assert compare_each_real([copy, *real[1:]]).copies[0]


def test_a_real_clip_sets_no_limit_for_itself() -> None:
    """Of 21 clips the limit of the second is 1.9, between the first and the third; with itself it would be 1."""
    clips = [Nearest(i, 0, float(i), i, 100.0) for i in range(21)]
    clips[0] = clips[0]._replace(distance=1e-9)
    assert np.flatnonzero(compare_each_real(clips).copies).tolist() == [0, 1]


def test_real_clips_are_of_as_many_recordings_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    data = SyntheticDataset(TRAINED.replace(clips=48))
    monkeypatch.setattr("vidgan.evaluation.memorisation.group_of", lambda dataset, index: index // 4)
    found = real_clips(data, WindowSpec(size=16, frames=4), [0] * len(data.classes), 14, trained=True)
    assert len(found.own) == 14
    assert set(found.own[:12]) == set(range(12))


def test_a_class_with_one_recording_tells_no_copy_from_a_blur() -> None:
    near = Nearest(video=0, start=0, distance=0.01, group=0, other=np.inf)
    real = [near._replace(distance=0.1 + 0.01 * i) for i in range(9)]
    assert compare_nearest([near], real).said == "no copies"


def test_blurred_clips_are_near_to_everything_and_no_copies(real: list[Nearest]) -> None:
    others = windows(SyntheticDataset(TRAINED.replace(seed=4, clips=40)), [1])
    soft = blurred(others.videos)
    near = neighbours(Queries(soft, others.labels, [None] * 40), SyntheticDataset(TRAINED))
    assert np.median([each.distance for each in near]) < np.median([each.distance for each in real])
    assert compare_nearest(near, real).said == "no copies"


def test_features_of_a_network_find_copies_too() -> None:
    dataset = SyntheticDataset(TRAINED.replace(clips=16))
    queries = windows(dataset, [0, 4])
    opened = protocol("frechet-random").features.open(Resources(), dataset.classes)
    similarity = NetworkFeatures("frechet-random", opened, hop=4)
    found = nearest_videos(queries, dataset, list(range(8)), STRIDE, similarity, lambda done: None)
    assert [near.video for near in found] == list(range(16))
    assert [near.start for near in found] == [0, 4] * 8
    assert max(near.ratio for near in found) < 1e-3


def test_a_class_with_one_mode_is_named() -> None:
    dataset = SyntheticDataset(TRAINED)
    clips = windows(dataset, [0])
    fake = clips.videos.copy()
    stuck = clips.labels == 3
    fake[stuck] = with_noise(fake[stuck][:1].repeat(stuck.sum(), 0), 3)
    found = diversity(dataset.classes, fake, clips.labels, clips.videos, clips.labels)
    assert [each.name for each in found if each.collapsed] == [dataset.classes[3]]
    assert found[0].name == dataset.classes[3]
    assert all(each.ratio == 1 for each in found[1:])
    # As the collapse detector has it: docs/monitoring.md tells of 0.15.
    assert ClassDiversity("x", 0.149, 1.0).collapsed
    assert not ClassDiversity("x", 0.151, 1.0).collapsed


def test_a_jump_is_the_largest_step_over_the_mean() -> None:
    path = np.zeros((11, 2, 4, 4, 3), np.uint8)
    path[4:] = 200  # one step of ten goes all the way
    assert jump(path) == pytest.approx(10)
    smooth = np.broadcast_to(np.arange(11, dtype=np.uint8)[:, None, None, None, None] * 20, path.shape)
    assert jump(smooth) == pytest.approx(1)
    assert jump(path[:3]) == 1


def prepared(folder: Path) -> Path:
    """Built-in clips of all classes, prepared in ``folder``."""
    clips = SyntheticDataset(TRAINED.replace(size=24, frames=8))
    for index in range(len(clips)):
        own = folder / "videos" / clips.classes[clips.info(index).label]
        own.mkdir(parents=True, exist_ok=True)
        write_clip(own / f"{index}.png", clips.read(index, 0, 8), 8)
    prepare_by(folder / "videos", folder / "data", PrepareSpec(layout=Strips(), size=24), workers=0)
    return folder / "data"


@pytest.mark.slow
def test_the_command_draws_counts_and_tells(tmp_path: Path, capsys: Capture) -> None:
    data = prepared(tmp_path)
    run = tmp_path / "run"
    train = ["train", "demo", "--tiny", "--data", data, "--out", run, "--steps", 1, "--workers", 0]
    assert vidgan(capsys, *train, "--reporting.samples", 9).status == 0
    command = [
        "evaluate",
        run,
        "--memorisation",
        "--held-out",
        "synthetic",
        "--per-class",
        2,
        "--paths",
        2,
        "--points",
        4,
    ]
    said = vidgan(capsys, *command)
    assert said.status == 0, said.err
    assert "NO COPIES: 0 of 16 samples (0 %)" in said.out
    assert "each real clip evaluated by the others: no copies, " in said.out
    found = json.loads((run / "neighbours" / "neighbours.json").read_text())
    assert found["said"] == "no copies"
    assert len(found["samples"]) == len(found["real"]) == 16
    assert all(each["video"].startswith(f"{each['class']}/") for each in found["samples"])
    assert len(found["largest_over_mean_step"]) == 2
    names = {
        "neighbours.png",
        "neighbours.webp",
        "real-neighbours.png",
        "real-neighbours.webp",
        "neighbours.json",
    }
    assert {path.name for path in (run / "neighbours").iterdir()} == names
    with Image.open(run / "neighbours" / "neighbours.png") as image:
        frames = vidgan_frames(run)
        assert image.width == (2 * frames + 1) * 26 - 2
    # Without held-out clips training clips stand in, and need another recording of their class.
    assert vidgan(capsys, *command[:3], *command[5:], "--features", "frechet-random").status == 0
    require_one_line(vidgan(capsys, *command, "--classes", "disc"), "disc-")
    require_one_line(vidgan(capsys, *command, "--data", "synthetic"), "other classes")


def test_a_saved_model_is_examined_like_its_run(tmp_path: Path, capsys: Capture) -> None:
    data, saved = prepared(tmp_path), tmp_path / "saved"
    classes = open_dataset(data).classes
    run = runs.untrained(tmp_path / "run", tiny(preset("demo")), classes).path
    load(run, device="cpu").save(saved)
    kept = snapshot(saved)
    small = ("--memorisation", "--per-class", 2, "--paths", 1, "--points", 3, "--held-out", "synthetic")
    require_one_line(vidgan(capsys, "evaluate", saved, *small), str(saved), "saved model", "--data")
    require_one_line(vidgan(capsys, "evaluate", saved, *small, "--data", "synthetic"), "other classes")
    require_one_line(
        vidgan(capsys, "evaluate", saved, *small, "--data", data, "--checkpoint", 1), "one set of weights"
    )
    require_one_line(vidgan(capsys, "evaluate", tmp_path, *small, "--data", data), "not a run directory")
    require_one_line(vidgan(capsys, "evaluate", "hf:owner/name", *small, "--data", data), "--out")
    assert not (tmp_path / "saved.neighbours").exists()
    found = {}
    out = ("--out", tmp_path / "named")
    for place, more, folder in (
        (run, (), run / "neighbours"),
        (saved, (), tmp_path / "saved.neighbours"),
        (saved, out, tmp_path / "named"),
    ):
        answer = vidgan(capsys, "evaluate", place, *small, "--data", data, *more)
        assert answer.status == 0, answer.err
        assert f"pictures and numbers: {folder}" in answer.out
        # The run that is made by hand names other data.
        assert ("not exactly what" in answer.err) == (place == saved)
        found[folder] = snapshot(folder)
        numbers = json.loads(found[folder].pop("neighbours.json"))
        found[folder]["numbers"] = json.dumps(numbers | {"when": ""}).encode()
    first, second, third = found.values()
    assert len(first) == 5
    assert first == second == third
    assert snapshot(saved) == kept


def vidgan_frames(run: Path) -> int:
    """Frames that the run's model makes."""
    return int(json.loads((run / "experiment.json").read_text())["experiment"]["levels"][0]["frames"])


def test_a_class_with_a_single_video_is_named() -> None:
    dataset = SyntheticDataset(TRAINED.replace(clips=8))  # one of each class
    queries = windows(dataset, [0])
    alone = queries._replace(own=[group_of(dataset, index) for index in range(len(dataset))])
    with pytest.raises(
        UserError, match=rf"no other video of {dataset.classes[dataset.info(0).label]},.* held-out"
    ):
        neighbours(alone, dataset)
