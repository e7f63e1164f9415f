"""A training step of a public PyTorch DVD-GAN beside this package's, of the same sizes, in turns.

    git clone https://github.com/Harrypotterrrr/DVD-GAN ../peer
    python benchmarks/bench_peer.py --peer ../peer

12 frames of 64x64, two updates of the discriminators and one of the generator; processor time, time of the clock, and
the most memory that each process held. Networks are not quite the same: the peer's recurrent layers are stacks of
three, and its discriminators are shallower.
"""

import argparse
import statistics
from pathlib import Path

import torch

from interleaved import Result, mib, show, show_machine
from sides import Side, Taken

HERE = Path(__file__).resolve().parent
PRESET = "dvd-gan-k600-12x64"


class Settings(argparse.Namespace):
    """What the command line gives."""

    peer: Path | None
    width: int
    batch: int
    rounds: int
    threads: int
    dtypes: list[str]


def sides(settings: Settings) -> list[Side]:
    """The peer first, where there is one."""
    size = (settings.width, settings.batch)
    found = []
    if settings.peer is not None:
        found.append(
            Side("peer", (HERE / "peer_process.py", settings.peer.resolve(), *size), settings.threads)
        )
    return found + [
        Side(
            f"vidgan, {dtype}",
            (HERE / "step_process.py", HERE.parent, PRESET, *size, dtype),
            settings.threads,
        )
        for dtype in settings.dtypes
    ]


def main(settings: Settings) -> None:
    show_machine(torch.device("cpu"))
    ready = sides(settings)
    taken: list[list[Taken]] = [[] for _ in ready]
    for number in range(settings.rounds):
        for i in range(len(ready)) if number % 2 == 0 else reversed(range(len(ready))):
            taken[i].append(ready[i].step())
    results = []
    for side, own in zip(ready, taken, strict=True):
        ratios = [each.processor / first.processor for first, each in zip(taken[0], own, strict=True)]
        results.append(Result(side.name, [each.processor for each in own], ratios))
    notes = [
        f"{1 / statistics.median(result.ratios):.2f} times the speed; "
        f"{statistics.median(each.clock for each in own):.2f} s by the clock, "
        f"{mib(int(statistics.median(each.memory for each in own)))}"
        for result, own in zip(results, taken, strict=True)
    ]
    title = (
        f"processor time of a step of {settings.batch} clips of 12x64x64 at width {settings.width}, "
        f"threads: {settings.threads}"
    )
    show(title, results, items=settings.batch, notes=notes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "--peer", type=Path, help="folder of its checkout; without, this package alone is timed"
    )
    parser.add_argument("--width", type=int, default=16, help="channels of the narrowest layers (16)")
    parser.add_argument("--batch", type=int, default=2, help="clips per update (2)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements per side (5)")
    parser.add_argument("--threads", type=int, default=1, help="compute threads of each process (1)")
    parser.add_argument(
        "--dtypes", nargs="+", default=["float32", "bfloat16"], help="what this package computes in"
    )
    main(parser.parse_args(namespace=Settings()))
