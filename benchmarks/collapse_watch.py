"""What the collapse watch says of runs: ten healthy ones and some that are made to fail, or runs that are there.

``python benchmarks/collapse_watch.py --out runs/watch`` trains them, resumes what is unfinished and prints a table;
``python benchmarks/collapse_watch.py RUN...`` prints it for runs that were trained already. A rule's number is its
largest severity once it counted: below 1 there was no alarm, and how much room there was shows.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vidgan.cli import main as vidgan
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_lines
from vidgan.run.rules import RULES
from vidgan.run.watch import Watch

HEALTHY = (("demo", 4), ("demo-cascade", 3), ("demo-cascade-no-matching", 3))
"""presets, and how many seeds of each"""
FAILING = {
    "critic-rate-0": ("--training.adam.critic-rate", "0"),
    "generator-rate-1e30": ("--training.adam.generator-rate", "1e30"),
}
"""bad settings, each with the demo"""


def train(out: Path, steps: int, tiny: bool) -> list[Path]:
    """Train all runs below ``out``; those that are finished stay."""
    shrunk = ["--tiny"] if tiny else []
    commands = {
        f"{name}-seed{seed}": [name, "--seed", str(seed), *shrunk]
        for name, seeds in HEALTHY
        for seed in range(seeds)
    }
    commands |= {name: ["demo", *shrunk, *options] for name, options in FAILING.items()}
    for name, words in commands.items():
        place = ["--data", "synthetic", "--out", str(out / name), "--resume", "auto", "--workers", "0"]
        rarely = ["--reporting.samples", str(steps), "--reporting.checkpoint", "50"]
        vidgan(["train", *words, *place, *rarely, "--steps", str(steps)])  # what diverges ends with status 2
    return [out / name for name in commands]


def row(path: Path) -> str:
    """A run in the table: how long it was watched, alarms, the severest reading of each rule."""
    run = RunDirectory.open(path)
    lines, told = read_lines(run.log.path), []
    worst: dict[str, float] = {}
    ticks = 0
    for level in range(1, len(run.experiment.levels) + 1):
        watch = Watch(run.experiment.reporting.watch)
        for line in lines:
            if line["level"] != level:
                continue
            ticks += 1
            told += [
                f"{a.rule} at {a.step} (since {a.onset})" for a in watch.see(line["step"], line["scalars"])
            ]
            for rule in RULES:
                reading = rule.read(watch.spec, line["scalars"])
                if reading is not None and watch.counts(rule):
                    worst[rule.name] = max(worst.get(rule.name, 0.0), reading.severity)
    cells = [f"{worst[rule.name]:.2g}" if rule.name in worst else "" for rule in RULES]
    last = lines[-1]["step"] if lines else 0
    seed = run.experiment.training.seed
    return " | ".join(
        ["", f"`{path.name}`", str(seed), str(last), str(ticks), *cells, ", ".join(told) or "none", ""]
    )


def table(paths: Sequence[Path]) -> str:
    """All runs."""
    head = ["", "run", "seed", "steps", "ticks", *(rule.name for rule in RULES), "alarms", ""]
    lines = [" | ".join(head), "|" + "---|" * (len(head) - 2), *map(row, paths)]
    return "\n".join(line.strip() for line in lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "runs", nargs="*", type=Path, help="runs that are there; without them all are trained"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/watch"), help="folder for trained runs (runs/watch)"
    )
    parser.add_argument("--steps", type=int, default=2000, help="steps of each run (2000)")
    parser.add_argument("--tiny", action="store_true", help="shrink the presets, to try the script")
    given = parser.parse_args()
    print(table(given.runs or train(given.out, given.steps, given.tiny)))
