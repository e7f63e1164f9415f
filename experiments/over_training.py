"""Presets over training, a panel per protocol: mean and deviation over seeds (Clark et al. 2019, Figure 7).

``python experiments/over_training.py PRESET ... --data DATA --out FOLDER`` trains each preset under several seeds, one
run after another, measures it by all protocols while it trains, and draws ``curves.svg``. With ``--in-small`` presets
of DVD-GAN are shrunk to the demo's size and trained on built-in clips, each with its own normalisation, unit, blocks
and views: minutes on a core. The same command resumes where it was stopped; what is finished is not trained again.

Figure 7 itself, and in small what C says of normalisation and A.2 of recurrent units:

    python experiments/over_training.py dvd-gan-phi-none dvd-gan-phi-avg2 dvd-gan-phi-avg4 dvd-gan-phi-crop \\
        --data data/k600-train --weights i3d-600.pt --protocols fid-k600-avgpool is-k600 --out runs/figure7-phi
    python experiments/over_training.py dvd-gan-norm-group dvd-gan-norm-layer dvd-gan-norm-instance \\
        dvd-gan-norm-none dvd-gan-norm-all-frames dvd-gan-norm-none-in-blocks dvd-gan-norm-no-final dvd-gan-phi-avg2 \\
        --in-small --out runs/norms-in-small
    python experiments/over_training.py dvd-gan-unit-multiplicative-12x64 dvd-gan-unit-convgru-12x64 \\
        dvd-gan-unit-multiplicative-48x64 dvd-gan-unit-convgru-48x64 --in-small --out runs/units-in-small
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from vidgan.cli import main as vidgan
from vidgan.files import write_text
from vidgan.models.discriminator import DiscriminatorSpec
from vidgan.models.level import LevelSpec
from vidgan.models.views import FramesSpec
from vidgan.nn.norm import GroupNormSpec, NormSpec
from vidgan.presets import preset
from vidgan.presets.demo import demo
from vidgan.report.compare import over_training
from vidgan.report.figures import Plot, save
from vidgan.run.directory import RunDirectory
from vidgan.run.experiment import Experiment
from vidgan.spec import to_json

IN_SMALL = ("frechet-random", "oracle-accuracy")
"""protocols without weights, for built-in clips: a distance, and how often a clip shows its class"""


def small(name: str) -> Experiment:
    """A preset of DVD-GAN at the demo's size, with its own normalisation, unit, residual blocks and views.

    Two thirds of its frames, as the demo has of the main model's: 8 of 12, 32 of 48. Training is the demo's.

    Raises:
        SystemExit: if the preset is no DVD-GAN without given frames, or its frame discriminator sees more frames than
            there are in small.
    """
    paper, tour = preset(name), demo()
    if len(paper.levels) != 1 or not name.startswith("dvd-gan-") or paper.levels[0].context_frames:
        sys.exit(f"{name} cannot be shrunk: --in-small takes presets of DVD-GAN that are given no frames")
    (level,), (little,) = paper.levels, tour.levels
    first, second, *_, last = level.generator.stages
    part = little.generator.width / level.generator.width
    generator = level.generator.replace(
        norm=small_norm(level.generator.norm, part),
        final_norm=small_norm(level.generator.final_norm, part),
        width=little.generator.width,
        side=little.generator.side,
        channels=little.generator.channels,
        stages=(
            first.replace(channels=4, blocks=1),
            second.replace(channels=2, blocks=1),
            last.replace(channels=1, temporal=()),
        ),
    )
    frames = level.frames * 2 // 3
    for own in level.discriminators:
        if isinstance(own.view, FramesSpec) and own.view.k > frames:
            sys.exit(
                f"{name} cannot be shrunk: its frame discriminator sees {own.view.k} frames, and clips in small have "
                f"{frames}"
            )
    discriminators = tuple(
        small_discriminator(own, example)
        for own, example in zip(level.discriminators, little.discriminators, strict=True)
    )
    return paper.replace(
        description=f"{paper.description} In small, on built-in clips.",
        deviations=(
            "in small: sizes, training and built-in clips are the demo's, with two thirds of the frames, of which the "
            "frame discriminator sees as many as of all (8 of 8 where that was 8 of 12), and without the separable "
            "attention before the last block; the preset's own are its normalisation (in groups of as many channels), "
            "recurrent unit, residual blocks and views",
            *paper.deviations,
        ),
        levels=(
            LevelSpec(
                generator=generator,
                discriminators=discriminators,
                objective=little.objective,
                frames=frames,
            ),
        ),
        classes=tour.classes,
        training=tour.training,
        reporting=tour.reporting,
    )


def small_norm(norm: NormSpec, part: float) -> NormSpec:
    """With as many fewer groups as there are fewer channels: 32 groups of 32 channels would normalise each alone."""
    if not isinstance(norm, GroupNormSpec):
        return norm
    return norm.replace(groups=max(1, round(part * norm.groups)))


def small_discriminator(own: DiscriminatorSpec, example: DiscriminatorSpec) -> DiscriminatorSpec:
    """The demo's discriminator with the view and the residual blocks of the preset's."""
    return example.replace(view=own.view, body=example.body.replace(residual=own.body.residual))


def train(name: str, seed: int, given: argparse.Namespace) -> RunDirectory:
    """Train one run to its end, measuring it on the way, or as far as is missing.

    Raises:
        SystemExit: if it fails or was stopped; the same command resumes.
    """
    chosen, source = name, given.data
    if given.in_small:
        chosen, source = str(given.out / f"{name}.json"), given.data or "synthetic"
        write_text(Path(chosen), json.dumps(to_json(small(name)), indent=2))
    out = given.out / f"{name}-seed{seed}"
    words = ["train", chosen, "--data", source, "--out", out, "--seed", seed, "--workers", given.workers]
    words += ["--resume", "auto", "--reporting.evaluate", *given.protocols]
    words += ["--reporting.best.every", given.every]
    optional = {"--steps": given.steps, "--weights": given.weights, "--reporting.best.clips": given.clips}
    for option, value in optional.items():
        words += [] if value is None else [option, value]
    status = vidgan([str(word) for word in words])
    if status:
        sys.exit(status)
    return RunDirectory.open(out)


def table(plots: Sequence[Plot]) -> str:
    """The last values as Markdown: a row per preset, a column per protocol."""
    lines = [
        f"| preset | {' | '.join(f'{plot.title}, step {plot.curves[0].points[-1].x:g}' for plot in plots)} |",
        f"|---|{'---:|' * len(plots)}",
    ]
    for same in zip(*(plot.curves for plot in plots), strict=True):
        cells = []
        for curve in same:
            last = curve.points[-1]
            spread = "" if last.deviation is None else f" ± {last.deviation:.2g}"
            cells.append(f"{last.y:.4g}{spread}")
        lines.append(f"| {same[0].name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(words: Sequence[str] | None = None) -> None:
    """Train and measure every run that is not finished, then write curves and table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("presets", nargs="+")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the runs, curves.svg and table.md"
    )
    parser.add_argument("--data", help="the clips (built-in ones with --in-small)")
    parser.add_argument("--in-small", action="store_true", help="at the demo's size")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each preset (3)")
    parser.add_argument("--steps", type=int, help="generator updates (as the presets say; 2,000 in small)")
    parser.add_argument("--every", type=int, help="steps between measurements (2,000; 200 in small)")
    parser.add_argument("--protocols", nargs="+", help="of vidgan evaluate, a panel each")
    parser.add_argument("--weights", type=Path, help="file of the protocols' network")
    parser.add_argument("--clips", type=int, help="evaluated clips (as the protocols say; 512 in small)")
    parser.add_argument("--workers", type=int, default=0, help="processes that read clips")
    given = parser.parse_args(words)
    if given.in_small:
        given.steps, given.every, given.clips = given.steps or 2000, given.every or 200, given.clips or 512
        given.protocols = given.protocols or list(IN_SMALL)
    elif given.data is None or not given.protocols:
        parser.error("name the clips by --data and what they are measured by, by --protocols")
    given.every = given.every or 2000
    given.out.mkdir(parents=True, exist_ok=True)
    runs = [train(name, seed, given) for seed in range(given.seeds) for name in given.presets]
    ordered = [run for name in given.presets for run in runs if run.experiment.name == name]
    plots, notes = over_training(ordered, given.protocols, ())
    save(given.out / "curves.svg", plots)
    write_text(given.out / "table.md", table(plots))
    print("\n".join([*notes, table(plots), f"wrote curves.svg and table.md to {given.out}"]))


if __name__ == "__main__":
    main()
