"""What a level was given beside what it made of it: the videos of all levels, and the protocol psnr-below."""

from pathlib import Path

import numpy as np
import pytest
import torch

import runs
from cascades import GRU, SEPARABLE, frozen_level, level_spec, random, same_noise, whole_videos
from commands import require_one_line, vidgan
from vidgan.evaluation.clips import GeneratedClips
from vidgan.evaluation.protocols.base import EvaluationBatch, Resources, Sampling, Table
from vidgan.evaluation.protocols.metrics import MeanPerLevel
from vidgan.evaluation.protocols.pixels import LevelSimilarity
from vidgan.models.cascade import by_label, sample_levels
from vidgan.models.level import LevelSpec
from vidgan.run.batch import BatchSpec
from vidgan.run.experiment import Experiment, StandingStatisticsSpec, TrainingSpec
from vidgan.sample.model import Model
from vidgan.sample.video_io import to_bytes

CPU = torch.device("cpu")
LEVELS = (level_spec(4, 2, 4, GRU), level_spec(8, 4, 2, SEPARABLE), level_spec(16, 4, 1, SEPARABLE, count=3))
"""4x4, 8x8 and 16x16 pixels"""
NAMES = ("a", "b", "c")


def trained(levels: tuple[LevelSpec, ...]) -> Model:
    training = TrainingSpec(
        batch=BatchSpec(global_batch=2, micro_batch=2),
        standing_statistics=StandingStatisticsSpec(batches=1, clips=4),
    )
    experiment = Experiment(name="x", levels=levels, classes=3, training=training)
    generators = [frozen_level(levels, i).generator for i in range(len(levels))]
    return Model(experiment, generators, NAMES, 0, [1, 1, 1])


def test_the_videos_of_all_levels() -> None:
    label, noise = torch.tensor([2]), same_noise(1)
    with torch.no_grad():
        cascade = [frozen_level(LEVELS, index) for index in range(3)]
        expected = whole_videos(cascade, noise, label)
    made = sample_levels(cascade, noise, by_label(label))
    assert [video.shape[1:] for video in made] == [(4, 3, 4, 4), (8, 3, 8, 8), (16, 3, 16, 16)]
    for ours, theirs in zip(made, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    first = random(1, 4, 3, 4, 4).tanh()
    fed = sample_levels(cascade, noise, by_label(label), first)
    assert torch.equal(fed[0], first)
    assert (fed[2] - made[2]).abs().max() > 1e-3
    own = sample_levels(cascade, noise, by_label(label), made[0])
    torch.testing.assert_close(own[2], made[2], rtol=0, atol=1e-12)


def test_clips_of_all_levels_are_those_of_sampling() -> None:
    """In passes of two clips; the first level's videos may come from elsewhere."""
    model = trained(LEVELS)
    videos = model.levels(5, seed=3)
    torch.testing.assert_close(videos[-1], model.sample(5, [0, 1, 2], seed=3), rtol=0, atol=1e-9)
    fed = model.levels(5, NAMES, seed=3, lowest=videos[0].flip(0))
    assert torch.equal(fed[0], videos[0].flip(0))
    assert (fed[-1] - videos[-1]).abs().amax((1, 2, 3, 4))[[0, 1, 3, 4]].min() > 1e-3


def test_pairs_are_inputs_and_outputs_brought_down_to_them() -> None:
    model = trained(LEVELS)
    batch = GeneratedClips(model, Sampling(), 3, 4, 16, pairs=True).read(range(1, 4))
    low, middle, high = (to_bytes(v).numpy() for v in model.levels(3, seed=3, first=1))
    assert np.array_equal(batch.videos, high)
    assert batch.labels.tolist() == [1, 2, 0]
    expected = [(low, middle[:, ::2, ::2, ::2]), (middle, high[:, ::2, ::2, ::2])]
    for (given, output), (wanted, brought) in zip(batch.pairs, expected, strict=True):
        assert np.array_equal(given, wanted)
        assert np.array_equal(output, brought)


def test_psnr_below_by_its_formula() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 256, (2, 3, 5, 3, 5, 3), dtype=np.uint8) for _ in range(2))
    pairs = tuple(zip(first, second, strict=True))
    batch = EvaluationBatch(first[0], np.zeros(3, np.int64), pairs=pairs)
    rows = LevelSimilarity().open(Resources(), NAMES).rows(batch)
    assert rows["psnr"].shape == (3, 2)
    for clip in range(3):
        for level, (given, output) in enumerate(pairs):
            error = np.mean((given[clip].astype(float) - output[clip].astype(float)) ** 2)
            assert rows["psnr"][clip, level] == pytest.approx(10 * np.log10(255**2 / error))
    result = MeanPerLevel().against(None)(Table(rows, batch.labels, NAMES))
    assert result.value == pytest.approx(rows["psnr"][:, 1].mean())
    assert result.values == pytest.approx(
        {"level 2": rows["psnr"][:, 0].mean(), "level 3": rows["psnr"][:, 1].mean()}
    )


def test_what_has_one_level_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = runs.make_run(tmp_path / "run", classes=("disc-right", "disc-left")).path
    answer = vidgan(capsys, "evaluate", run, "--protocol", "psnr-below")
    require_one_line(answer, "levels of a cascade", "one level")
    np.save(tmp_path / "clips.npy", np.zeros((2, 3, 8, 8, 3), np.uint8))
    answer = vidgan(capsys, "evaluate", tmp_path / "clips.npy", "--protocol", "psnr-below")
    require_one_line(answer, "evaluate a run, not files")
