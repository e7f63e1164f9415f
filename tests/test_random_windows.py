"""Windows at random places that a cascade's top level makes as in training, against whole videos cut by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from cascades import GRU, SEPARABLE, frozen_level, level_spec, random, whole_videos
from commands import require_one_line, vidgan
from test_levels_command import save_run
from vidgan.errors import UserError
from vidgan.models.cascade import by_label, sample_alone
from vidgan.models.generator import Generator, from_below
from vidgan.nn.norm import Clock, StandingStatistics
from vidgan.run.batch import BatchSpec
from vidgan.run.distributed import Replicas, end_process_group
from vidgan.run.experiment import Experiment, StandingStatisticsSpec, TrainingSpec
from vidgan.run.logs import read_lines
from vidgan.sample import standing
from vidgan.sample.load import load
from vidgan.sample.pieces import Piece
from vidgan.sample.sampler import window_starts
from vidgan.sample.standing import StatisticsStore
from vidgan.sample.video_io import to_bytes
from vidgan.sample.windows import window_levels

LEVELS = (level_spec(6, 2, 4, GRU), level_spec(12, 4, 2, SEPARABLE, window=6))
THREE = (*LEVELS, level_spec(24, 8, 1, SEPARABLE, window=8))
Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("levels", [LEVELS, THREE], ids=["two levels", "three"])
def test_a_window_is_made_of_its_input_alone(levels: tuple[object, ...]) -> None:
    """The input is cut out of whole videos; what the top level makes of it knows nothing beyond, nor where it lies."""
    cascade = [frozen_level(levels, index) for index in range(len(levels))]  # type: ignore[arg-type]
    label, starts = torch.tensor([0, 2, 1]), torch.tensor([0, 1, 3])
    draws = [random(3, 3, seed=index) for index in range(len(levels))]
    noise = lambda level, dimension: draws[level]  # noqa: E731
    *below, top = cascade
    low = whole_videos(below, noise, label)[-1]
    frames = top.spec.trained_frames
    naive = [
        top.generator.generate(
            draws[-1][[row]],
            top.generator.embed(label[[row]]),
            frames,
            top.statistics,
            from_below(low[[row], start : start + frames // 2]),
            Clock(),
        )
        for row, start in enumerate(starts.tolist())
    ]
    made = sample_alone(cascade, noise, by_label(label), starts, frames)
    assert made.shape == (3, frames, 3, top.spec.size, top.spec.size)
    assert torch.allclose(made, torch.cat(naive), rtol=0, atol=1e-12)
    cut = whole_videos(cascade, noise, label)[-1][:1, :frames]
    assert not torch.allclose(made[:1], cut, atol=1e-3), "the window sees what lies beyond it"


def test_clips_are_functions_of_their_numbers(tmp_path: Path) -> None:
    """Places differ between clips and seeds; a clip does not depend on its neighbours."""
    model = load(save_run(tmp_path / "run", LEVELS), device="cpu")
    made = model.sample(6, window=6, seed=3)
    assert made.shape == (6, 6, 3, 8, 8)
    assert torch.allclose(made[4:], model.sample(2, window=6, seed=3, first=4), atol=1e-5)
    starts = window_starts(3, range(200), 4)
    assert sorted(set(starts.tolist())) == [0, 1, 2, 3]
    assert not torch.equal(starts, window_starts(4, range(200), 4))
    table = model.sampler(window=6).levels[-1].statistics
    assert isinstance(table, StandingStatistics)
    assert {len(rows) for rows in table.table.values()} == {6}
    assert model.sampler(window=6) is model.sampler(window=6)
    assert model.sampler(window=4) is not model.sampler(window=6)
    low = model.sampler(window=6).levels[0]
    assert low.spec.frames == 6, "level 1 makes its whole video"


def test_statistics_are_those_of_windows(tmp_path: Path) -> None:
    """With one pass they are the moments of its batch: the batch's own statistics make the same videos."""
    model = load(save_run(tmp_path / "run", LEVELS), device="cpu")
    training = model.experiment.training
    clips = training.standing_statistics.clips  # in one piece
    batch = training.batch.replace(global_batch=clips, micro_batch=clips)
    model.experiment = model.experiment.replace(training=training.replace(batch=batch))
    seen = []
    top = model.generators[-1]
    record = top.generate

    def generate(*args, **kwargs):  # type: ignore[no-untyped-def]
        seen.append(args)
        return record(*args, **kwargs)

    top.generate = generate  # type: ignore[method-assign]
    standing = model.sampler(window=6).levels[-1].statistics
    ((z, embedded, steps, recorded, below, clock, _),) = seen
    assert (steps, clock.start) == (6, 0)
    first, second = (record(z, embedded, steps, kind, below, clock) for kind in (recorded, standing))
    assert torch.allclose(first, second, atol=1e-4)


def window_tables(replicas: Replicas = Replicas()) -> list[dict[str, Tensor]]:
    """Standing statistics of three levels in float64, of two batches of five clips, which two share unevenly."""
    spec = StandingStatisticsSpec(batches=2, clips=5)
    training = TrainingSpec(standing_statistics=spec, batch=BatchSpec(global_batch=4), bf16=False)
    experiment = Experiment(name="x", levels=THREE, classes=3, training=training)
    generators = [frozen_level(THREE, index).generator for index in range(3)]
    levels = window_levels(experiment, generators, [1, 2, 1], StatisticsStore(), 4, spec, replicas)
    return [level.statistics.table for level in levels if isinstance(level.statistics, StandingStatistics)]


def replica(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.set_num_threads(1)
    passed, real = list[int](), standing.pass_in_pieces

    def counted(generator: Generator, pieces: Sequence[Piece], *more: Any) -> None:
        passed.append(sum(len(piece.z) for piece in pieces))
        real(generator, pieces, *more)

    standing.pass_in_pieces = counted
    try:
        tables = window_tables(Replicas(rank, 2, dist.group.WORLD))
        torch.save((tables, passed), f"{folder}/{rank}.pt")
    finally:
        end_process_group()


@pytest.mark.slow
def test_two_processes_come_to_the_statistics_of_one(tmp_path: Path) -> None:
    spawn(replica, (str(tmp_path),), nprocs=2)
    alone = window_tables()
    for rank in range(2):
        shared, passed = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert passed == [(3, 2)[rank]] * 6, "each passes its part of every batch of every level"
        assert len(shared) == len(alone) == 3
        for found, expected in zip(shared, alone, strict=True):
            assert found.keys() == expected.keys()
            for key, rows in expected.items():
                torch.testing.assert_close(found[key], rows, rtol=1e-12, atol=1e-12, msg=key)


@pytest.mark.parametrize(("frames", "said"), [(5, "multiple of 2"), (14, "2 to 12"), (0, "2 to 12")])
def test_lengths_that_no_window_has(frames: int, said: str, tmp_path: Path) -> None:
    model = load(save_run(tmp_path / "run", LEVELS), device="cpu")
    with pytest.raises(UserError, match=said):
        model.sample(1, window=frames)


def test_a_model_of_one_level_has_none(tmp_path: Path) -> None:
    model = load(save_run(tmp_path / "run", LEVELS[:1]), device="cpu")
    with pytest.raises(UserError, match="one level"):
        model.sample(1, window=2)


@pytest.mark.slow
def test_they_are_sampled_and_measured_by_commands(tmp_path: Path, capsys: Capture) -> None:
    run, out = save_run(tmp_path / "run", LEVELS), tmp_path / "clips"
    call = ("sample", str(run), "--random-window", "--clips", "3", "--format", "npy", "--device", "cpu")
    assert vidgan(capsys, *call, "--out", str(out)).status == 0
    made = [np.load(path) for path in sorted(out.iterdir())]
    assert [clip.shape for clip in made] == [(6, 8, 8, 3)] * 3, "the trained window by default"
    expected = to_bytes(load(run, device="cpu").sample(3, window=6)).numpy()
    assert np.abs(np.stack(made).astype(int) - expected).max() <= 1
    assert vidgan(capsys, *call, "--frames", "4", "--out", str(tmp_path / "short")).status == 0
    refused = vidgan(capsys, *call, "--levels", "--out", str(tmp_path / "none"))
    require_one_line(refused, "whole videos")
    measured = ("evaluate", str(run), "--protocol", "psd", "--positions", "1", "4", "--data", "synthetic")
    measured += ("--clips", "4", "--real-clips", "4", "--frames", "4", "--device", "cpu")
    answer = vidgan(capsys, *measured, "--random-window")
    assert answer.status == 0, answer.err
    assert vidgan(capsys, *measured).status == 0
    windows, firsts = read_lines(run / "metrics.jsonl")
    assert windows["settings"]["sampling"]["random_window"]
    assert (windows["settings"]["source"]["whole"], firsts["settings"]["source"]["whole"]) == (4, 12)
    assert windows["value"] != firsts["value"]
    shown = vidgan(capsys, "compare", str(run))
    assert "random windows" in shown.out
    pairs = ("evaluate", str(run), "--protocol", "psnr-below", "--random-window", "--device", "cpu")
    require_one_line(vidgan(capsys, *pairs, "--data", "synthetic", "--clips", "2"), "whole videos")
