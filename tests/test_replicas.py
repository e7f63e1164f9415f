"""Two processes that share a batch, evenly or not, are one process with the whole batch."""

import contextlib
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn

import catalog
import steps
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.errors import UserError
from vidgan.models.discriminator import ProjectionSpec
from vidgan.nn.norm import RecordedStatistics
from vidgan.run.batch import BatchSpec, Share, evenly
from vidgan.run.distributed import Replicas, end_process_group
from vidgan.run.experiment import Experiment
from vidgan.train.step import data_indices
from vidgan.train.trainer import Trainer


class Case(NamedTuple):
    """What both sides train."""

    preset: str
    level: int
    shared: bool = True
    """whether the replicas share batch statistics"""
    steps: int = 2
    clips: int = 4
    uses: int = 1
    """updates that share a lower video"""

    @property
    def name(self) -> str:
        return f"{self.preset}-{self.level + 1}-{self.clips}{'' if self.shared else '-apart'}"


CASES = (
    Case("demo", 0),
    Case("demo", 0, shared=False),
    Case("demo", 0, clips=5),
    Case("dvd-gan-k600-12x64", 0, clips=3, steps=1),
    Case("trivd-gan-fp-k600-16x64", 0),
    Case("ssw-gan-k600-48x128", 0),
    Case("ssw-gan-k600-48x128", 1, steps=1, uses=2),
)

Results = dict[str, Tensor]


def experiment_of(case: Case) -> Experiment:
    """With projection heads: mixed projection joins the clips of one micro-batch, by design."""
    experiment = catalog.experiments()[case.preset]
    levels = tuple(
        level.replace(
            discriminators=tuple(
                discriminator.replace(head=ProjectionSpec()) for discriminator in level.discriminators
            ),
            lower_video_uses=case.uses if index == case.level else 1,
        )
        for index, level in enumerate(experiment.levels)
    )
    batch = steps.batched(experiment.replace(levels=levels), case.clips, sync_batch_norm=case.shared)
    return steps.one_discriminator_update(batch)


def train(case: Case, replicas: Replicas) -> Results:
    """Some steps: batch statistics before them, gradients of the first, scalars, weights and average after them."""
    experiment = experiment_of(case)
    state = steps.level_state(experiment, case.level, replicas)
    group = replicas.group if case.shared else None
    recorded = RecordedStatistics(group)
    with torch.no_grad():
        for micro in steps.micro_batches(state)[0]:
            state.level.generate_fake(micro.real, micro.z, micro.below(), recorded)
    results = {f"statistics/{name}": t for name, t in recorded.averages().items()}
    for step in range(case.steps):
        scalars = steps.run_step(state)
        own = len(evenly(case.clips, replicas.size)[replicas.rank])
        for name, value in replicas.average(scalars, own).items():
            results[f"scalar {step}/{name}"] = torch.tensor(value)
        for name, gradient in steps.gradients(state).items():
            results[f"gradient {step}/{name}"] = gradient
    for name, tensor in state.tensors().items():
        results[f"state/{name}"] = tensor
    return results


def replica(rank: int, folder: str) -> None:
    """One of two processes; they meet through a file, so no port is taken."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    try:
        replicas = Replicas(rank, 2, dist.group.WORLD)
        for case in CASES:
            torch.save(train(case, replicas), f"{folder}/{case.name}-{rank}.pt")
    finally:
        end_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both replicas have left their results of all cases."""
    folder = tmp_path_factory.mktemp("replicas")
    spawn(replica, (str(folder),), nprocs=2)
    return folder


def results_of(folder: Path, case: Case, rank: int) -> Results:
    results: Results = torch.load(folder / f"{case.name}-{rank}.pt", weights_only=True)
    return results


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case.shared], ids=lambda case: case.name)
def test_two_replicas_are_one_process(folder: Path, case: Case) -> None:
    alone = train(case, Replicas())
    for rank in (0, 1):
        ours = results_of(folder, case, rank)
        assert ours.keys() == alone.keys()
        for name, expected in alone.items():
            error = float((ours[name] - expected).abs().max())
            assert error < 1e-9 + 1e-9 * float(expected.abs().max()), name


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_replicas_keep_the_same_weights_bit_for_bit(folder: Path, case: Case) -> None:
    one, two = results_of(folder, case, 0), results_of(folder, case, 1)
    for name in one:
        if not name.startswith("statistics/"):
            assert torch.equal(one[name], two[name]), name


@pytest.mark.slow
def test_replicas_with_statistics_of_their_own_train_differently(folder: Path) -> None:
    """The comparison above sees whether statistics are shared."""
    apart = Case("demo", 0, shared=False)
    alone, ours = train(apart, Replicas()), results_of(folder, apart, 0)
    gradients = [name for name in alone if name.startswith("gradient 0/generator")]
    assert max(float((ours[n] - alone[n]).abs().max()) for n in gradients) > 1e-4


def test_shares_are_consecutive_rows_of_the_global_batch() -> None:
    x = torch.arange(6)
    assert [Replicas(rank, 3).slice(x).tolist() for rank in range(3)] == [[0, 1], [2, 3], [4, 5]]
    assert [Replicas(rank, 4).slice(x).tolist() for rank in range(4)] == [[0, 1], [2, 3], [4], [5]]


@pytest.mark.parametrize("step", [0, 1, 3])
def test_every_clip_is_read_once_and_a_resumed_run_continues_with_the_next(step: int) -> None:
    """Three updates of the discriminators per step, six clips each, whatever the number of replicas."""
    for size in (1, 3, 4):
        read = [list(islice(data_indices(6, Replicas(rank, size), step * 3), 4)) for rank in range(size)]
        joined = [[i for share in shares for i in share] for shares in zip(*read, strict=True)]
        first = step * 3 * 6
        assert joined == [list(range(first + 6 * n, first + 6 * n + 6)) for n in range(4)]


def test_replicas_draw_their_rows_of_one_global_draw() -> None:
    case = Case("demo", 0)
    experiment = experiment_of(case)
    state = steps.level_state(experiment, 0)
    state.steps = 5
    (whole,) = steps.micro_batches(state)[1]
    for rank in (0, 1):
        state.replicas = Replicas(rank, 2)
        parts = steps.micro_batches(state)[1]
        (part,) = parts
        rows = slice(2 * rank, 2 * rank + 2)
        assert torch.equal(part.z, whole.z[rows])
        assert torch.equal(part.real.label, whole.real.label[rows])
        for name, draw in whole.real_draws.items():
            assert torch.equal(part.real_draws[name], draw[rows])


def test_training_says_that_statistics_are_not_shared(capsys: pytest.CaptureFixture[str]) -> None:
    """Where one process would take them over more clips."""
    data = SyntheticDataset(SyntheticSpec(size=24, frames=8, clips=8))
    for size, batch, said in (
        (2, BatchSpec(global_batch=4), True),
        (2, BatchSpec(global_batch=4, sync_batch_norm=True), False),
        (2, BatchSpec(global_batch=4, micro_batch=2), False),
        (1, BatchSpec(global_batch=4), False),
    ):
        experiment = catalog.experiments()["demo"]
        experiment = experiment.replace(training=experiment.training.replace(batch=batch))
        Trainer(experiment, data, replicas=Replicas(0, size), device="cpu")
        assert ("--training.batch.sync-batch-norm True" in capsys.readouterr().out) == said


def test_a_launch_cuts_the_batch() -> None:
    batch = BatchSpec(global_batch=12, micro_batch=4)
    assert [batch.share(processes) for processes in (1, 3, 6)] == [Share(12, 4), Share(4, 4), Share(2, 2)]
    with pytest.raises(UserError, match="12 clips cannot be shared by 13 processes: start at most 12"):
        batch.share(13)


@pytest.mark.parametrize(
    ("clips", "processes"), [(108, 8), (108, 4), (5, 4), (3, 2), (7, 7), (10, 4), (1, 1)]
)
def test_smaller_passes_are_all_those_that_a_launch_accepts(clips: int, processes: int) -> None:
    """As many sizes as there are, each asked for: 108 clips on 8 processes cannot go one by one."""
    accepted = set()
    for micro in range(1, clips + 1):
        with contextlib.suppress(UserError):
            accepted.add(BatchSpec(global_batch=clips, micro_batch=micro).share(processes))
    whole = BatchSpec(global_batch=clips, micro_batch=clips).share(processes)
    assert {whole, *whole.smaller()} == accepted
    assert whole.smallest.per_pass == min(share.per_pass for share in accepted)


@pytest.mark.parametrize(("clips", "micro"), [(108, 108), (108, 14), (108, 4), (10, 4), (7, 2), (9, 3)])
@pytest.mark.parametrize("processes", [1, 2, 3, 5, 7])
def test_passes_hold_every_clip_once_and_are_as_many_on_all(clips: int, micro: int, processes: int) -> None:
    batch = BatchSpec(global_batch=clips, micro_batch=micro)
    each = [batch.passes(processes, rank) for rank in range(processes)]
    assert [clip for passes in each for part in passes for clip in part] == list(range(clips))
    assert len({len(passes) for passes in each}) == 1
    sizes = [len(part) for passes in each for part in passes]
    assert 1 <= min(sizes) <= max(sizes) == batch.share(processes).per_pass <= micro
    assert max(sizes) - min(sizes) <= 1
    assert max(sum(map(len, passes)) for passes in each) == batch.share(processes).clips


def test_the_guides_batch_on_eight_gpus() -> None:
    batch = BatchSpec(global_batch=108, micro_batch=108)
    assert [len(batch.passes(8, rank)[0]) for rank in range(8)] == [14, 14, 14, 14, 13, 13, 13, 13]


def test_a_pass_without_a_clip_on_some_process_is_refused() -> None:
    with pytest.raises(UserError, match="some of 2 processes without a clip in the last of 2 passes"):
        BatchSpec(global_batch=3, micro_batch=1).share(2)
