"""``vidgan classes RUN``: scores by class beside how much each class moves."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from vidgan.cli.compare import read
from vidgan.cli.parse import parse
from vidgan.errors import UserError
from vidgan.report.compare import by_class
from vidgan.report.words import count

MOTION = "motion-by-class"
SCORES = ("is-k400-by-class", "fid-k600-by-class", "frechet-in-domain-by-class", "frechet-random-by-class")
"""protocols that have a column, where they were measured"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Shows the newest scores by class that vidgan evaluate has measured, from the class that moves most to the least
    moving one, with the means of both halves and the rank correlation of a score with motion (SSW-GAN, Table 4).

    Measure them by the protocols motion-by-class and frechet-random-by-class, or another whose name ends so.
    """

    results: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|FOLDER|FILE.jsonl")]
    """run directory, folder of videos that were evaluated, or file of results"""


def run(args: list[str]) -> int:
    """Parse ``args`` and print the table."""
    options = parse(Options, "classes", args)
    lines = {entry.line["protocol"]: entry.line for entry in read(Path(options.results))}
    if MOTION not in lines or not (scores := [name for name in SCORES if name in lines]):
        raise UserError(
            f"{options.results} has no scores by class with their motion: measure them by vidgan evaluate "
            f"{options.results} --protocol {MOTION} frechet-random-by-class"
        )
    chosen = {name: lines[name] for name in (MOTION, *scores)}
    for name, line in chosen.items():
        step = "" if line.get("step") is None else f", step {line['step']}"
        print(f"{name}: {count(line['clips'], 'clip')}{step}, seed {line['seed']}")
    for cells in by_class(chosen[MOTION], {name: chosen[name] for name in scores}):
        print("  " + "  ".join([cells[0].ljust(28), *(cell.rjust(12) for cell in cells[1:])]).rstrip())
    return 0
