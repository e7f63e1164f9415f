"""``vidgan sample RUN --out DIR``: videos from a trained model."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from vidgan.cli.checks import at_least, output_folder
from vidgan.cli.parse import parse
from vidgan.cli.sampling import check_files, class_numbers, synthesis_run, truncation
from vidgan.errors import UserError
from vidgan.models.cascade import require_chunks
from vidgan.report.words import count
from vidgan.run.directory import RunDirectory
from vidgan.run.distributed import choose_device
from vidgan.sample.load import load_run
from vidgan.sample.model import unrolled
from vidgan.sample.video_io import Videos, grid, to_bytes, write_clip, write_stream


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
    chunk: int | None = None
    """make levels above the first this many frames at a time and write each frame to its mp4 at once: their memory
    does not grow with --frames; for cascades whose upper levels see a bounded number of frames"""
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
    checkpoint: str = "last"
    """best (by what the run evaluated while it trained), last, or the step of a checkpoint"""
    raw: bool = False
    """raw weights instead of their moving average"""


def run(args: list[str]) -> int:
    """Parse ``args`` and write videos."""
    options = parse(Options, "sample", args)
    at_least("--clips", options.clips, 1)
    check_files(options.format, options.fps)
    truncation(options.sigma, options.threshold)
    output_folder(options.out)
    directory = synthesis_run(options.run)
    if options.chunk is not None:
        check_chunk(options, directory)
    if options.frames is not None:
        unrolled(directory.experiment, options.frames)  # refused before anything is computed
    names, classes = directory.class_names, class_numbers(directory, options.classes)
    model = load_run(directory, options.checkpoint, options.raw, choose_device(), cache=directory.statistics)
    labels = model.labels_of(range(options.clips), classes)
    paths = [options.out / f"{name_of(i, label, names)}.{options.format}" for i, label in enumerate(labels)]
    drawn = (classes, options.seed, options.sigma, options.threshold, options.frames)
    if options.chunk is None:
        videos = to_bytes(model.sample(options.clips, *drawn)).numpy()
        options.out.mkdir(parents=True, exist_ok=True)
        write_whole_videos(options, videos, paths)
    else:
        model.sampler(options.frames, options.chunk)
        options.out.mkdir(parents=True, exist_ok=True)
        for i, path in enumerate(paths):
            parts = model.stream(i, options.chunk, *drawn)
            frames = (frame for part in parts for frame in to_bytes(part[None])[0].numpy())
            write_stream(path, frames, options.fps)
    print(f"wrote {count(options.clips, 'video')} to {options.out}")
    return 0


def write_whole_videos(options: Options, videos: Videos, paths: list[Path]) -> None:
    """Write all videos, and the grid."""
    for path, video in zip(paths, videos, strict=True):
        write_clip(path, video, options.fps)
    if options.grid:
        columns = max(1, round(options.clips**0.5))
        # Beside the folder: what lies in it are clips, one by one, for whoever measures them.
        out = options.out.resolve()
        beside = out.with_name(f"{out.name}-grid.{options.format}")
        write_clip(beside, grid(videos, columns), options.fps)
        print(f"wrote the grid to {beside}")


def check_chunk(options: Options, directory: RunDirectory) -> None:
    """Raise :class:`UserError` where videos cannot be made and written part by part."""
    assert options.chunk is not None
    at_least("--chunk", options.chunk, 1)
    if options.format != "mp4":
        raise UserError(f"--chunk writes frame by frame, which mp4 takes and {options.format} does not")
    if options.grid:
        raise UserError("--grid needs all videos at once: leave it out, or --chunk")
    require_chunks(directory.experiment.levels)


def name_of(number: int, label: int, classes: tuple[str, ...]) -> str:
    """A clip's file without its suffix."""
    return f"{number:05d}-{classes[label]}" if len(classes) > 1 else f"{number:05d}"
