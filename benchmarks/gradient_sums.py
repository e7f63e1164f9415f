"""A training step of 1, 2, 4 and 8 processes: gradients summed at the end, in buckets meanwhile, by torch's own
DistributedDataParallel, and as predicted.

    python benchmarks/gradient_sums.py --out docs/results/gradient-sums.svg

The processes meet over gloo on this machine and share its cores and caches, so their steps take longer with more of
them than there are cores. The prediction is that of `vidgan plan` (docs/clusters.md) and is given what it needs: the
rate at which the processes compute side by side, by steps whose gradients are not summed, and the bandwidth and latency
of gloo, by sums of two sizes. All take turns, step by step. Wall time counts what other programs take of the
cores, so the shortest of many steps are compared; processor time, of all processes together, leaves it out, and waiting
too.
"""

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training import with_batch, with_width
from vidgan.models.level import AdversarialLevel
from vidgan.presets import preset
from vidgan.report.figures import Curve, Plot, Point, save
from vidgan.run.distributed import Replicas, side_by_side
from vidgan.run.experiment import Experiment
from vidgan.train.gradients import GradientSum
from vidgan.train.network import REACHED, Machines, predict, traffic
from vidgan.train.plan import DryRun, plan_level
from vidgan.train.state import GradientSums

PROCESSES: Final = (1, 2, 4, 8)
CLIPS: Final = 8
"""of a batch, one for each of the most processes"""
WIDTH: Final = 8
BUCKET: Final = 2**18
"""bytes: of a network so small, a bucket of training's 25 MiB would hold everything"""
SIZES: Final = (4, 4 * 2**20)
"""bytes of the sums that gloo is timed by"""
SUMS: Final = 20
"""of each of these"""
WARM: Final = 2
"""rounds before those that count: Adam makes its state, DistributedDataParallel cuts buckets anew"""


class Flat(GradientSum):
    """All gradients in one sum, once the backward pass is over."""

    def backward(self, loss: Tensor, last: bool) -> None:
        loss.backward()
        if last and self._group is not None:
            gradients = [p.grad for p in self._module.parameters() if p.grad is not None]
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            dist.all_reduce(flat, group=self._group)
            parts = flat.split([gradient.numel() for gradient in gradients])
            torch._foreach_copy_(gradients, [p.view_as(g) for p, g in zip(parts, gradients, strict=True)])


class Carried(nn.Module):
    """Hands a loss on: the module that it comes from has been called."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, loss: Tensor) -> Tensor:
        """``loss``"""
        return loss


class Parallel(GradientSum):
    """By torch's DistributedDataParallel, which waits for gradients of the module's weights from its forward pass on:
    here that of the loss, as a step calls a network's parts by themselves."""

    def __init__(self, module: nn.Module, replicas: Replicas) -> None:
        super().__init__(module, replicas)
        self._processes = replicas.size  # over which it takes the mean, while a step sums
        self._parallel: DistributedDataParallel | None = None
        if replicas.group is not None:
            self._parallel = DistributedDataParallel(
                Carried(module),
                process_group=replicas.group,
                bucket_cap_mb=BUCKET / 2**20,  # which it takes as a fraction, too
                broadcast_buffers=False,
            )

    def backward(self, loss: Tensor, last: bool) -> None:
        if self._parallel is None:
            loss.backward()
            return
        with nullcontext() if last else self._parallel.no_sync():
            self._parallel(self._processes * loss).backward()


def in_buckets_of(module: nn.Module, replicas: Replicas) -> GradientSum:
    """In the project's own buckets."""
    return GradientSum(module, replicas, BUCKET)


class Way(NamedTuple):
    """How gradients are summed."""

    name: str
    sums: Callable[[nn.Module, Replicas], GradientSum]


APART: Final = "not summed"
FLAT: Final = "one flat sum"
BUCKETS: Final = "in buckets"
PARALLEL: Final = "DistributedDataParallel"
WAYS: Final = (
    Way(APART, lambda module, _: GradientSum(module, Replicas())),
    Way(FLAT, Flat),
    Way(BUCKETS, in_buckets_of),
    Way(PARALLEL, Parallel),
)


class Times(NamedTuple):
    """Of one number of processes, seconds; by the names of :data:`WAYS`, which took turns."""

    processes: int
    steps: Mapping[str, Sequence[float]]
    """of steps, as long as the process that took longest"""
    work: Mapping[str, float]
    """processor time of a step: the mean, of all processes together"""
    sums: Sequence[float]
    """a sum of each of :data:`SIZES`"""

    def least(self, way: str) -> float:
        """The shortest step."""
        return min(self.steps[way])

    def ratio(self, way: str) -> float:
        """Against the flat sum: the median over pairs of steps, which saw the same machine."""
        return statistics.median(a / b for a, b in zip(self.steps[way], self.steps[FLAT], strict=True))


def experiment() -> Experiment:
    """The networks of the main preset, narrow."""
    found = with_batch(with_width(preset("dvd-gan-k600-12x64"), WIDTH).replace(classes=10), CLIPS)
    batch = found.training.batch.replace(sync_batch_norm=False)
    return found.replace(training=found.training.replace(bf16=False, batch=batch))


def measure(replicas: Replicas, rounds: int, out: str) -> bool:
    """Time steps of this process among others; process 0 writes them."""
    trainee = DryRun(experiment(), 0, torch.device("cpu"), replicas)
    level = trainee.state.level
    ways = {way.name: sums(way, level, replicas) for way in WAYS}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    work = dict.fromkeys(ways, 0.0)
    for number in range(-WARM, rounds):
        for name in ways if number % 2 else reversed(ways):
            trainee.state.gradients = ways[name]
            replicas.wait()
            processor, began = time.process_time(), time.perf_counter()
            trainee.step()
            seconds = slowest(replicas, time.perf_counter() - began)
            if number >= 0:
                taken[name].append(seconds)
                work[name] += time.process_time() - processor
    means = replicas.average({name: torch.tensor(each / rounds) for name, each in work.items()})
    found = Times(
        replicas.size,
        taken,
        {name: mean * replicas.size for name, mean in means.items()},
        [sum_of(size, replicas) for size in SIZES],
    )
    if replicas.is_rank_zero:
        Path(out).write_text(json.dumps(found._asdict()))
    return True


def sums(way: Way, level: AdversarialLevel, replicas: Replicas) -> GradientSums:
    """Sums of both networks."""
    return GradientSums(way.sums(level.generator, replicas), way.sums(level.discriminators, replicas))


def slowest(replicas: Replicas, seconds: float) -> float:
    """What the process took that took longest."""
    value = torch.tensor(seconds, dtype=torch.float64)
    if replicas.group is not None:
        dist.all_reduce(value, op=dist.ReduceOp.MAX, group=replicas.group)
    return float(value)


def sum_of(size: int, replicas: Replicas) -> float:
    """Seconds of a sum of ``size`` bytes: the least of many, which no other program held up."""
    if replicas.group is None:
        return 0.0
    values, found = torch.zeros(size // 4), []
    for _ in range(SUMS):
        replicas.wait()
        began = time.perf_counter()
        dist.all_reduce(values, group=replicas.group)
        found.append(slowest(replicas, time.perf_counter() - began))
    return min(found)


def times(processes: int, rounds: int, folder: Path) -> Times:
    """Start ``processes`` and time their steps."""
    out = folder / f"{processes}.json"
    if not out.exists():
        torch.set_num_threads(1)
        side_by_side(processes, measure, rounds, str(out))
    return Times(**json.loads(out.read_text()))


def predicted(found: Times) -> float:
    """Seconds of a step in buckets by docs/clusters.md."""
    own, plan = experiment(), plan_level(experiment(), 0)
    n = found.processes
    rate = plan.flops.of(CLIPS // n) / found.least(APART) / REACHED
    if n == 1:
        machines = Machines(1, 1, math.inf, rate, 0.0)
    else:
        small, large = found.sums
        latency = small / (2 * (n - 1).bit_length())
        link = 2 * (n - 1) / n * SIZES[1] / max(large - small, 1e-9)
        machines = Machines(1, n, link, rate, latency)
    shared = own.replace(training=own.training.replace(batch=own.training.batch.replace(micro_batch=CLIPS)))
    share = shared.batch_of(0).share(n)
    made = predict(shared.training, plan, share, traffic(shared, 0, 1, BUCKET), machines)
    # Where processes wait for cores, none computes while another one's sums are worked on.
    enough = n <= len(os.sched_getaffinity(0))
    return made.step if enough else made.step - made.exposed + made.gradients


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="steps of each way (10)")
    parser.add_argument(
        "--folder", type=Path, default=Path("build/gradient-sums"), help="where times are kept"
    )
    parser.add_argument("--out", type=Path, help="a figure of them")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    found = [times(processes, asked.rounds, asked.folder) for processes in PROCESSES]
    rows = [(each, predicted(each)) for each in found]
    summing = [way.name for way in WAYS if way.name not in (APART, FLAT)]
    print(
        "| processes | "
        + " | ".join(f"{way.name}, s" for way in WAYS)
        + "".join(f" | {name} / flat | in processor time" for name in summing)
        + " | predicted, s | in buckets / predicted |"
    )
    print("| ---: " * (len(WAYS) + 2 * len(summing) + 3) + "|")
    for each, seconds in rows:
        cells = [f"{each.least(way.name):.3f}" for way in WAYS]
        for name in summing:
            cells += [f"{each.ratio(name):.2f}", f"{each.work[name] / each.work[FLAT]:.2f}"]
        cells += [f"{seconds:.3f}", f"{each.least(BUCKETS) / seconds:.2f}"]
        print(f"| {each.processes} | {' | '.join(cells)} |")
    if asked.out is not None:
        lines = {way.name: [each.least(way.name) for each in found] for way in WAYS}
        lines["in buckets, predicted"] = [seconds for _, seconds in rows]
        curves = [
            Curve(name, [Point(n, y, None) for n, y in zip(PROCESSES, seconds, strict=True)])
            for name, seconds in lines.items()
        ]
        cores = len(os.sched_getaffinity(0))
        save(
            asked.out, [Plot(f"a step of a batch of 8 clips, {cores} cores", "processes", "seconds", curves)]
        )


if __name__ == "__main__":
    main()
