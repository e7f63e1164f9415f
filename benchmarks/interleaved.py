"""Times several ways of doing something in turn, again and again, and compares them round by round.

A machine's speed drifts: other programs, heat, clocks. Runs that take turns drift together, so their ratio is
worth more than either time. The first case is the reference.
"""

import argparse
import platform
import re
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

import vidgan
from vidgan.run.distributed import choose_device
from vidgan.train.plan import LiveTensors

LEAST = 0.05
"""seconds that one measurement takes at least; shorter work is repeated"""
WARM = 2
"""calls before anything is measured"""
LONG = 1.0
"""seconds of work for which a single warm call will do"""

Measure = Callable[[], float]
"""Does the work and tells how many seconds one piece of it took."""


class Case(NamedTuple):
    """One way of doing it."""

    name: str
    measure: Measure


class Result(NamedTuple):
    """What was measured of a case."""

    name: str
    seconds: Sequence[float]
    """one per round"""
    ratios: Sequence[float]
    """over the first case's seconds of the same round"""


class Row(NamedTuple):
    """A line of a table that :func:`show` printed."""

    title: str
    case: str
    milliseconds: float
    """median over the rounds"""
    ratio: float
    """median of the ratios to the first case, in the same round"""
    least: float
    most: float


class Rounds(argparse.Namespace):
    """What a benchmark of the CPU takes on its command line."""

    rounds: int


class Settings(Rounds):
    """What others take, too."""

    device: torch.device


def options_on_a_cpu(description: str, rounds: int) -> argparse.ArgumentParser:
    """A parser of :class:`Rounds`; a script may add options of its own."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=rounds, help=f"measurements per case ({rounds})")
    return parser


def options(description: str, rounds: int) -> argparse.ArgumentParser:
    """A parser of :class:`Settings`; a script may add options of its own."""
    parser = options_on_a_cpu(description, rounds)
    parser.add_argument(
        "--device", type=torch.device, default=choose_device(), help="the GPU if torch sees one, else the CPU"
    )
    return parser


def interleave(cases: Sequence[Case], rounds: int) -> list[Result]:
    """Measure all ``cases`` ``rounds`` times, every other round backwards."""
    seconds: list[list[float]] = [[] for _ in cases]
    for number in range(rounds):
        order = range(len(cases)) if number % 2 == 0 else reversed(range(len(cases)))
        for i in order:
            seconds[i].append(cases[i].measure())
    return [
        Result(case.name, own, [a / b for a, b in zip(own, seconds[0], strict=True)])
        for case, own in zip(cases, seconds, strict=True)
    ]


def timed(
    work: Callable[[], object], device: torch.device, clock: Callable[[], float] = time.perf_counter
) -> Measure:
    """Measures ``work`` itself, warm, and with the device's work done.

    Args:
        clock: seconds; ``time.process_time`` leaves out what other programs take of a crowded CPU.
    """

    def run(times: int) -> float:
        synchronise(device)
        began = clock()
        for _ in range(times):
            work()
        synchronise(device)
        return (clock() - began) / times

    seconds = run(1)
    if seconds < LONG:
        run(WARM - 1)
        seconds = run(1)
    times = max(1, round(LEAST / seconds))
    return lambda: run(times)


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done all that it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_bytes(work: Callable[[], object], device: torch.device) -> int:
    """The most memory that tensors made by ``work`` hold at a time; on a GPU, also what was held before."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        work()
        return torch.cuda.max_memory_allocated(device)
    with LiveTensors() as live:
        work()
    return live.most


def machine(device: torch.device) -> str:
    """What numbers depend on, in words."""
    if device.type == "cuda":
        where = torch.cuda.get_device_name(device)
    else:
        where = f"CPU {platform.machine()}, {torch.get_num_threads()} threads"
    return (
        f"vidgan {vidgan.__version__}, torch {torch.__version__}, Python {platform.python_version()}; {where}"
    )


def show_machine(device: torch.device) -> None:
    """Print what the numbers below depend on."""
    print(machine(device))


def show(title: str, results: Sequence[Result], items: int = 0, notes: Sequence[str] = ()) -> None:
    """Print a table: the median time, and the ratio to the first case with its least and greatest value.

    Args:
        items: clips that one piece of work handles; with them, clips per second are shown.
        notes: a remark per case, shown in a last column.
    """
    width = max(len(result.name) for result in results)
    rounds = len(results[0].seconds)
    rate = f"{'clips/s':>10}" if items else ""
    print(f"\n{title} (medians of {rounds} interleaved rounds)")
    print(f"  {'':{width}} {'ms':>10}{rate}{'ratio':>8}  least-most")
    for result, note in zip(results, notes or [""] * len(results), strict=True):
        median = statistics.median(result.seconds)
        speed = f" {items / median:9.1f}" if items else ""
        ratio = f"{statistics.median(result.ratios):8.2f}  {min(result.ratios):.2f}-{max(result.ratios):.2f}"
        print(f"  {result.name:{width}} {1000 * median:10.3f}{speed}{ratio}  {note}".rstrip())


TITLE = re.compile(r"(?P<title>.+) \(medians of \d+ interleaved rounds\)")
LINE = re.compile(
    r"  (?P<case>.+?) +(?P<ms>\d+\.\d{3})(?: +\d+\.\d)? +"
    r"(?P<ratio>\d+\.\d\d)  (?P<least>[\d.]+)-(?P<most>[\d.]+)(?:  .*)?"
)


def rows_of(text: str) -> list[Row]:
    """The lines of all tables that :func:`show` printed, among whatever else a script prints."""
    title, found = "", []
    for line in text.splitlines():
        if head := TITLE.fullmatch(line):
            title = head["title"]
        elif row := LINE.fullmatch(line):
            numbers = (float(row[name]) for name in ("ms", "ratio", "least", "most"))
            found.append(Row(title, row["case"], *numbers))
    return found


def mib(size: int) -> str:
    """A number of bytes, to be read."""
    return f"{size / 2**20:.1f} MiB"
