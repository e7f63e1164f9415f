"""Chunks of upper levels against whole videos, and what is held while they are made."""

import itertools
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import catalog
import runs
from cascades import (
    GRU,
    LABELS,
    SEPARABLE,
    frozen_level,
    level_spec,
    random,
    same_noise,
    smaller,
    ssw_levels,
    whole_videos,
)
from commands import require_one_line, vidgan
from vidgan.errors import UserError
from vidgan.models.cascade import (
    FrozenLevel,
    by_label,
    chunks_of,
    halo_of,
    inputs_of,
    require_chunks,
    stream_chunks,
    whole,
)
from vidgan.models.level import LevelSpec
from vidgan.nn.norm import BatchNormAllFramesSpec
from vidgan.nn.recurrent import ConvGRUSpec
from vidgan.nn.temporal import RecurrentSpec, SelfAttentionSpec
from vidgan.run.batch import BatchSpec
from vidgan.run.experiment import Experiment, StandingStatisticsSpec
from vidgan.sample.standing import statistics_of_level
from vidgan.sample.video_io import write_stream
from vidgan.train.plan import LiveTensors

CPU = torch.device("cpu")
TWO = (level_spec(9, 1, 2, GRU), level_spec(18, 2, 1, SEPARABLE))
THREE = (level_spec(6, 1, 6, GRU), level_spec(12, 2, 3, SEPARABLE), level_spec(36, 4, 1, SEPARABLE, count=1))


def frozen(levels: tuple[LevelSpec, ...]) -> list[FrozenLevel]:
    return [frozen_level(levels, index) for index in range(len(levels))]


def assert_chunks_are_crops(levels: tuple[LevelSpec, ...], lengths: tuple[int | None, ...]) -> None:
    """For every length of chunk: the parts are of that length, the last perhaps shorter, and join to the video."""
    label = torch.tensor([1, 0])

    def noise(level: int, dimension: int) -> Tensor:
        return random(2, dimension, seed=30 + level)

    with torch.no_grad():
        cascade = frozen(levels)
        expected = whole_videos(cascade, noise, label)[-1]
    for frames in lengths:
        parts = list(stream_chunks(cascade, noise, by_label(label), frames))
        total, made = levels[-1].frames, torch.cat(parts, dim=1)
        each = total if frames is None else min(frames, total)
        assert [part.shape[1] for part in parts[:-1]] == [each] * (len(parts) - 1)
        torch.testing.assert_close(made, expected, rtol=0, atol=1e-10)
    assert (expected[:, 1:] - expected[:, :-1]).abs().amax((2, 3, 4)).min() > 1e-3  # frames can be told apart


@pytest.mark.slow
def test_any_chunk_of_two_levels() -> None:
    assert_chunks_are_crops(TWO, (1, 2, 3, 4, 7, 17, 18, 100, None))


@pytest.mark.slow
def test_any_chunk_of_three_levels() -> None:
    assert_chunks_are_crops(THREE, (1, 5, 7, 12, 35, 36, None))


@pytest.mark.slow
def test_chunks_of_the_preset() -> None:
    """Five units of two temporal convolutions each, so ten frames on either side; at 8x8 and 16x16 pixels."""
    low, high = (smaller(level, 1) for level in ssw_levels(14))
    assert halo_of((low, high), 1) == 10
    assert_chunks_are_crops((low, high), (7,))


def test_a_recurrent_upper_level_runs_whole() -> None:
    assert_chunks_are_crops((level_spec(4, 1, 2, GRU), level_spec(8, 2, 1, GRU)), (None,))


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 20])
@pytest.mark.parametrize(("factor", "count"), [(1, 1), (2, 2), (3, 1)])
def test_a_chunk_computes_its_halo_and_whole_input_frames(frames: int, factor: int, count: int) -> None:
    total = 18
    levels = (
        level_spec(total // factor, 1, factor, GRU),
        level_spec(total, 2, 1, SEPARABLE, count=count),
    )
    chunks = chunks_of(levels, 1, frames)
    kept = [chunk.start + chunk.lead + i for chunk in chunks for i in range(chunk.frames)]
    assert kept == list(range(total))
    for chunk in chunks:
        computed = set(range(chunk.start, chunk.start + chunk.steps))
        first = chunk.start + chunk.lead
        needed = {t for t in range(first - 2 * count, first + chunk.frames + 2 * count) if 0 <= t < total}
        assert needed <= computed <= set(range(total))
        assert chunk.start % factor == chunk.steps % factor == 0
        assert len(computed) < len(needed) + 2 * factor  # no more than needed
    assert chunks_of(levels, 1, None) == [whole(total)]
    assert chunks_of(levels, 0, frames) == [whole(total // factor)]


def test_what_a_chunk_is_made_from() -> None:
    video = random(2, 9, 3, 2, 2)
    for lengths in ([9], [1] * 9, [4, 4, 1], [2, 3, 4]):
        chunks = chunks_of(TWO, 1, 5)
        for chunk, given in zip(chunks, inputs_of(chunks, iter(video.split(lengths, 1)), 2), strict=True):
            low, high = chunk.start // 2, (chunk.start + chunk.steps) // 2
            assert torch.equal(given, video[:, low:high])


# What cannot be cut


def test_layers_that_see_the_whole_video_are_refused_by_name() -> None:
    low = level_spec(3, 1, 2, GRU)
    units = {"ConvGRU": RecurrentSpec(unit=ConvGRUSpec()), "SelfAttention": SelfAttentionSpec()}
    for name, temporal in units.items():
        levels = (low, level_spec(6, 2, 1, temporal))
        with pytest.raises(
            UserError, match=f"level 2 cannot be made in chunks: a frame of its {name} depends"
        ):
            require_chunks(levels)
        with pytest.raises(UserError, match=name):
            next(stream_chunks(frozen(levels), same_noise(1), by_label(torch.tensor([0])), 2))
    high = level_spec(6, 2, 1, SEPARABLE)
    for field in ("norm", "final_norm"):
        joined = high.generator.replace(**{field: BatchNormAllFramesSpec()})
        with pytest.raises(UserError, match=r"level 2 .* statistics over all frames at once"):
            require_chunks((low, high.replace(generator=joined)))
    with pytest.raises(UserError, match="this model has one level"):
        require_chunks((low,))
    require_chunks((low, high))


def test_sample_refuses_what_cannot_be_written_part_by_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before a checkpoint is looked for: these runs have none."""
    cascade = runs.cascade(tmp_path / "cascade").path
    ask = ("--out", tmp_path / "out", "--chunk")
    require_one_line(vidgan(capsys, "sample", cascade, *ask, 0), "--chunk must be at least 1")
    require_one_line(vidgan(capsys, "sample", cascade, *ask, 4, "--format", "webp"), "mp4", "webp")
    require_one_line(vidgan(capsys, "sample", cascade, *ask, 4, "--grid"), "--grid")
    assert not (tmp_path / "out").exists()


# Statistics


@pytest.mark.slow
@pytest.mark.parametrize("levels", [TWO, THREE])
def test_statistics_in_chunks_are_the_same_moments(levels: tuple[LevelSpec, ...]) -> None:
    """At every layer and step, of two passes that are conditioned on videos made in parts (SSW-GAN, A)."""
    training = catalog.experiments()["ssw-gan-k600-48x128"].training
    batch = BatchSpec(global_batch=2, micro_batch=2)
    experiment = Experiment(name="x", levels=levels, classes=LABELS, training=training.replace(batch=batch))
    *below, top = frozen(levels)
    spec, labels = StandingStatisticsSpec(batches=2, clips=3), (1, 1, 1)
    whole_table, *tables = (
        statistics_of_level(experiment, len(below), top.generator, below, labels, None, spec, chunk)
        for chunk in (None, 1, 7)
    )
    assert {len(rows) for rows in whole_table.values()} == {levels[-1].frames}
    assert all(rows.dtype == torch.float64 for rows in whole_table.values())
    for table in tables:
        torch.testing.assert_close(table, whole_table, rtol=0, atol=1e-10)
    last = whole_table["final_norm/mean"]
    assert last.std(0).min() > 1e-3  # rows out of place would be seen


# Memory


def levels_of(frames: int) -> tuple[LevelSpec, ...]:
    return (
        level_spec(frames // 4, 1, 4, GRU),
        level_spec(frames // 2, 2, 2, SEPARABLE),
        level_spec(frames, 4, 1, SEPARABLE),
    )


@pytest.mark.slow
def test_the_memory_of_upper_levels_does_not_grow_with_the_video() -> None:
    peaks = {}
    for frames in (40, 100):
        cascade = frozen(levels_of(frames))
        parts = stream_chunks(cascade, same_noise(1), by_label(torch.tensor([0])), 8)
        with LiveTensors() as live:
            next(parts)  # level 1 is whole by now
            held = live.now
            live.most = live.now
            for _ in parts:
                pass
            peaks[frames] = live.most - held
        low = cascade[0].spec
        grown = 8 * 3 * low.size**2 * low.frames  # level 1's video
        assert grown < held
    assert peaks[100] < 1.05 * peaks[40]


def frames_of(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("sides", [(16, 24), (15, 17)])
def test_frames_are_written_as_they_come(tmp_path: Path, sides: tuple[int, int]) -> None:
    ramp = np.linspace(20, 220, 30).astype(np.uint8)

    def frames() -> Iterator[NDArray[np.uint8]]:
        return (np.full((*sides, 3), value, np.uint8) for value in ramp)

    write_stream(tmp_path / "a.mp4", frames(), 12)
    found = frames_of(tmp_path / "a.mp4")
    assert [frame.shape for frame in found] == [(16, 24, 3) if sides[0] == 16 else (16, 18, 3)] * 30
    assert np.abs(np.array([frame.mean() for frame in found]) - ramp).max() < 3


def test_writing_holds_no_more_than_a_few_frames(tmp_path: Path) -> None:
    side, count = 64, 600
    frame = np.zeros((side, side, 3), np.uint8)
    tracemalloc.start()
    write_stream(tmp_path / "a.mp4", (frame + np.uint8(i % 200) for i in range(count)), 12)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < count * frame.nbytes / 10


def test_a_stream_that_breaks_leaves_no_file(tmp_path: Path) -> None:
    def broken() -> Iterator[NDArray[np.uint8]]:
        yield from itertools.repeat(np.zeros((8, 8, 3), np.uint8), 3)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_stream(tmp_path / "a.mp4", broken(), 12)
    assert list(tmp_path.iterdir()) == []
