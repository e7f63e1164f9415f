"""The training step of this checkout beside that of an older one, by processor time.

    git worktree add ../before 66b4565
    python benchmarks/compare_checkouts.py ../before

Each has a process of its own, set up as the checkout's command line does, and they take turns, so that a machine that
slows down slows both. What becomes of freed memory is the same on both sides where the environment says it, as in

    MALLOC_TRIM_THRESHOLD_=2147483647 MALLOC_MMAP_THRESHOLD_=33554432 python benchmarks/compare_checkouts.py ../before
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from interleaved import Case, Measure, interleave, show, show_machine
from sides import Side

HERE = Path(__file__).resolve().parent


class Subject(NamedTuple):
    """A training step."""

    preset: str
    width: int
    """0: the preset's own"""
    batch: int
    dtype: str

    @classmethod
    def read(cls, text: str) -> "Subject":
        """``preset:width:batch:dtype``."""
        preset, width, batch, dtype = text.split(":")
        return cls(preset, int(width), int(batch), dtype)


SUBJECTS = (
    "dvd-gan-k600-12x64:16:2:float32",
    "dvd-gan-k600-12x64:16:2:bfloat16",
    "dvd-gan-k600-12x64:16:8:float32",
    "dvd-gan-k600-12x64:16:8:bfloat16",
    "demo:0:8:float32",
)
"""Width 16 at 64x64x12, small and large batches, and the demo."""


class Settings(argparse.Namespace):
    """What the command line gives."""

    before: Path
    subjects: list[Subject]
    rounds: int
    threads: int


def start(checkout: Path, subject: Subject, threads: int) -> Measure:
    """A process that trains ``subject`` with the code of ``checkout``; measures a step's processor time."""
    side = Side(str(checkout), (HERE / "step_process.py", checkout, *subject), threads)
    return lambda: side.step().processor


def main(settings: Settings) -> None:
    show_machine(torch.device("cpu"))
    places: Sequence[tuple[str, Path]] = (("before", settings.before.resolve()), ("now", HERE.parent))
    for subject in settings.subjects:
        cases = [Case(name, start(place, subject, settings.threads)) for name, place in places]
        width = f" at width {subject.width}" if subject.width else ""
        title = f"a step of {subject.preset}{width}, {subject.batch} clips, {subject.dtype}"
        show(title, interleave(cases, settings.rounds), items=subject.batch)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("before", type=Path, help="folder of the older checkout")
    parser.add_argument(
        "subjects",
        nargs="*",
        type=Subject.read,
        default=[Subject.read(text) for text in SUBJECTS],
        help="preset:width:batch:dtype, width 0 for the preset's own",
    )
    parser.add_argument("--rounds", type=int, default=5, help="measurements per case (5)")
    parser.add_argument("--threads", type=int, default=1, help="compute threads of each process (1)")
    main(parser.parse_args(namespace=Settings()))
