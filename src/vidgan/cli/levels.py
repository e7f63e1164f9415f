"""``vidgan levels RUN --out FILE``: what every level of a cascade makes, one above the other."""

import dataclasses
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from torch import Tensor

from vidgan.cli.checks import at_least
from vidgan.cli.parse import parse
from vidgan.cli.sampling import check_files, class_numbers, synthesis_run, truncation
from vidgan.errors import UserError
from vidgan.evaluation.metrics.frames import psnr
from vidgan.models.cascade import below_of
from vidgan.models.level import view_below
from vidgan.report.words import number
from vidgan.run.directory import RunDirectory
from vidgan.run.distributed import choose_device
from vidgan.run.experiment import Experiment
from vidgan.sample.load import load_run
from vidgan.sample.model import unrolled
from vidgan.sample.video_io import (
    Row,
    as_film,
    as_strip,
    spread,
    stand_in_time,
    to_bytes,
    write_clip,
    write_image,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Shows what every level makes of the same clips, one above the other, as a picture with time to the right or a
    video.

    Below the run stand others: the upper levels of a cascade, fed with what this run's first level made, or a model of
    one level with its own videos of the same length.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """run directory"""
    out: Path
    """file to write: .png is a picture, .mp4, .gif and .webp are videos"""
    beside: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN2 ...")] = ()
    """other runs, shown below"""
    clips: int = 3
    """number of clips"""
    columns: int = 10
    """frames of each clip in a picture, evenly from the first to the last"""
    classes: Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint="(default: all)")] = ()
    """classes by name or number, in turns"""
    frames: int | None = None
    """frames of each video, at least as many as in training; statistics are settled at that length"""
    seed: int = 0
    """seed of the noise"""
    sigma: float | None = None
    """standard deviation of the noise, 1 without it; SSW-GAN's figures have 0.5"""
    fps: float = 12.0
    """frames per second of a video"""
    raw: bool = False
    """raw weights instead of their moving average"""


def run(args: list[str]) -> int:
    """Parse ``args``, sample and draw."""
    options = parse(Options, "levels", args)
    at_least("--clips", options.clips, 1)
    at_least("--columns", options.columns, 1)
    check_files(options.out.suffix[1:], options.fps)
    truncation(options.sigma, None)
    own = synthesis_run(options.run)
    if options.frames is not None:
        own.experiment = unrolled(own.experiment, options.frames)
    frames = own.experiment.levels[-1].frames
    others = [fitting(synthesis_run(path), own) for path in options.beside]
    classes = class_numbers(own, options.classes)
    videos = made(own, options, classes, None)
    rows = rows_of(own, videos, 0)
    for other in others:
        fed = len(other.experiment.levels) > 1
        found = made(other, options, classes, videos[0] if fed else None)
        rows += rows_of(other, [video[:, :frames] for video in found], int(fed))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    picture = options.out.suffix == ".png"
    shown = stand_in_time(rows, spread(frames, options.columns) if picture else range(frames), frames)
    if picture:
        write_image(options.out, as_strip(shown))
    else:
        write_clip(options.out, as_film(shown), options.fps)
    for row in rows:
        print(row.name)
    print(f"wrote {options.out}: for each clip these rows, from top to bottom")
    return 0


def fitting(other: RunDirectory, own: RunDirectory) -> RunDirectory:
    """A run that stands beside ``own``, at its length.

    Raises:
        UserError: if it has other classes, makes shorter videos, or is a cascade whose first level is unlike.
    """
    if other.class_names != own.class_names:
        raise UserError(f"{other.path} was trained on other classes than {own.path}")
    frames = own.experiment.levels[-1].frames
    if other.experiment.levels[-1].frames < frames:
        other.experiment = unrolled(other.experiment, frames)
    ours, theirs = first_shape(own.experiment), first_shape(other.experiment)
    if len(other.experiment.levels) > 1 and ours != theirs:
        raise UserError(
            f"level 1 of {own.path} makes {ours}, and level 2 of {other.path} takes {theirs}: it cannot be fed with it"
        )
    return other


def first_shape(experiment: Experiment) -> str:
    """Frames and size of what level 1 makes."""
    first = experiment.levels[0]
    return f"{first.frames}x{first.size}x{first.size}"


def made(
    run: RunDirectory, options: Options, classes: list[int] | None, lowest: Tensor | None
) -> list[Tensor]:
    """The videos of all levels; ``lowest`` stand for level 1's."""
    model = load_run(run, raw=options.raw, device=choose_device(), cache=run.statistics)
    drawn = (classes, options.seed, options.sigma)
    return model.levels(options.clips, *drawn, lowest=lowest)


def rows_of(run: RunDirectory, videos: list[Tensor], first: int) -> list[Row]:
    """The levels from ``first`` (from 0) on, with how near each keeps to what it was given."""
    rows = []
    for index, video in list(enumerate(videos))[first:]:
        below = below_of(run.experiment.levels, index)
        size = f"{video.shape[1]}x{video.shape[3]}x{video.shape[4]}"
        name = f"{run.path.resolve().name}, level {index + 1} ({size})"
        if below is not None:
            output = view_below(video, below, run.experiment.smooth_views)
            near = decibels(videos[index - 1], output)
            name += f": {number(near)} dB between its input and its output brought down"
        rows.append(Row(name, to_bytes(video).numpy()))
    return rows


def decibels(given: Tensor, output: Tensor) -> float:
    """Mean over clips of the PSNR of whole clips, as the protocol psnr-below has it."""
    pairs = (to_bytes(video).flatten(1, 2).numpy() for video in (given, output))
    return float(np.mean(psnr(*pairs)))
