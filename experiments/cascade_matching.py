"""How near upper levels keep to their input, beside what chance gives, and how much they move.

``python experiments/cascade_matching.py runs/matching runs/no-matching`` feeds the second level of every run with what
the first run's level 1 made.
"""

import argparse
from pathlib import Path

import numpy as np
from torch import Tensor

from vidgan.errors import UserError
from vidgan.evaluation.metrics.frames import mean_motion, psnr
from vidgan.models.cascade import below_of
from vidgan.models.level import view_below
from vidgan.run.directory import RunDirectory
from vidgan.sample.load import load_run
from vidgan.sample.video_io import to_bytes


def decibels(a: Tensor, b: Tensor) -> float:
    """Mean over clips of the PSNR of whole clips, as the protocol psnr-below has it."""
    pairs = (to_bytes(video).flatten(1, 2).numpy() for video in (a, b))
    return float(np.mean(psnr(*pairs)))


def moving(video: Tensor) -> float:
    """Mean motion of clips (B T 3 H W)."""
    return float(mean_motion(to_bytes(video).numpy()).mean())


def main(paths: list[Path], clips: int) -> None:
    """Print a line per run."""
    first: Tensor | None = None
    for path in paths:
        run = RunDirectory.open(path)
        classes = len(run.class_names)
        model = load_run(run, cache=run.statistics)
        videos = model.levels(clips, lowest=first)
        first, high = videos[0], videos[1]
        below = below_of(run.experiment.levels, 1)
        assert below is not None
        output = view_below(high, below, run.experiment.smooth_views)
        average = first.mean((1, 3, 4), keepdim=True).expand_as(first)
        print(
            f"{path.name}: {decibels(first, output):.2f} dB to its input, "
            f"{decibels(first, output.roll(classes, 0)):.2f} dB to that of another clip of the class; "
            f"{decibels(first, average):.2f} dB from an input to its mean colour; "
            f"motion {moving(output):.4f}, of the input {moving(first):.4f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "runs", type=Path, nargs="+", help="run directories of cascades with one kind of level 1"
    )
    parser.add_argument("--clips", type=int, default=256, help="clips, a multiple of the classes (256)")
    given = parser.parse_args()
    try:
        main(given.runs, given.clips)
    except UserError as error:
        raise SystemExit(str(error)) from error
