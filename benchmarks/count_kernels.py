"""Kernels that a training step starts on a GPU, of this checkout and of an older one: the table of docs/costs.md.

    git worktree add ../before 66b4565
    python benchmarks/count_kernels.py ../before

Nothing is computed; it takes a few minutes.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

HERE = Path(__file__).resolve().parent
CLIPS: Final = 2
"""in a batch and a pass; most kernels are as many for any number"""


class Subject(NamedTuple):
    """A level of a preset."""

    preset: str
    level: int = 1

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"`{self.preset}`" + (f" level {self.level}" if self.preset.startswith("ssw") else "")


SUBJECTS: Final = (
    Subject("dvd-gan-k600-12x64"),
    Subject("dvd-gan-fp-k600-16x64"),
    Subject("trivd-gan-fp-k600-16x64"),
    Subject("guide-k400-12x64"),
    Subject("ssw-gan-k600-48x128", 2),
    Subject("ssw-gan-k600-48x128", 1),
)
"""Synthesis, prediction, a unit that warps, the Guide's networks, a level fed by another, which is left out, and one
that is mostly recurrence."""
HEAD: Final = "| preset | 66b4565 | now | of it | with its penalty |\n| --- | ---: | ---: | ---: | ---: |"


def counted(checkout: Path, subject: Subject, penalty: bool) -> int:
    """Kernels of a step of ``subject`` with the code of ``checkout``."""
    words = (HERE / "kernel_process.py", checkout, *subject, CLIPS, penalty)
    told = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=True)
    return int(told.stdout.split()[-1])


def row(subject: Subject, before: int, now: int, own: int) -> str:
    """A line of the table."""
    return f"| {subject.name} | {before:,} | {now:,} | {now / before:.2f} | {own:,} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("before", type=Path, help="folder of the older checkout")
    before = parser.parse_args().before.resolve()
    print(HEAD, flush=True)
    for subject in SUBJECTS:
        counts = (
            counted(before, subject, False),
            counted(HERE.parent, subject, False),
            counted(HERE.parent, subject, True),
        )
        print(row(subject, *counts), flush=True)


if __name__ == "__main__":
    main()
