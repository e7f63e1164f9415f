"""``vidgan interpolate RUN --out DIR``: videos on the way from one sample to another."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from vidgan.cli.checks import at_least, output_folder
from vidgan.cli.parse import parse
from vidgan.cli.sampling import check_files, class_numbers, synthesis_run, truncation
from vidgan.errors import UserError
from vidgan.report.words import count
from vidgan.run.distributed import choose_device
from vidgan.sample.load import load_run
from vidgan.sample.video_io import columns_of_time, grid, to_bytes, write_clip, write_image


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Makes videos between two samples: of one class between two latents, or of two classes at one latent.

    Each interpolation is a video of its points side by side, and a strip: a column per point, time downwards.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """run directory"""
    out: Path
    """folder for videos and strips"""
    count: int = 4
    """number of interpolations"""
    points: int = 6
    """videos in each, both ends included"""
    rows: int = 4
    """time steps that a strip shows"""
    classes: Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint="(default: all)")] = ()
    """one class, by name or number: between latents of it; two: from the first to the second at one latent;
    none: between latents, of each class in turn"""
    seed: int = 0
    """seed of the noise"""
    sigma: float | None = None
    """standard deviation of the noise, 1 without it; below 1 is truncation"""
    threshold: float | None = None
    """truncate by drawing values beyond this again, instead of by --sigma"""
    format: str = "mp4"
    """of the videos: mp4, gif, webp, png (a strip of frames) or npy"""
    fps: float = 12.0
    """frames per second of the files"""
    checkpoint: str = "last"
    """best (by what the run evaluated while it trained), last, or the step of a checkpoint"""
    raw: bool = False
    """raw weights instead of their moving average"""


def run(args: list[str]) -> int:
    """Parse ``args`` and write interpolations."""
    options = parse(Options, "interpolate", args)
    at_least("--count", options.count, 1)
    at_least("--points", options.points, 2)
    at_least("--rows", options.rows, 1)
    check_files(options.format, options.fps)
    truncation(options.sigma, options.threshold)
    output_folder(options.out)
    directory = synthesis_run(options.run)
    if len(options.classes) > 2:
        raise UserError(f"--classes takes one class or two, got {len(options.classes)}")
    names, classes = directory.class_names, class_numbers(directory, options.classes)
    model = load_run(directory, options.checkpoint, options.raw, choose_device(), cache=directory.statistics)
    options.out.mkdir(parents=True, exist_ok=True)
    for i in range(options.count):
        drawn = (options.points, options.seed, options.sigma, options.threshold, i)
        made = to_bytes(model.interpolate(classes, *drawn)).numpy()
        ends = model.ends(classes, i)
        words = list(dict.fromkeys(names[end.label] for end in ends)) if len(names) > 1 else []
        name = "-".join([f"{i:05d}", *words])
        write_clip(options.out / f"{name}.{options.format}", grid(made, columns=options.points), options.fps)
        write_image(options.out / f"{name}-strip.png", columns_of_time(made, options.rows))
    print(f"wrote {count(options.count, 'interpolation')} to {options.out}")
    return 0
