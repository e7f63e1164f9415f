"""``vidgan sample RUN --out DIR``: videos from a trained model."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from vidgan.cli.checks import at_least, output_folder
from vidgan.cli.parse import parse
from vidgan.cli.sampling import check_files, checkpoint, class_numbers, synthesis_run, truncation
from vidgan.report.words import count
from vidgan.run.device import choose_device
from vidgan.sample.files import write_clip
from vidgan.sample.grids import grid
from vidgan.sample.length import unrolled
from vidgan.sample.published import open_trained
from vidgan.sample.trained import synthesise, to_bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Makes videos. Clip i depends on --seed, i and its class alone, whatever else is made."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """run directory"""
    out: Path
    """folder for the videos"""
    clips: int = 16
    """number of videos"""
    classes: Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint="(default: all)")] = ()
    """classes by name or number, in turns"""
    frames: int | None = None
    """frames of each video, at least as many as in training; statistics are settled at that length"""
    seed: int = 0
    """seed of the noise"""
    sigma: float | None = None
    """standard deviation of the noise, 1 without it; below 1 is truncation"""
    threshold: float | None = None
    """truncate by drawing values beyond this again, instead of by --sigma"""
    format: str = "mp4"
    """mp4, gif, webp, png (a strip of frames) or npy"""
    fps: float = 12.0
    """frames per second of the files"""
    grid: bool = False
    """also write all clips as one video, beside the folder"""
    step: int | None = None
    """use the checkpoint of this step instead of the newest"""
    raw: bool = False
    """raw weights instead of their moving average"""


def run(args: list[str]) -> int:
    """Parse ``args`` and write videos."""
    options = parse(Options, "sample", args)
    at_least("--clips", options.clips, 1)
    check_files(options.format, options.fps)
    noise = truncation(options.sigma, options.threshold)
    output_folder(options.out)
    directory = synthesis_run(options.run)
    if options.frames is not None:
        directory.experiment = unrolled(directory.experiment, options.frames)
    names = directory.class_names
    chosen = class_numbers(directory, options.classes) or list(range(len(names)))
    labels = [chosen[i % len(chosen)] for i in range(options.clips)]
    model = open_trained(directory, checkpoint(options.step), not options.raw, choose_device())
    videos = to_bytes(synthesise(model, options.seed, range(options.clips), labels, noise)).numpy()
    options.out.mkdir(parents=True, exist_ok=True)
    for i, (video, label) in enumerate(zip(videos, labels, strict=True)):
        name = f"{i:05d}-{names[label]}" if len(names) > 1 else f"{i:05d}"
        write_clip(options.out / f"{name}.{options.format}", video, options.fps)
    if options.grid:
        columns = max(1, round(options.clips**0.5))
        # Beside the folder: what lies in it are clips, one by one, for whoever measures them.
        out = options.out.resolve()
        beside = out.with_name(f"{out.name}-grid.{options.format}")
        write_clip(beside, grid(videos, columns), options.fps)
        print(f"wrote the grid to {beside}")
    print(f"wrote {count(options.clips, 'video')} to {options.out}")
    return 0
