"""Du 2020, section 4.5, in small: which models turn dark, and which stand still, over training and several seeds.

``python experiments/dark_videos.py --out FOLDER`` trains the models of the thesis one after another, shrunk by plain
overrides of ``vidgan train``, draws mean pixel value and motion over training (after Figures 4.7, 4.10, 4.12 and 4.13)
and prints a table. The same command resumes where it was stopped; what is finished is not trained again.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vidgan.cli import main as vidgan
from vidgan.presets import preset
from vidgan.report.compare import Values, logged, mean_curve
from vidgan.report.figures import Curve, Plot, save
from vidgan.run.collapse import COLOURS
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_ticks

BAD_INPUT = 2
"""exit status of what a user can mend, and of a run that diverged"""
BINS, TICKS = 25, 8
"""points of a curve, and watched steps that each is the mean of"""


class Variant(NamedTuple):
    """A model of section 4.5."""

    preset: str
    words: str


VARIANTS = (
    Variant("guide-original", "original: hinge on sums, time in channels"),
    Variant("guide-per-frame-hinge", "hinge per frame"),
    Variant("guide-k400-12x64", "hinge per frame, time in the batch"),
    Variant("guide-pixel-loss-2-at-50k", "original with pixel loss 2"),
    Variant("guide-no-clip-discriminator", "original without clip discriminator"),
)


class Sizes(NamedTuple):
    """What makes the models small."""

    steps: int
    width: int
    side: int
    batch: int
    rates: float


def overrides(name: str, sizes: Sizes) -> list[str]:
    """Options of ``vidgan train`` that shrink a preset and keep its structure, proportions and ratio of rates."""
    experiment = preset(name)
    (level,) = experiment.levels
    adam, loss = experiment.training.adam, experiment.training.pixel_loss
    options = {
        "levels.0.stride": 1,
        "levels.0.generator.side": sizes.side,
        "levels.0.generator.width": sizes.width,
        **{f"levels.0.discriminators.{i}.body.width": sizes.width for i in range(len(level.discriminators))},
        "training.steps": sizes.steps,
        "training.batch.global-batch": sizes.batch,
        "training.adam.generator-rate": sizes.rates * adam.generator_rate,
        "training.adam.discriminator-rate": sizes.rates * adam.discriminator_rate,
        "training.standing_statistics.batches": 4,
        "training.standing_statistics.clips": sizes.batch,
        "training.bf16": False,
        "reporting.tick": max(1, sizes.steps // (BINS * TICKS)),
        "reporting.checkpoint": max(1, sizes.steps // 10),
        "reporting.samples": max(1, sizes.steps // 5),
        "reporting.keep": 1,
    }
    if loss is not None:  # at the same part of training as in the thesis
        options["training.pixel-loss.start"] = sizes.steps * loss.start // experiment.training.steps
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def last_step(run: Path) -> int:
    """The last step in a run's log; 0 where there is none."""
    lines = read_ticks(RunDirectory.open(run).log.path) if (run / "experiment.json").exists() else []
    return max((int(line["step"]) for line in lines), default=0)


def binned(values: Values, size: int) -> Values:
    """Means over ``size`` successive points, at the last one's step."""
    points = sorted(values.items())
    parts = [points[i : i + size] for i in range(0, len(points) - size + 1, size)]
    return {part[-1][0]: statistics.fmean(value for _, value in part) for part in parts}


def signal(runs: Sequence[RunDirectory], names: Sequence[str]) -> list[Values]:
    """Each run's mean of some logged values, in bins."""
    tables = [logged(runs, name, 1) for name in names]
    size = max(1, min(len(table) for table in tables[0]) // BINS)
    found = []
    for own in zip(*tables, strict=True):
        mean = {step: statistics.fmean(table[step] for table in own) for step in own[0]}
        found.append(binned(mean, size))
    return found


SIGNALS: Mapping[str, tuple[str, ...]] = {
    "mean pixel value, in [0, 1]": tuple(f"pixel/{{}} {colour}" for colour in COLOURS),
    "motion: mean difference of frames": ("motion/{}",),
    "part of dark videos": ("dark/{}",),
}
"""What is drawn: the means of these logged values, of real and of fake clips."""


def curves(names: Sequence[str], groups: Mapping[str, Sequence[RunDirectory]]) -> list[Curve]:
    """A curve per model, and one of the real clips that the first was trained on."""
    made = [
        mean_curve(words, signal(runs, [name.format("fake") for name in names]))
        for words, runs in groups.items()
    ]
    first = next(iter(groups.values()))
    return [*made, mean_curve("real clips", signal(first, [name.format("real") for name in names]))]


def show(out: Path, seeds: Sequence[int]) -> None:
    """Draw and print what has been trained; a model counts with the runs that have a log."""
    groups: dict[str, list[RunDirectory]] = {}
    for variant in VARIANTS:
        paths = [out / f"{variant.preset}-seed{seed}" for seed in seeds]
        if found := [RunDirectory.open(path) for path in paths if last_step(path)]:
            groups[variant.words] = found
    plots = [Plot(title, "step", "value", curves(names, groups)) for title, names in SIGNALS.items()]
    save(out / "dark-videos.svg", plots)
    print("| model | " + " | ".join(f"{plot.title}: range, end" for plot in plots) + " |")
    print("|---" * (len(plots) + 1) + "|")
    for row in zip(*(plot.curves for plot in plots), strict=True):
        cells = []
        for curve in row:
            least, most = (choose(point.y for point in curve.points) for choose in (min, max))
            end = curve.points[-1]
            spread = "" if end.deviation is None else f" ± {end.deviation:.4f}"
            cells.append(f"{least:.4f} to {most:.4f}, {end.y:.4f}{spread}")
        print(f"| {row[0].name} | {' | '.join(cells)} |")
    print(f"wrote {out / 'dark-videos.svg'}", flush=True)


def train(out: Path, variant: Variant, seed: int, data: str, sizes: Sizes) -> bool:
    """Train or resume one run; False where a signal stopped it. One that diverged is left where it did."""
    run = out / f"{variant.preset}-seed{seed}"
    if last_step(run) < sizes.steps:
        command = ["train", variant.preset, "--data", data, "--out", str(run), "--resume", "auto"]
        command += ["--seed", str(seed), "--workers", "0", *overrides(variant.preset, sizes)]
        status = vidgan(command)
        if status not in (0, BAD_INPUT):
            raise SystemExit(status)
        return status == BAD_INPUT or last_step(run) >= sizes.steps
    return True


def main() -> None:
    """Train all models under all seeds, seed by seed, and show them after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs, the figure beside them")
    parser.add_argument("--data", default="synthetic", help="prepared clips, or synthetic")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=2000, help="of each run; the thesis trains 110,000")
    parser.add_argument("--width", type=int, default=8, help="of all networks; the thesis has 64")
    parser.add_argument("--side", type=int, default=1, help="of the first map; videos are 16 times as large")
    parser.add_argument("--batch", type=int, default=8, help="the thesis has 108")
    parser.add_argument("--rates", type=float, default=4.0, help="factor on the thesis's learning rates")
    parser.add_argument("--show", action="store_true", help="train nothing: draw what there is")
    options = parser.parse_args()
    sizes = Sizes(options.steps, options.width, options.side, options.batch, options.rates)
    for seed in options.seeds:
        for variant in VARIANTS:
            if not options.show and not train(options.out, variant, seed, options.data, sizes):
                return  # stopped by a signal, all saved
    show(options.out, options.seeds)


if __name__ == "__main__":
    main()
