"""Seconds from asking the studio's page Explore for eight clips to their being there, through its HTTP interface.

    python benchmarks/explore_latency.py zoo/driving-12x64

Needs the extra studio. A studio of its own is started on the model, each of its pages is opened, and as many grids as
``--rounds`` says are asked for one after the other, each of another seed. Processor time is that of the studio, which
other work on the machine leaves alone (Linux).
"""

import os
import statistics
import sys
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import tyro

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integrations"))
from studio_client import User, studio

import vidgan

PAGES = ("/", "/train", "/data", "/evaluate")


class Options(NamedTuple):
    """Latency of the page Explore."""

    model: Annotated[str, tyro.conf.Positional]
    rounds: int = 20


def seconds_of(user: User, frames: int, rounds: int) -> list[float]:
    """Seconds that each of some grids took."""
    function = user.functions()["/show"]
    labels = [part["props"].get("label") for part in function["parts"]]
    values = [part["props"].get("value") for part in function["parts"]]
    values[labels.index("Frames")] = frames
    taken = []
    for seed in range(rounds):
        values[labels.index("Seed")] = seed
        begin = time.perf_counter()
        answer = user.call(function, values)
        taken.append(time.perf_counter() - begin)
        assert answer.body.count("data:image/webp") == 8, answer
    return taken


def processor_seconds() -> float:
    """Processor time of the processes that this one has started."""
    clocks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = (
                stat.read_text().rpartition(")")[2].split()
            )  # proc(5): parent is the fourth, times the 14th, 15th
        except OSError:  # it has ended meanwhile
            continue
        clocks += int(fields[11]) + int(fields[12]) if int(fields[1]) == os.getpid() else 0
    return clocks / os.sysconf("SC_CLK_TCK")


def main(options: Options) -> None:
    """Print them."""
    frames = vidgan.load(options.model).experiment.levels[-1].frames
    with studio(Path(), options.model) as address:
        user = User(address)
        for page in PAGES:
            assert user.ask(page).status == 200, page
        (first,) = seconds_of(user, frames, 1)
        before = processor_seconds()
        taken = seconds_of(user, frames, options.rounds)
        worked = (processor_seconds() - before) / options.rounds
    print(f"{options.model}: 8 clips of {frames} frames; {torch.get_num_threads()} thread(s)")
    print(f"first {first:.2f} s, median of {len(taken)} others {statistics.median(taken):.2f} s", end=", ")
    print(f"{min(taken):.2f} to {max(taken):.2f} s; processor {worked:.2f} s a grid; every page answers")


if __name__ == "__main__":
    main(tyro.cli(Options))
