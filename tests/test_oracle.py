"""The oracle is right on real clips, blind on what shows no class, and cannot be talked into a yes."""

import numpy as np
import pytest

from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.evaluation.oracle import recognise
from vidgan.evaluation.protocols.base import EvaluationBatch, Resources, Score, Table
from vidgan.evaluation.protocols.metrics import ClassAccuracy
from vidgan.evaluation.protocols.pixels import OracleLabels
from vidgan.sample.video_io import Videos


def clips(size: int, count: int) -> tuple[Videos, np.ndarray, tuple[str, ...]]:
    dataset = SyntheticDataset(SyntheticSpec(size=size))
    videos = np.stack([dataset.read(i, 0, 8) for i in range(count)])
    labels = np.array([dataset.info(i).label for i in range(count)])
    return videos, labels, dataset.classes


@pytest.fixture(scope="module")
def real() -> tuple[Videos, np.ndarray, tuple[str, ...]]:
    return clips(24, 400)


def undecided(videos: Videos) -> float:
    return float(np.mean([None in seen for seen in recognise(videos)]))


def score(videos: Videos, labels: np.ndarray, classes: tuple[str, ...]) -> Score:
    """By the features and the metric of oracle-accuracy."""
    rows = OracleLabels().open(Resources(), classes).rows(EvaluationBatch(videos, labels))
    return ClassAccuracy().against(None)(Table(rows, labels, classes))


@pytest.mark.slow
@pytest.mark.parametrize(("size", "count"), [(24, 400), (32, 200)])
def test_right_on_real_clips(size: int, count: int) -> None:
    videos, labels, classes = clips(size, count)
    assert score(videos, labels, classes).value >= 0.99


@pytest.mark.slow
def test_right_on_thousands() -> None:
    videos, labels, classes = clips(24, 2400)
    result = score(videos, labels, classes)
    assert result.value >= 0.99
    assert min(result.values["per_class"].values()) >= 0.98


@pytest.mark.slow
def test_bears_noise_and_blur(real: tuple[Videos, np.ndarray, tuple[str, ...]]) -> None:
    videos, labels, classes = real
    blurred = videos.astype(float)
    for axis in (2, 3):
        blurred = 0.7 * blurred + 0.15 * (np.roll(blurred, 1, axis) + np.roll(blurred, -1, axis))
    noise = np.random.default_rng(0).normal(0, 8, videos.shape)
    assert score((blurred + noise).clip(0, 255).astype(np.uint8), labels, classes).value >= 0.95


def test_sees_nothing_where_nothing_is(real: tuple[Videos, np.ndarray, tuple[str, ...]]) -> None:
    rng = np.random.default_rng(1)
    videos = real[0][:60]
    assert undecided(rng.integers(0, 256, (20, 8, 24, 24, 3), dtype=np.uint8)) == 1
    assert undecided(np.full((4, 8, 24, 24, 3), 90, np.uint8)) == 1
    assert undecided(np.repeat(videos[:, :1], 8, axis=1)) == 1  # frozen
    shuffled = videos[:, [3, 6, 1, 7, 0, 5, 2, 4]]
    assert undecided(shuffled) == 1
    faded = (videos[:, :1, :1, :1].astype(float) * 0.9 + videos * 0.1).astype(np.uint8)
    assert undecided(faded) == 1


@pytest.mark.slow
def test_time_reversed_is_not_the_class(real: tuple[Videos, np.ndarray, tuple[str, ...]]) -> None:
    videos, labels, classes = real
    assert score(videos[:, ::-1], labels, classes).value == 0


def test_table_counts_what_was_asked_and_seen(real: tuple[Videos, np.ndarray, tuple[str, ...]]) -> None:
    videos, labels, classes = real
    wrong = (labels[:80] + 1) % len(classes)
    result = score(videos[:80], wrong, classes)
    assert result.value == 0
    assert result.table is not None
    assert result.table["columns"] == [*classes, "none"]
    counts = np.array(result.table["counts"])
    asked, seen = np.nonzero(counts)
    assert ((asked - seen) % len(classes) == 1).all()
    assert counts.sum() == 80


def test_classes_of_the_demo() -> None:
    names = SyntheticDataset(SyntheticSpec()).classes
    assert names == (
        "disc-right", "disc-left", "disc-down", "disc-grow",
        "square-right", "square-left", "square-down", "square-grow",
    )  # fmt: skip
