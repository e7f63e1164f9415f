"""Standing statistics in pieces of a batch, in chunks of time and over processes are those of the whole batch."""

import functools
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn

import catalog
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.errors import UserError
from vidgan.models.cascade import FrozenLevel, whole
from vidgan.models.generator import NOTHING, Conditioning, Generator
from vidgan.nn.norm import RecordedStatistics, StandingStatistics
from vidgan.run.distributed import Replicas, end_process_group
from vidgan.run.experiment import Experiment, StandingStatisticsSpec, whole_window
from vidgan.run.networks import initial_level
from vidgan.sample import pieces
from vidgan.sample.passes import Trained, clips_in_memory
from vidgan.sample.pieces import bytes_waiting
from vidgan.sample.standing import own_rows, standing_statistics, statistics_of_level
from vidgan.seeds import stream

CLIPS, PROCESSES = 5, 4
SPEC = StandingStatisticsSpec(batches=2, clips=CLIPS)
NAMES = ("dvd-gan-k600-12x64", "dvd-gan-fp-k600-16x64", "trivd-gan-fp-k600-16x64", "ssw-gan-k600-48x128")


def experiment_of(name: str) -> Experiment:
    return catalog.experiments()[name]


def generator_of(experiment: Experiment, index: int) -> Generator:
    generator = initial_level(experiment, index, seed=3).double().generator
    assert isinstance(generator, Generator)
    return generator


def statistics(
    name: str, at_once: int, chunk: int | None = None, replicas: Replicas = Replicas()
) -> dict[str, Tensor]:
    """Of the top level, whose input are videos of the one below in float64."""
    experiment = experiment_of(name)
    index = len(experiment.levels) - 1
    generator = generator_of(experiment, index)
    below: Sequence[FrozenLevel] = ()
    if index:
        low = generator_of(experiment, 0)
        spec = experiment.levels[0]
        recorded = RecordedStatistics()
        z = torch.randn((4, spec.generator.latent), generator=stream(1, "z")).double()
        with torch.no_grad():
            label = torch.arange(4) % experiment.classes
            low.generate(z, low.embed_label(label), spec.frames, recorded)
        below = [FrozenLevel(spec, low, StandingStatistics(recorded.averages()))]
    frames = whole_window(experiment).span
    data = SyntheticDataset(SyntheticSpec(size=experiment.size, frames=frames, clips=7))
    labels = [1] * experiment.classes
    return statistics_of_level(
        experiment, index, generator, below, labels, data, SPEC, chunk, replicas, at_once
    )


def require_same(table: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert set(table) == set(expected)
    for key, rows in table.items():
        assert rows.dtype == torch.float64
        torch.testing.assert_close(rows, expected[key], rtol=1e-12, atol=1e-12, msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_pieces_of_any_size_give_the_moments_of_one_pass(name: str) -> None:
    """At every layer and step, two batches; one pass is the generator's own, which test_norms.py checks."""
    expected = statistics(name, CLIPS)
    for at_once in (1, 2):
        require_same(statistics(name, at_once), expected)


@pytest.mark.slow
def test_pieces_in_chunks_of_time_are_the_same_moments() -> None:
    require_same(statistics(NAMES[-1], 3, chunk=4), statistics(NAMES[-1], CLIPS))


@pytest.mark.parametrize("name", ["dvd-gan-norm-none-in-blocks", "dvd-gan-norm-all-frames"])
def test_pieces_pass_layers_of_other_normalisation(name: str) -> None:
    """Against one pass of :meth:`Generator.generate` on the same draws."""
    experiment = experiment_of(name)
    generator = generator_of(experiment, 0)
    frames, drawn = experiment.levels[0].frames, []

    def given(numbers: range, label: Tensor) -> list[Conditioning]:
        drawn.append((numbers, label))
        return [NOTHING]

    one = StandingStatisticsSpec(batches=1, clips=CLIPS)
    labels = [1] * experiment.classes
    table = standing_statistics(generator, [whole(frames)], labels, one, 9, given, at_once=2)
    assert [len(numbers) for numbers, _ in drawn] == [2, 2, 1]
    label = torch.cat([part for _, part in drawn])
    z = torch.randn((CLIPS, experiment.levels[0].generator.latent), generator=stream(9, "settle", 0))
    recorded = RecordedStatistics()
    with torch.no_grad():
        generator.generate(z.double(), generator.embed_label(label), frames, recorded)
    require_same(table, recorded.averages())


def replica(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=PROCESSES)
    torch.set_num_threads(1)
    try:
        replicas = Replicas(rank, PROCESSES, dist.group.WORLD)
        torch.save(statistics(NAMES[0], 1, replicas=replicas), f"{folder}/{rank}.pt")
    finally:
        end_process_group()


@pytest.mark.slow
def test_four_processes_with_uneven_shares_are_one_batch(tmp_path: Path) -> None:
    spawn(replica, (str(tmp_path),), nprocs=PROCESSES)
    expected = statistics(NAMES[0], CLIPS)
    for rank in range(PROCESSES):
        require_same(torch.load(tmp_path / f"{rank}.pt", weights_only=True), expected)


def test_every_clip_of_a_batch_is_counted_once() -> None:
    for clips, size in ((5, 4), (6, 3), (1, 1), (2, 4)):
        shares = [own_rows(clips, Replicas(rank, size)) for rank in range(size)]
        assert sorted(clip for rows, counts in shares if counts for clip in rows) == list(range(clips))
        assert all(len(rows) for rows, _ in shares)  # none leaves the others waiting


def test_no_more_frames_are_made_at_once_than_a_step_makes() -> None:
    experiment = catalog.experiments()["ssw-gan-k600-48x128"]
    batch = experiment.training.batch.replace(global_batch=12, micro_batch=6)
    experiment = experiment.replace(training=experiment.training.replace(batch=batch))
    for (processes, share), (index, level) in itertools.product(
        ((1, 6), (4, 3), (5, 3)), enumerate(experiment.levels)
    ):
        for frames in (1, 3, level.frames, 10 * level.frames):
            clips = clips_in_memory(Trained(experiment, processes), index, frames)
            most = share * level.trained_frames
            assert clips * frames <= most < (clips + 1) * frames or clips == 1


@pytest.mark.slow
def test_what_would_wait_is_compared_with_the_memory_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made: to the byte, for this process and for the others of its machine, as torchrun says."""
    made: list[Tensor] = []
    begin, free = Generator.begin, [0.0]

    def noted(self: Generator, condition: Tensor, *more: Any) -> Tensor:
        made.append(begin(self, condition, *more))
        return made[-1]

    monkeypatch.setattr(Generator, "begin", noted)
    monkeypatch.setattr(pieces, "free_on_machine", lambda: free[0])
    frames = 3
    experiment = experiment_of(NAMES[0])
    generator, labels = generator_of(experiment, 0), [1] * experiment.classes
    spec = SPEC.replace(clips=6)
    take = functools.partial(
        standing_statistics, generator, [whole(frames)], labels, spec, 9, lambda *_: [NOTHING], at_once=2
    )
    each = bytes_waiting(generator.spec, frames, size=next(generator.parameters()).itemsize)
    assert each > 0
    for replicas, local, needed, fits in (
        (Replicas(), 1, 6 * each, 5),
        (Replicas(), 4, 6 * each, 5),  # on its own, whatever started it
        (Replicas(0, 2), 2, 2 * 3 * each, 4),
    ):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(local))
        free[0] = needed - 1
        with pytest.raises(UserError, match=f"--training.standing-statistics.clips {fits}\\)") as caught:
            take(replicas=replicas)
        assert "\n" not in str(caught.value)
        assert not made
        free[0] = needed
        take(replicas=replicas)
        made.clear()
    free[0] = each - 1
    with pytest.raises(UserError, match="fewer frames, or by more machines"):
        take()
    free[0] = 0
    standing_statistics(generator, [whole(frames)], labels, spec, 9, lambda *_: [NOTHING])  # nothing waits
