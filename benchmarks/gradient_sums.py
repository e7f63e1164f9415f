"""A training step of 1, 2, 4 and 8 processes: gradients summed at the end, or in buckets meanwhile, and as predicted.

    python benchmarks/gradient_sums.py --out docs/results/gradient-sums.svg

The processes meet over gloo on this machine and share its cores and caches, so their steps take longer with more of
them than there are cores. The prediction is that of `vidgan plan` (docs/clusters.md) and is given what it needs: the
rate at which the processes compute side by side, by steps whose gradients are not summed, and the bandwidth and latency
of gloo, by sums of two sizes. The three take turns, step by step. Wall time counts what other programs take of the
cores, so the shortest of many steps are compared; processor time, of all processes together, leaves it out, and waiting
too.
"""

import argparse
import itertools
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from training import with_batch, with_width
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


class Times(NamedTuple):
    """Of one number of processes, seconds."""

    processes: int
    apart: Sequence[float]
    """steps whose gradients are not summed, as long as the process that took longest"""
    flat: Sequence[float]
    buckets: Sequence[float]
    """those of both ways, in turn with them"""
    work: Sequence[float]
    """processor time of a step in the order of these three: the means, of all processes together"""
    sums: tuple[float, ...]
    """a sum of each of :data:`SIZES`"""

    @property
    def ratio(self) -> float:
        """Buckets against the flat sum: the median over pairs of steps, which saw the same machine."""
        return statistics.median(a / b for a, b in zip(self.buckets, self.flat, strict=True))


def experiment() -> Experiment:
    """The networks of the main preset, narrow."""
    found = with_batch(with_width(preset("dvd-gan-k600-12x64"), WIDTH).replace(classes=10), CLIPS)
    batch = found.training.batch.replace(sync_batch_norm=False)
    return found.replace(training=found.training.replace(bf16=False, batch=batch))


def measure(replicas: Replicas, rounds: int, out: str) -> bool:
    """Time steps of this process among others; process 0 writes a line of numbers."""
    trainee = DryRun(experiment(), 0, torch.device("cpu"), replicas)
    level = trainee.state.level
    ways = [
        sums(Flat, level, Replicas()),
        sums(Flat, level, replicas),
        sums(lambda m, r: GradientSum(m, r, BUCKET), level, replicas),
    ]
    taken: list[list[float]] = [[] for _ in ways]
    work = [0.0 for _ in ways]
    for number in range(-1, rounds):
        for way in (0, 1, 2) if number % 2 else (2, 1, 0):
            trainee.state.gradients = ways[way]
            replicas.wait()
            processor, began = time.process_time(), time.perf_counter()
            trainee.step()
            seconds = slowest(replicas, time.perf_counter() - began)
            if number >= 0:  # the first makes Adam's state
                taken[way].append(seconds)
                work[way] += time.process_time() - processor
    means = replicas.average({str(way): torch.tensor(each / rounds) for way, each in enumerate(work)})
    timed = [sum_of(size, replicas) for size in SIZES]
    if replicas.is_rank_zero:
        numbers = [*itertools.chain(*taken), *(means[str(way)] * replicas.size for way in range(3)), *timed]
        Path(out).write_text(" ".join(map(str, numbers)))
    return True


def sums(
    way: Callable[[nn.Module, Replicas], GradientSum], level: nn.Module, replicas: Replicas
) -> GradientSums:
    """Sums of both networks."""
    return GradientSums(way(level.generator, replicas), way(level.discriminators, replicas))  # type: ignore[arg-type]


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
    out = folder / f"{processes}.txt"
    if not out.exists():
        torch.set_num_threads(1)
        side_by_side(processes, measure, rounds, str(out))
    numbers = [float(word) for word in out.read_text().split()]
    apart, flat, buckets = (numbers[way * rounds : (way + 1) * rounds] for way in range(3))
    work, timed = numbers[3 * rounds : 3 * rounds + 3], numbers[3 * rounds + 3 :]
    return Times(processes, apart, flat, buckets, work, tuple(timed))


def predicted(found: Times) -> float:
    """Seconds of a step in buckets by docs/clusters.md."""
    own, plan = experiment(), plan_level(experiment(), 0)
    n = found.processes
    rate = plan.flops * CLIPS / n / min(found.apart) / REACHED
    if n == 1:
        machines = Machines(1, 1, math.inf, rate, 0.0)
    else:
        small, large = found.sums
        latency = small / (2 * (n - 1).bit_length())
        link = 2 * (n - 1) / n * SIZES[1] / max(large - small, 1e-9)
        machines = Machines(1, n, link, rate, latency)
    shared = own.replace(training=own.training.replace(batch=own.training.batch.replace(micro_batch=CLIPS)))
    made = predict(shared, 0, plan, traffic(shared, 0, 1, BUCKET), machines)
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
    print(
        "| processes | not summed, s | flat, s | buckets, s | ratio | processor time, ratio | predicted, s | "
        "measured / predicted |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for each, seconds in rows:
        print(
            f"| {each.processes} | {min(each.apart):.3f} | {min(each.flat):.3f} | {min(each.buckets):.3f} | "
            f"{each.ratio:.2f} | {each.work[2] / each.work[1]:.2f} | {seconds:.3f} | "
            f"{min(each.buckets) / seconds:.2f} |"
        )
    if asked.out is not None:
        ways = {
            "not summed": [min(each.apart) for each in found],
            "one flat sum": [min(each.flat) for each in found],
            "in buckets": [min(each.buckets) for each in found],
            "in buckets, predicted": [seconds for _, seconds in rows],
        }
        curves = [
            Curve(name, [Point(n, y, None) for n, y in zip(PROCESSES, seconds, strict=True)])
            for name, seconds in ways.items()
        ]
        cores = len(os.sched_getaffinity(0))
        save(
            asked.out, [Plot(f"a step of a batch of 8 clips, {cores} cores", "processes", "seconds", curves)]
        )


if __name__ == "__main__":
    main()
