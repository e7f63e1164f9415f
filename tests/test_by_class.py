"""Scores class by class, and how much each class moves (SSW-GAN, G)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import require_one_line, vidgan
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError
from vidgan.evaluation.clips import CopiedClips, DataClips, PairedClips
from vidgan.evaluation.measure import bootstrap
from vidgan.evaluation.metrics.features import frechet_distance
from vidgan.evaluation.metrics.frames import mean_motion
from vidgan.evaluation.protocols.base import Draw, Table
from vidgan.evaluation.protocols.metrics import (
    ByClass,
    FrechetDistance,
    InceptionScore,
    MotionByClass,
    PrecisionRecall,
)
from vidgan.report.compare import by_class, rank_correlation
from vidgan.run.logs import read_lines
from vidgan.sample.video_io import write_clip

Capture = pytest.CaptureFixture[str]


def features(labels: list[int], classes: tuple[str, ...], seed: int) -> Table:
    rows = np.random.default_rng(seed).normal(size=(len(labels), 3)) + np.array(labels)[:, None]
    return Table({"features": rows, "logits": rows}, np.array(labels), classes)


def test_a_class_is_scored_against_its_own() -> None:
    """By name, whatever its number is on either side; one clip is too few."""
    real = features([0, 1] * 6, ("up", "down"), 0)
    fake = features([1, 2] * 5 + [0], ("still", "down", "up"), 1)
    result = ByClass(score=FrechetDistance()).against(real)(fake)
    one, other = real.rows["features"], fake.rows["features"]
    expected = {
        "down": frechet_distance(other[0:10:2], one[1::2]),
        "up": frechet_distance(other[1:10:2], one[0::2]),
    }
    assert result.values["per_class"] == pytest.approx(expected)
    assert result.value == pytest.approx(np.mean(list(expected.values())))
    assert result.values["evaluated_clips_per_class"] == {"down": 5, "up": 5}
    assert result.values["real_clips_per_class"] == {"up": 6, "down": 6}
    scores = ByClass(score=InceptionScore()).against(None)(fake)
    assert list(scores.values["per_class"]) == ["down", "up"]
    assert np.isnan(ByClass(score=FrechetDistance()).against(features([0, 0], ("other",), 0))(fake).value)


def test_resamples_have_as_many_clips_of_each_class() -> None:
    """Scores of classes that do not vary within do not vary; drawn at large, a class would be missing at times."""
    labels = np.array([0, 0, 1, 1, 1, 2, 2])
    table = Table({"motion": labels[:, None] * 1.0}, labels, ("a", "b", "c"))
    metric = MotionByClass()
    deviation = bootstrap(metric, metric.against(table.take(np.arange(2, 7))), table, 0)
    assert deviation is not None
    assert deviation.value == 0


def test_motion_is_the_difference_of_neighbouring_frames() -> None:
    videos = np.zeros((2, 3, 2, 2, 3), np.uint8)
    videos[1, 1] = 51
    videos[1, 2] = 255
    np.testing.assert_allclose(mean_motion(videos), [0, (51 + 204) / 2 / 255])


def test_only_some_classes_are_drawn() -> None:
    data = SyntheticDataset(SyntheticSpec(size=16, frames=4, clips=32))
    names = data.classes[5], data.classes[2]
    clips = DataClips(data, WindowSpec(size=16, frames=4), Draw(count=6, shuffled=True), 0, names)
    assert clips.count == 6
    assert set(clips.read(range(6)).labels.tolist()) == {2, 5}


def test_files_by_class(tmp_path: Path, capsys: Capture) -> None:
    """Still clips of one class, flickering ones of another; the second is made too dark."""
    real, fake = tmp_path / "real", tmp_path / "fake"
    rng = np.random.default_rng(0)
    for folder, gain in ((real, 1.0), (fake, 0.5)):
        for name in ("still", "flicker"):
            (folder / name).mkdir(parents=True)
            for number in range(6):
                clip = rng.integers(0, 256, (4, 16, 16, 3), np.uint8)
                clip = np.repeat(clip[:1], 4, 0) if name == "still" else (clip * gain).astype(np.uint8)
                write_clip(folder / name / f"{number}.npy", clip, 8.0)
    names = ("motion-by-class", "frechet-random-by-class")
    require_one_line(vidgan(capsys, "compare", fake, "--by-class"), "vidgan evaluate")
    answer = vidgan(capsys, "evaluate", fake, "--real", real, "--protocol", *names)
    assert answer.status == 0, answer.err
    moves, scores = (line["values"] for line in read_lines(tmp_path / "fake.metrics.jsonl"))
    assert moves["per_class"]["still"] == moves["real_motion_per_class"]["still"] == 0
    assert moves["per_class"]["flicker"] == pytest.approx(
        moves["real_motion_per_class"]["flicker"] / 2, rel=0.05
    )
    assert scores["per_class"]["flicker"] > scores["per_class"]["still"]
    answer = vidgan(capsys, "compare", fake, "--by-class")
    assert answer.status == 0, answer.err
    assert [line.split()[0] for line in answer.out.splitlines()[3:5]] == ["flicker", "still"]
    require_one_line(
        vidgan(capsys, "evaluate", fake / "still", "--real", real, "--protocol", names[0]), "class by class"
    )


def test_too_few_clips_of_every_class_are_refused_before_they_are_read(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class that alone has too few is left out of the mean, which is said."""
    folders = real, fake, other = [tmp_path / name for name in ("real", "fake", "other")]
    for folder, clips in zip(folders, ({"a": 2, "b": 2}, {"a": 2, "b": 1}, {"c": 2, "d": 2}), strict=True):
        for name, number in clips.items():
            (folder / name).mkdir(parents=True)
            for n in range(number):
                write_clip(folder / name / f"{n}.npy", np.full((2, 16, 16, 3), 40 * n, np.uint8), 8.0)
    command = ("evaluate", fake, "--protocol", "motion-by-class", "frechet-random-by-class", "--real")
    answer = vidgan(capsys, *command, real)
    assert answer.status == 0, answer.err
    for line in read_lines(tmp_path / "fake.metrics.jsonl"):
        assert list(line["values"]["per_class"]) == ["a"]
        assert "of 2 classes, 1 have too few clips for a number: b" in line["warnings"]
    monkeypatch.setattr(DataClips, "read", None)
    monkeypatch.setattr("vidgan.evaluation.evaluated.ModelSamples.prepare", None)
    for short in (("--clips", 2, "--real", real), ("--real", other)):
        answer = vidgan(capsys, "evaluate", fake, "--protocol", "frechet-random-by-class", *short)
        require_one_line(answer, "2 clips or more of a class", "--clips")


def test_a_score_within_classes_says_how_many_clips_it_takes() -> None:
    metric = ByClass(score=PrecisionRecall(k=3))
    assert metric.scored({"a": 4, "b": 1}, {"a": 4, "b": 9}) == ["a"]
    with pytest.raises(UserError, match="4 clips or more, and there are 3"):
        metric.scored({"a": 4, "b": 3}, {"a": 4, "b": 9})


def test_classes_are_known_before_clips_are_made() -> None:
    """Those that are counted beforehand are those of the clips."""
    data = SyntheticDataset(SyntheticSpec(size=16, frames=4, clips=32))
    window = WindowSpec(size=16, frames=4)
    some = DataClips(data, window, Draw(count=7, shuffled=True), 3)
    copies = CopiedClips(some, 9, 2, True, 4)
    pairs = PairedClips(DataClips(data, window, Draw(count=14), 0), some, 2)
    for clips in (some, copies, pairs):
        labels, known = clips.read(range(clips.count)).labels.tolist(), clips.known_labels()
        assert [known[n % len(known)] for n in range(clips.count)] == labels
        assert clips.per_class() == {
            clips.classes[label]: labels.count(label) for label in sorted(set(labels))
        }
    many = CopiedClips(some, 99_999_999, 2, True, 4).per_class()  # at no cost
    assert sum(many.values()) == 99_999_999


def test_the_table_goes_from_most_motion_to_least() -> None:
    real = {"a": 0.1, "b": 0.4, "c": 0.2, "d": 0.3}
    motions: dict[str, Any] = {
        "per_class": real,
        "real_motion_per_class": real,
        "real_clips_per_class": dict.fromkeys(real, 9),
    }
    scores = {"a": 4.0, "b": 1.0, "c": 3.0}
    rows = by_class({"values": motions}, {"fid-k600-by-class": {"values": {"per_class": scores}}})
    assert [row[0] for row in rows[1:5]] == ["b", "d", "c", "a"]
    assert [row[3] for row in rows] == ["fid-k600", "1", "–", "3", "4", "1", "3.5", "−1"]
    assert rank_correlation(
        {"x": 1, "y": 2, "z": 3, "w": 3}, {"x": 5, "y": 7, "z": 9, "w": 9}
    ) == pytest.approx(1)
