"""What a step sends between processes, counted, and how long it takes, predicted: docs/clusters.md has the formula."""

from typing import Final, NamedTuple

from torch import Tensor

from vidgan.nn.norm import BatchStatistics, Clock, Moments
from vidgan.run.batch import Share
from vidgan.run.experiment import Experiment, TrainingSpec
from vidgan.train.gradients import BUCKET, in_buckets
from vidgan.train.plan import META, DryRun, LevelPlan, batched

FLAGS: Final = (1, 2, 2)
"""float32 numbers by which processes agree in every step: on clips that cannot be read, and twice on ending"""
REACHED: Final = 0.67
"""part of a matrix product's rate that a step reaches (docs/results/speed.md)"""
BACKWARD: Final = 0.5
"""Part of an update's last pass in which gradients come and are sent meanwhile.

Our choice: the backward pass of what is trained takes two thirds of its own work, and the rest of the update runs
before it.
"""


class Traffic(NamedTuple):
    """What each process gives to collective operations in one update, or one step."""

    gradients: tuple[int, ...]
    """bytes of each bucket"""
    statistics: tuple[int, ...]
    """bytes of each exchange of batch statistics, forward and back"""

    @property
    def calls(self) -> int:
        """Collective operations."""
        return len(self.gradients) + len(self.statistics)

    @property
    def bytes(self) -> int:
        """What is summed in all of them."""
        return sum(self.gradients) + sum(self.statistics)


class Machines(NamedTuple):
    """Where processes run, one on each GPU."""

    nodes: int
    gpus: int
    """of each node"""
    link: float
    """bytes per second between a node and the others, each way; also those between GPUs where there is one node"""
    matmul: float
    """operations per second of a matrix product on a GPU"""
    latency: float
    """seconds that a message takes however short it is"""
    overhead: float = 0.0
    """seconds of a step that do not depend on its clips: optimisers, spectral normalisation, averages of weights"""

    @property
    def processes(self) -> int:
        """One on each GPU."""
        return self.nodes * self.gpus

    def all_reduce(self, size: int) -> float:
        """Seconds to sum ``size`` bytes over all processes: a ring's bytes, a tree's messages (docs/clusters.md)."""
        n = self.processes
        return 2 * (n - 1) / n * size / self.link + 2 * (n - 1).bit_length() * self.latency


class _Counted(BatchStatistics):
    """Notes the bytes that each layer would exchange."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[int] = []

    def moments(self, key: str, x: Tensor, clock: Clock, over_time: bool) -> Moments:
        taken = super().moments(key, x, clock, over_time)
        size = 2 * taken.mean.numel() * taken.mean.element_size()
        self.sent.append(size + taken.mean.element_size())  # and how many clips they are of
        if taken.mean.requires_grad:
            taken.mean.register_hook(lambda gradient: self.sent.append(size))
        return taken


def traffic(
    experiment: Experiment, index: int, passes: int, bucket_size: int = BUCKET
) -> tuple[Traffic, Traffic]:
    """Of one update of the discriminators and of the generator's, each of so many passes; sizes in bytes."""
    dry_run = DryRun(batched(experiment, 1), index, META)
    state, shares = dry_run.state, experiment.training.batch.sync_batch_norm
    found = []
    sides = (
        (dry_run.discriminators_step, state.level.discriminators),
        (dry_run.generator_step, state.level.generator),
    )
    for update, side in sides:
        counted = _Counted()
        state.statistics = counted
        update()
        buckets = (
            sum(p.numel() * p.element_size() for p in bucket) for bucket in in_buckets(side, bucket_size)
        )
        found.append(Traffic(tuple(buckets), tuple(counted.sent) * passes if shares else ()))
    return found[0], found[1]


class Prediction(NamedTuple):
    """Seconds of a step."""

    compute: float
    """the part that grows with the clips"""
    overhead: float
    """the rest of it"""
    statistics: float
    """exchanging batch statistics, which the layers wait for"""
    gradients: float
    """summing gradients, all of it"""
    exposed: float
    """the part of that which the backward pass does not cover"""
    flags: float

    @property
    def step(self) -> float:
        """All that is not done meanwhile."""
        return self.compute + self.overhead + self.statistics + self.exposed + self.flags


def predict(
    training: TrainingSpec, plan: LevelPlan, share: Share, sent: tuple[Traffic, Traffic], machines: Machines
) -> Prediction:
    """How long a step of a level takes on ``machines``, by the formula of docs/clusters.md.

    Args:
        share: of every batch, and the passes that ``sent`` is of.
    """
    n = machines.processes
    compute = statistics = gradients = exposed = 0.0
    counts = (training.discriminator_updates, 1)
    for times, update, traffic in zip(counts, plan.updates, sent, strict=True):
        rate = REACHED * machines.matmul
        own = update.flops.of(share.clips) / rate
        sums = [machines.all_reduce(size) for size in traffic.gradients] if n > 1 else []
        meets = sum(machines.all_reduce(size) for size in traffic.statistics) if n > 1 else 0.0
        # The orthogonal penalty's gradients come before those of the passes.
        hidden = BACKWARD * update.flops.per_clip * share.clips / rate / share.passes
        compute += times * own
        statistics += times * meets
        gradients += times * sum(sums)
        # The last bucket is complete only when nothing is left to compute.
        exposed += times * (max(sums[-1], sum(sums) - hidden) if sums else 0.0)
    compute -= plan.lower.repeats * plan.lower.flops * share.clips / (REACHED * machines.matmul)
    flags = sum(machines.all_reduce(4 * count) for count in FLAGS) if n > 1 else 0.0
    return Prediction(compute, machines.overhead, statistics, gradients, exposed, flags)
