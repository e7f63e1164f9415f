"""What the collapse detector says of runs: ten healthy ones and some that are made to fail, or runs that are there.

``python experiments/collapse_detector.py --out runs/watch`` trains them, resumes what is unfinished and prints a table;
``python experiments/collapse_detector.py RUN...`` prints it for runs that were trained already. A rule's number is its
largest severity once it counted: below 1 there was no alarm, and how much room there was shows.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vidgan.cli import main as vidgan
from vidgan.errors import UserError
from vidgan.run.collapse import RULES, CollapseDetector
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_ticks

HEALTHY = (("demo", 4), ("demo-cascade", 3), ("demo-cascade-no-matching", 3))
"""presets, and how many seeds of each"""
BATCH = ("--training.batch.global-batch", "16", "--training.batch.micro-batch", "16")
RATES = "--training.adam.generator-rate", "--training.adam.discriminator-rate"
FAILING = {
    "both-rates-x1000": ("demo", RATES[0], "3", RATES[1], "2"),
    "generator-rate-x100": ("demo", RATES[0], "0.3"),
    "slow-discriminators": ("demo", RATES[0], "3e-2", RATES[1], "2e-5", *BATCH),
    "no-clip-discriminator": (
        "guide-no-clip-discriminator",
        *("--levels.0.stride", "1", "--levels.0.generator.side", "1"),
        *BATCH,
    ),
    "discriminator-rate-0": ("demo", RATES[1], "0"),
    "generator-rate-1e30": ("demo", RATES[0], "1e30"),
}
"""bad settings of shrunk presets, with a tick every step"""
FAILING_STEPS = 60
TICKS = 60
"""watched steps of a healthy run: more than the rules' grace"""


def train(out: Path, steps: int, tiny: bool, failing: bool) -> list[Path]:
    """Train all runs below ``out``, or those alone that are made to fail; what is finished stays."""
    shrunk = ["--tiny"] if tiny else []
    commands = {
        f"{name}-seed{seed}": [name, "--seed", str(seed), "--steps", str(steps), *shrunk]
        for name, seeds in HEALTHY
        for seed in range(0 if failing else seeds)
    }
    commands |= {name: [*words, "--tiny", "--steps", str(FAILING_STEPS)] for name, words in FAILING.items()}
    for name, words in commands.items():
        place = ["--data", "synthetic", "--out", str(out / name), "--resume", "auto", "--workers", "0"]
        rarely = ["--reporting.samples", str(steps), "--reporting.checkpoint", "50"]
        if name not in FAILING:
            rarely += ["--reporting.tick", str(max(1, steps // TICKS))]
        vidgan(["train", *words, *place, *rarely])  # what diverges ends with status 2
    return [out / name for name in commands]


def row(path: Path) -> str:
    """A run in the table: how long it was watched, alarms, the severest reading of each rule."""
    run = RunDirectory.open(path)
    lines, told = read_ticks(run.log.path), []
    worst: dict[str, float] = {}
    ticks = 0
    for level in range(1, len(run.experiment.levels) + 1):
        detector = CollapseDetector(run.experiment.reporting.collapse)
        for line in lines:
            if line["level"] != level:
                continue
            ticks += 1
            told += [
                f"{a.rule} at {a.step} (since {a.onset})" for a in detector.see(line["step"], line["scalars"])
            ]
            for rule in RULES:
                for about, reading in rule.read(detector.spec, line["scalars"]).items():
                    if detector.counts(rule, about):
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
    parser.add_argument("--steps", type=int, default=2000, help="steps of each healthy run (2000)")
    parser.add_argument("--tiny", action="store_true", help="shrink the presets, to try the script")
    parser.add_argument("--failing", action="store_true", help="only runs that are made to fail: two minutes")
    given = parser.parse_args()
    try:
        print(table(given.runs or train(given.out, given.steps, given.tiny, given.failing)))
    except UserError as error:
        raise SystemExit(str(error)) from error
