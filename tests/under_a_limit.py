"""A run's whole life under a limit of memory: levels, previews, checkpoints, statistics, samples, an evaluation.

The limit is what ``vidgan plan`` says that the run takes at most, and a share above it, beside what a process maps that
has lived the same life with few clips for its statistics: torch imports much of itself only when it is used, and oneDNN
reserves 256 KiB of addresses for the code of every kernel that it makes, of which a few pages are used (92 MiB for
demo-cascade, 2 of them resident). As a program:

    python tests/under_a_limit.py demo-cascade
    PYTHONPATH=OTHER/src python tests/under_a_limit.py demo-cascade --limit 500 --statistics training.settle -- OPTIONS

prints the limit, the most that was mapped at a time, and the error where there was not enough; the second line does it
with another version.
"""

import argparse
import gc
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

ABOVE: Final = 0.15
"""part of what the plan says that may be taken besides: gaps between tensors, workspace of kernels"""
MIB: Final = 2**20
MAPPED: Final = "mapped at the most: "

LIVES: Final[dict[str, tuple[str, ...]]] = {
    "demo-cascade": ("--training.batch.global-batch", "4", "--training.batch.micro-batch", "2"),
    # Three levels, of 4, 4 and 16 frames; the last one of 32x32.
    "ssw-gan-bdd100k-100x128": (
        *("--tiny", "--training.batch.global-batch", "2", "--training.batch.micro-batch", "1"),
        *("--levels.1.generator.width", "8", "--levels.2.generator.width", "8"),
    ),
}
"""Their options."""
STATISTICS: Final = "training.standing-statistics"
FEW, MANY = 2, 240
"""Clips of a pass for statistics: with many of them they take most of what a version needs that makes them of a whole
batch at once, as they do at full size."""
STEPS: Final = ("--steps", "2", "--workers", "0", "--data", "synthetic")
# By features of a random network, which no phase of the plan counts: here they take less than the largest phase.
MEASURED: Final = ("--protocol", "frechet-random", "--clips", "6", "--real-clips", "6")
REPORTING: Final = ("--reporting.tick", "1", "--reporting.checkpoint", "1", "--reporting.samples", "1")
# Tensors are given back to the system when they are freed, and one heap serves all threads; the limit is of addresses,
# which a heap per thread would take whether it is used or not.
ENVIRONMENT: Final = {
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
}


class Life(NamedTuple):
    """How it ended."""

    status: int
    mapped: int | None
    """bytes at the most, beside those of an idle process; None where it ended before it could tell"""
    said: str
    """on standard error"""


def planned(name: str, options: Sequence[str]) -> float:
    """Bytes that the phase takes that takes most, of all levels; on a CPU those of the device and of the host."""
    from vidgan.cli.experiment import parse_with_values
    from vidgan.cli.plan import Options
    from vidgan.train.phases import phases
    from vidgan.train.plan import plan_level

    _, experiment = parse_with_values(Options, "plan", [name, *options])
    share = experiment.training.batch.share(1)
    return max(
        phase.device + phase.host
        for index in experiment.rounds
        for phase in phases(experiment, index, plan_level(experiment, index), share)
    )


def with_statistics(options: Sequence[str], clips: int, group: str = STATISTICS) -> list[str]:
    """``options`` for statistics of one pass of so many clips."""
    return [*options, f"--{group}.batches", "1", f"--{group}.clips", str(clips)]


def live(name: str, options: Sequence[str], limit: float, group: str = STATISTICS) -> Life:
    """Train a run, sample and evaluate it, in a process that may map ``limit`` bytes more than an idle one.

    Args:
        group: of the options for statistics.
    """
    few, many = (with_statistics(options, clips, group) for clips in (FEW, MANY))
    command = [sys.executable, __file__, "--child", str(int(limit)), "--", name, *few, "+", name, *many]
    done = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(MAPPED)]
    return Life(done.returncode, int(lines[-1].removeprefix(MAPPED)) if lines else None, done.stderr)


def child(limit: int, words: list[str]) -> int:
    """Lead the two lives in ``words``, which "+" separates, the second one under the limit; print the most that was
    mapped."""
    cut = words.index("+")
    lead(words[:cut])
    gc.collect()
    idle = addresses("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (idle + limit,) * 2)
    status = lead(words[cut + 1 :])
    print(f"{MAPPED}{addresses('VmPeak') - idle}")
    return status


def lead(words: list[str]) -> int:
    """A life with these options; the first status that is not 0."""
    from vidgan.cli import main

    with tempfile.TemporaryDirectory() as folder:
        out, videos, rows = (str(Path(folder) / name) for name in ("run", "videos", "rows"))
        status = main(["train", *words, *STEPS, *REPORTING, "--out", out])
        status = status or main(["sample", out, "--out", videos, "--clips", "2"])
        return status or main(["evaluate", out, *MEASURED, "--cache", rows])


def addresses(kind: str) -> int:
    """Bytes that this process maps now (``VmSize``) or has mapped at the most (``VmPeak``)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{kind}:")).split()[1])


def main() -> int:
    """The life that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", nargs="?")
    parser.add_argument("--limit", type=float, help="MiB, instead of what the plan says and a share above it")
    parser.add_argument("--statistics", default=STATISTICS, help="group of the options for statistics")
    parser.add_argument("--child", type=int)
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    asked, rest = parser.parse_args(words[:cut]), words[cut + 1 :]
    if asked.child is not None:
        return child(asked.child, rest)
    options = rest or LIVES[asked.name]
    if asked.limit is None:
        says = planned(asked.name, with_statistics(options, MANY))
        print(f"{asked.name}: the plan says {says / MIB:.0f} MiB", flush=True)
        limit = (1 + ABOVE) * says
    else:
        limit = asked.limit * MIB
    ended = live(asked.name, options, limit, asked.statistics)
    mapped = "unknown" if ended.mapped is None else f"{ended.mapped / MIB:.0f}"
    print(f"limit {limit / MIB:.0f} MiB, mapped {mapped} MiB, status {ended.status}")
    print("\n".join(ended.said.splitlines()[-3:]))
    return ended.status


if __name__ == "__main__":
    sys.exit(main())
