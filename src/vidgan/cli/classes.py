"""``vidgan classes RUN``: scores by class beside how much each class moves."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from vidgan.cli.compare import read
from vidgan.cli.parse import parse
from vidgan.errors import UserError
from vidgan.report.words import count, number

MOTION = "motion-by-class"
SCORES = ("is-k400-by-class", "fid-k600-by-class", "frechet-in-domain-by-class", "frechet-random-by-class")
"""protocols that have a column, where they were measured"""
Line = Mapping[str, Any]


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
    for cells in table(chosen[MOTION], {name: chosen[name] for name in scores}):
        print("  " + "  ".join([cells[0].ljust(28), *(cell.rjust(12) for cell in cells[1:])]).rstrip())
    return 0


def table(motion: Line, scores: Mapping[str, Line]) -> list[list[str]]:
    """Cells: a row per class by its real motion, most first; then both halves' means and the correlations."""
    real, made = motion["values"]["real_motion_per_class"], motion["values"]["per_class"]
    columns = {"real motion": real, "generated": made}
    columns |= {name.removesuffix("-by-class"): line["values"]["per_class"] for name, line in scores.items()}
    names = sorted(real, key=lambda name: -real[name])
    half = len(names) // 2
    clips = motion["values"]["real_clips_per_class"]
    rows = [["class", *columns, "real clips"]]
    rows += [
        [name, *(cell(values.get(name)) for values in columns.values()), str(clips[name])] for name in names
    ]
    for title, part in (("more motion, mean", names[:half]), ("less motion, mean", names[-half:])):
        if part:
            means = [
                average([values[name] for name in part if name in values]) for values in columns.values()
            ]
            rows.append([title, *map(cell, means), ""])
    ranks = [rank_correlation(real, values) for values in columns.values()]
    rows.append(["rank correlation with motion", "", *map(cell, ranks[1:]), ""])
    return rows


def cell(value: float | None) -> str:
    """A number with four digits; a dash where there is none."""
    return "–" if value is None else number(value)


def average(values: Sequence[float]) -> float | None:
    """The mean; None of nothing."""
    return statistics.fmean(values) if values else None


def rank_correlation(a: Mapping[str, float], b: Mapping[str, float]) -> float | None:
    """Spearman's, over the classes that both have; None below three, or where one of them is constant."""
    names = [name for name in a if name in b]
    ranks = [ranked([values[name] for name in names]) for values in (a, b)]
    if len(names) < 3 or any(np.ptp(each) == 0 for each in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def ranked(values: Sequence[float]) -> list[float]:
    """The rank of every value; equal ones share the mean of theirs."""
    return [sum(v < value for v in values) + sum(v == value for v in values) / 2 for value in values]
