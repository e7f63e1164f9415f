"""A preset and variants of it, trained for as many steps each and measured at the same steps: a table per protocol.

``python experiments/variants.py PRESET PLAN.json --out FOLDER`` where the plan names each variant by the options of
``vidgan train`` that make it:

    {"preset": [], "turned": ["--training.adam.generator-rate", "1e-3", "--training.adam.discriminator-rate", "2e-3"]}

Every seed of every variant is a run ``FOLDER/VARIANT-SEED`` of its own. The same command resumes what was interrupted,
and measures nothing twice; several may share a FOLDER, each with other ``--variants`` or ``--seeds``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vidgan.errors import UserError
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_results

VIDGAN = (sys.executable, "-m", "vidgan")


def call(*words: object) -> None:
    """Run a command of vidgan on one thread; ends this program where it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*VIDGAN, *map(str, words)], env=environment, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def train(preset: str, options: Sequence[str], run: Path, seed: int, asked: argparse.Namespace) -> None:
    """Train the run to the last step that is measured, and keep what is measured."""
    keep = asked.steps // asked.every
    call(
        *("train", preset, "--data", asked.data, "--out", run, "--seed", seed, "--steps", asked.steps),
        *("--workers", 0, "--resume", "auto"),
        *(
            "--reporting.checkpoint",
            asked.every,
            "--reporting.keep",
            keep,
            "--reporting.samples",
            asked.steps,
        ),
        *options,
    )


def measure(run: Path, asked: argparse.Namespace) -> None:
    """Measure every checkpoint by what it was not measured by yet."""
    known = {(line["protocol"], line["step"]) for line in results(run)}
    for step in range(asked.every, asked.steps + 1, asked.every):
        wanted = [name for name in asked.protocols if (name, step) not in known]
        if wanted:
            clips = () if asked.clips is None else ("--clips", asked.clips)
            cache = ("--cache", asked.out / "features")
            call("evaluate", run, "--protocol", *wanted, "--checkpoint", step, *clips, *cache)


def results(run: Path) -> list[dict[str, Any]]:
    """What was measured of a run by now."""
    return (
        list(read_results(RunDirectory.open(run).metrics.path)) if (run / "experiment.json").exists() else []
    )


def table(names: Sequence[str], seeds: Sequence[int], protocol: str, asked: argparse.Namespace) -> list[str]:
    """Lines of Markdown: a row per variant and step, a column per seed, and their mean and deviation."""
    lines = [
        f"**{protocol}**",
        "",
        "| variant | step | " + " | ".join(f"seed {seed}" for seed in seeds) + " | mean ± deviation |",
        "|---|---|" + "---|" * (len(seeds) + 1),
    ]
    for name in names:
        values = {
            (seed, line["step"]): line["value"]
            for seed in seeds
            for line in results(asked.out / f"{name}-{seed}")
            if line["protocol"] == protocol
        }
        for step in sorted({step for _, step in values}):
            row = [values.get((seed, step)) for seed in seeds]
            found = [value for value in row if value is not None]
            spread = f" ± {statistics.stdev(found):.2g}" if len(found) > 1 else ""
            cells = ["" if value is None else f"{value:.4g}" for value in row]
            lines.append(
                f"| {name} | {step} | " + " | ".join(cells) + f" | {statistics.fmean(found):.4g}{spread} |"
            )
    return [*lines, ""]


def main() -> None:
    """Train, measure, write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("preset")
    parser.add_argument("plan", type=Path, help="variants by name, each a list of options of vidgan train")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs and tables.md")
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--every", type=int, default=500, help="steps between measurements")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", help="only these of the plan")
    parser.add_argument("--protocols", nargs="+", default=["frechet-random"])
    parser.add_argument("--clips", type=int, help="evaluated clips (as the protocols say)")
    asked = parser.parse_args()
    plan: dict[str, list[str]] = json.loads(asked.plan.read_text())
    names = asked.variants or list(plan)
    asked.out.mkdir(parents=True, exist_ok=True)
    for seed in asked.seeds:
        for name in names:
            run = asked.out / f"{name}-{seed}"
            train(asked.preset, plan[name], run, seed, asked)
            measure(run, asked)
            lines = [line for each in asked.protocols for line in table(names, asked.seeds, each, asked)]
            (asked.out / "tables.md").write_text("\n".join(lines))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from error
