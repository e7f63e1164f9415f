"""A model that is deliberately overfitted to 20 real clips, and what ``vidgan evaluate --memorisation`` says of it.

``python experiments/memorisation.py STRIPS --out FOLDER`` takes the Weizmann strips (docs/results/weizmann.md): four
frames of 20 clips of five performers to train on, of 16 clips of two others to measure by, at 16x16. A shrunk ``demo``
is trained on them, adversarially and by a loss that asks it to make each of them, and is asked what it remembers. What
was trained before is gone on with.
"""

import argparse
from pathlib import Path

from PIL import Image

from vidgan.cli import main as vidgan
from vidgan.models.losses import VarietySpec
from vidgan.presets import preset
from vidgan.run.experiment import Experiment, ReportingSpec, StandingStatisticsSpec
from vidgan.train.trainer import Trainer

FRAMES, FIRST, APART = 4, 8, 8
"""frames of a clip, and which of its strip"""
TRAINED, HELD_OUT = slice(0, 10, 2), slice(10, None)
"""a class's strips, of which every second one is a mirror image: of five performers without, of two with it"""


def by_heart() -> Experiment:
    """The demo at 16x16, with a loss by which each clip draws the nearest of eight samples of its class nearer."""
    tour = preset("demo")
    (level,) = tour.levels
    # The demo's discriminators see their input centred on dark clips, and at four times this gain.
    discriminators = tuple(
        discriminator.replace(body=discriminator.body.replace(input_mean=(0.0, 0.0, 0.0), input_gain=8.0))
        for discriminator in level.discriminators
    )
    return tour.replace(
        levels=(
            level.replace(
                generator=level.generator.replace(side=2), discriminators=discriminators, frames=FRAMES
            ),
        ),
        training=tour.training.replace(
            class_margin=None,
            variety=VarietySpec(weight=100.0, futures=8),
            standing_statistics=StandingStatisticsSpec(batches=4, clips=64),
        ),
        reporting=ReportingSpec(tick=20, checkpoint=200, keep=2, samples=500),
    )


def cut(source: Path, out: Path) -> None:
    """Write these frames of a strip to a shorter one."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as strip:
        side = strip.height
        made = Image.new("RGB", (FRAMES * side, side))
        for t in range(FRAMES):
            left = side * (FIRST + APART * t)
            made.paste(strip.crop((left, 0, left + side, side)), (side * t, 0))
        made.save(out)


def lay_out(strips: Path, out: Path) -> None:
    """Folders of clips to train on and to measure by, one per action."""
    for action in sorted(path for path in strips.iterdir() if path.is_dir()):
        names = sorted(action.glob("*.png"))
        for part, chosen in (("trained", names[TRAINED]), ("held-out", names[HELD_OUT])):
            for name in chosen:
                cut(name, out / part / action.name / name.name)


def run(*words: str | int | Path) -> None:
    """A command of vidgan; ends the program where it fails."""
    if status := vidgan([str(word) for word in words]):
        raise SystemExit(status)


def main() -> None:
    """Prepare, train, ask."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("strips", type=Path, help="folder with a folder of strips per action")
    parser.add_argument("--out", type=Path, required=True, help="folder for data, run and pictures")
    parser.add_argument("--steps", type=int, default=2500, help="generator updates (2500)")
    options = parser.parse_args()
    if not options.strips.is_dir():
        parser.error(f"no folder at {options.strips}")
    data = {part: options.out / "data" / part for part in ("trained", "held-out")}
    fresh = not options.out.exists()
    if fresh:
        lay_out(options.strips, options.out / "strips")
    for part, place in data.items() if fresh else ():
        source = options.out / "strips" / part
        run("prepare", source, place, "--layout", "strips", "--size", 16, "--resize", "area", "--workers", 0)
    Trainer(by_heart(), data["trained"], options.out / "run", workers=0).fit(options.steps)
    run("evaluate", options.out / "run", "--memorisation", "--held-out", data["held-out"], "--per-class", 4)


if __name__ == "__main__":
    main()
