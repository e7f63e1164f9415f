"""Training on two cores: one process with two threads beside two processes with one each, and who reads the clips.

Whole runs of `vidgan train` on built-in clips, as a user starts them; a step's time is that between two lines of the
log, so that starting does not count. Nothing else should run beside it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import torch

from interleaved import Case, Measure, interleave, show, show_machine
from vidgan.presets import preset
from vidgan.run.logs import read_ticks

PRESETS: Final = ("demo", "dvd-gan-8x64-cpu")
WARM: Final = 2
"""steps before the clock starts"""


class Way(NamedTuple):
    """How the cores are used."""

    name: str
    processes: int
    threads: int
    workers: int
    """processes of each training process that read clips; with 0 it reads them itself"""


WAYS: Final = (
    Way("one process, two threads", 1, 2, 0),
    Way("one process, two threads, a reader beside", 1, 2, 1),
    Way("two processes, a thread each", 2, 1, 0),
    Way("two processes, a thread each, two readers beside", 2, 1, 1),
    Way("one process, one thread", 1, 1, 0),
)


class Settings(argparse.Namespace):
    """What the command line gives."""

    rounds: int
    presets: Sequence[str]
    steps: int


def training(name: str, way: Way, steps: int) -> Measure:
    """Seconds of a step of such a run."""

    def measure() -> float:
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            launch = ("torch.distributed.run", f"--nproc-per-node={way.processes}", "-m", "vidgan")
            words = (
                *("-m", *(launch if way.processes > 1 else ("vidgan",))),
                *("train", name, "--data", "synthetic", "--out", run, "--device", "cpu"),
                *("--steps", WARM + steps, "--workers", way.workers),
                *("--reporting.tick", 1, "--reporting.samples", "none"),
            )
            environment = {**os.environ, "OMP_NUM_THREADS": str(way.threads)}
            subprocess.run(
                [sys.executable, *map(str, words)], env=environment, check=True, capture_output=True
            )
            ticks = {line["step"]: line["seconds"] for line in read_ticks(run / "log.jsonl")}
        return float(ticks[WARM + steps] - ticks[WARM]) / steps

    return measure


def main(settings: Settings) -> None:
    show_machine(torch.device("cpu"))
    for name in settings.presets:
        cases = [Case(way.name, training(name, way, settings.steps)) for way in WAYS]
        found = interleave(cases, settings.rounds)
        show(f"a training step of {name}", found, items=preset(name).training.batch.global_batch)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="measurements per case (3)")
    parser.add_argument("--presets", nargs="+", default=PRESETS, help="trained ones (demo dvd-gan-8x64-cpu)")
    parser.add_argument("--steps", type=int, default=40, help="that are timed (40)")
    main(parser.parse_args(namespace=Settings()))
