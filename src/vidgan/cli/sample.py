"""``vidgan sample RUN --out DIR``: videos from a trained model, and videos on the way from one to another."""

import dataclasses
import itertools
from typing import Final

import numpy as np

from vidgan.cli.parse import option_set, parse
from vidgan.cli.shared import Classes, Files, Noise, Run, Weights, at_least, refuse_idle
from vidgan.errors import UserError, some
from vidgan.memory import require_memory_for_clips
from vidgan.models.cascade import require_chunks
from vidgan.names import file_names, tell
from vidgan.report.words import count
from vidgan.run.batch import evenly
from vidgan.run.distributed import Replicas, ending_together, join_replicas
from vidgan.run.watch import STALL
from vidgan.sample.model import Model
from vidgan.sample.sampler import parts_of
from vidgan.sample.video_io import (
    FORMATS,
    Clip,
    blocks,
    columns_of_time,
    grid,
    raster,
    spread,
    strip,
    to_bytes,
    write_clip,
    write_image,
    write_stream,
)
from vidgan.sample.windows import window_frames


@option_set
class Options(Run, Weights, Noise, Files, Classes):
    """Makes videos. Clip i depends on --seed, i and its class alone, whatever else is made.

    With --interpolate, videos between two samples: add --help.
    """

    clips: int = 16
    """number of videos"""
    frames: int | None = None
    """frames of each video or window (as in training)"""
    random_window: bool = False
    """windows at random places that its last level makes"""
    chunk: int | None = None
    """make levels above the first this many frames at a time, and write each frame to its mp4 at once"""
    compile: bool = False
    """by torch.compile, for many videos (takes minutes to begin)"""
    statistics: str = "standing"
    """standing, or batch: of the clips made together, as in training (up to 16)"""
    grid: bool = False
    """also write all clips as one video beside the folder"""
    stills: bool = False
    """also write first frames as one picture beside it"""
    rasters: bool = False
    """also a picture of each clip's frames, row by row"""
    columns: int | None = None
    """columns of --grid and --stills (a square)"""
    by_class: bool = False
    """there a block of so many columns per class"""
    strip: int | None = None
    """also a picture: a row of so many frames per clip"""
    levels: bool = False
    """also write what the lower levels of a cascade made"""
    interpolate: bool = False
    """write videos between two samples instead"""


def run(args: list[str]) -> int:
    """Parse ``args`` and write videos."""
    if "--interpolate" in args:
        return interpolations(args)
    options = parse(Options, "sample", args)
    at_least("--clips", options.clips, 1)
    options.check_files(args)
    _ = options.truncation  # refused before anything is computed
    if options.random_window and (options.chunk is not None or options.levels):
        raise UserError("--chunk and --levels are of whole videos: leave them out, or --random-window")
    if options.statistics not in ("standing", "batch"):
        raise UserError(f"--statistics is standing or batch, not {options.statistics!r}")
    if options.statistics == "batch" and options.statistics_sigma is not None:
        raise UserError("--statistics-sigma is of standing statistics: leave it out, or --statistics batch")
    if options.columns is not None:
        at_least("--columns", options.columns, 1)
    if not options.grid and not options.stills:
        refuse_idle(args, "without --grid or --stills", "--columns", "--by-class")
    if options.strip is not None:
        at_least("--strip", options.strip, 1)
    if options.chunk is not None:
        check_chunk(options.chunk, options)
        if options.compile:
            raise UserError("--compile is of whole videos: leave it out, or --chunk")
    model = options.model_from_noise(options.run)
    model.compile = options.compile
    if options.statistics == "batch":
        model = model.with_batch_statistics()
    if options.chunk is not None:
        require_chunks(model.experiment.levels)
    if len(model.experiment.levels) == 1:
        refuse_idle(args, "of a model of one level", "--levels")
    replicas = join_replicas(STALL, "sampling stopped; videos that lie there are whole")
    with ending_together(replicas):
        together = options.grid or options.stills or options.strip is not None
        if replicas.size > 1 and together:
            raise UserError(
                "--grid, --stills and --strip are of one process, and several share the clips: leave them out"
            )
        return sample_own(options, model, replicas)


def sample_own(options: Options, model: Model, replicas: Replicas) -> int:
    """Write the clips of this process; where it is the first, tell of all of them."""
    # Refused before the folder is made.
    if options.grid:
        top = model.experiment.levels[-1]
        length = top.frames if options.frames is None else options.frames
        held = GRID + BLOCKS if options.by_class else GRID
        require_memory_for_clips(options.clips, length, top.size, held, "ask for fewer, or leave out --grid")
    classes = len(model.class_numbers(options.chosen))
    if options.by_class and options.clips % classes:
        raise UserError(
            f"--by-class shows as many clips of each of {count(classes, 'class', 'classes')}, and --clips "
            f"{options.clips} is no multiple of it"
        )
    if options.random_window:
        options = dataclasses.replace(options, frames=window_frames(model.experiment, options.frames))
        model.sampler(None, options.truncation, window=options.frames, replicas=replicas)
    else:
        model.sampler(options.frames, options.truncation, chunk=options.chunk, replicas=replicas)
    options.out.mkdir(parents=True, exist_ok=True)
    own = evenly(options.clips, replicas.size)[replicas.rank]
    if options.chunk is None:
        write_whole_videos(options, model, own)
    else:
        write_in_chunks(options, model, options.chunk, own)
    replicas.wait()
    if not replicas.is_rank_zero:
        return 0
    suffix = options.format if options.chunk is None else "mp4"
    written = {f"{stem}.{suffix}" for stem in stems_of(options, model, range(options.clips))}
    others = sorted(
        path.name for path in options.out.iterdir() if path.suffix in FORMATS and path.name not in written
    )
    tell(f"wrote {count(options.clips, 'video')} to {options.out}")
    if others:
        earlier = count(len(others), "other video")
        tell(f"{options.out} holds {earlier} besides, which are measured with these: {some(others, 3)}")
    return 0


GRID: Final = 4
"""bytes that a grid takes of each value: clips, all of them together, the grid, and as it is encoded"""
BLOCKS: Final = 2
"""bytes besides, where it consists of blocks: these, one by one and together"""
PASSES: Final = 4
"""passes of the generator whose clips are held in memory before they are written"""


def stems_of(options: Options, model: Model, numbers: range) -> list[str]:
    """The names of the files of clips, without their suffix."""
    names, labels = file_names(model.class_names), model.labels_of(numbers, options.chosen)
    return [
        f"{i:05d}-{names[label]}" if len(names) > 1 else f"{i:05d}"
        for i, label in zip(numbers, labels, strict=True)
    ]


def write_whole_videos(options: Options, model: Model, own: range) -> None:
    """Write ``own`` videos of the top level, those of lower ones where they are asked for, and the grid.

    Clips are written while others are made, so that memory does not grow with their number; only a grid holds all.
    """
    # Beside the folder: what lies in it are clips of the top level, one by one, for whoever measures them.
    beside = options.out.resolve()
    folders = [
        beside.with_name(f"{beside.name}-level{level + 1}")
        for level in range(len(model.experiment.levels) - 1 if options.levels else 0)
    ]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    drawn = (options.chosen, options.seed, options.sigma, options.threshold, options.frames)
    kept, firsts, shown = [], [], []
    rasters = beside.with_name(f"{beside.name}-rasters")
    if options.rasters:
        rasters.mkdir(exist_ok=True)
    part = PASSES * model.at_once(None if options.random_window else options.frames)
    for rows in parts_of(len(own), part):
        numbers, first = own[rows], own[rows].start
        if options.levels:
            made = model.levels(len(numbers), *drawn, first)
        elif options.random_window:
            made = [model.sample(len(numbers), *drawn[:-1], None, first, window=options.frames)]
        else:
            made = [model.sample(len(numbers), *drawn, first)]
        stems = stems_of(options, model, numbers)
        for folder, videos in zip([*folders, options.out], made, strict=True):
            for stem, video in zip(stems, to_bytes(videos).numpy(), strict=True):
                write_clip(folder / f"{stem}.{options.format}", video, options.fps)
        if options.grid:
            kept.append(to_bytes(made[-1]).numpy())
        if options.stills:
            firsts.append(to_bytes(made[-1][:, :1]).numpy())
        if options.strip is not None:
            steps = spread(made[-1].shape[1], options.strip)
            shown.append(to_bytes(made[-1][:, steps]).numpy())
        if options.rasters:
            for stem, video in zip(stems, to_bytes(made[-1]).numpy(), strict=True):
                write_image(rasters / f"{stem}.png", raster(video))
    for level, folder in enumerate(folders, 1):
        tell(f"wrote what level {level} made to {folder}")
    classes = len(model.class_numbers(options.chosen)) if options.by_class else 1
    if options.grid:
        file = beside.with_name(f"{beside.name}-grid.{options.format}")
        write_clip(file, side_by_side(np.concatenate(kept), classes, options.columns), options.fps)
        tell(f"wrote the grid to {file}")
    if options.stills:
        file = beside.with_name(f"{beside.name}-stills.png")
        write_image(file, side_by_side(np.concatenate(firsts), classes, options.columns)[0])
        tell(f"wrote the first frames to {file}")
    if options.strip is not None:
        file = beside.with_name(f"{beside.name}-strip.png")
        write_image(file, strip(np.concatenate(shown)))
        tell(f"wrote frames of each, a row per video, to {file}")
    if options.rasters:
        tell(f"wrote all frames of each to {rasters}")


def side_by_side(videos: Clip, classes: int, columns: int | None) -> Clip:
    """Clips (N, T, H, W, 3) as one, a block for each of ``classes``, which take turns, where there are several."""
    across = columns or max(1, round((len(videos) // classes) ** 0.5))
    return grid(videos, across) if classes == 1 else blocks(videos, classes, across)


def write_in_chunks(options: Options, model: Model, chunk: int, own: range) -> None:
    """Write each of ``own`` videos as it is made, a few frames at a time."""
    drawn = (options.chosen, options.seed, options.sigma, options.threshold, options.frames)
    for i in own:
        (stem,) = stems_of(options, model, range(i, i + 1))
        frames = (to_bytes(part[None])[0].numpy() for part in model.stream(i, chunk, *drawn))
        write_stream(options.out / f"{stem}.mp4", itertools.chain.from_iterable(frames), options.fps)


def check_chunk(chunk: int, options: Options) -> None:
    """Raise :class:`UserError` where videos cannot be written part by part."""
    at_least("--chunk", chunk, 1)
    if options.format != "mp4":
        raise UserError(f"--chunk writes frame by frame, which mp4 takes and {options.format} does not")
    if options.grid or options.levels or options.stills or options.rasters or options.strip is not None:
        raise UserError(
            "--grid, --stills, --strip, --rasters and --levels need whole videos: leave them out, or --chunk"
        )
    if options.statistics == "batch":
        raise UserError("--chunk makes one clip at a time, whose statistics are no batch's: leave one out")


@option_set
class Interpolation(Run, Weights, Noise, Files, Classes):
    """Makes videos between two samples: of one class between two latents, or of two classes at one latent.

    Each interpolation is a video of its points side by side, and a strip: a column per point, time downwards.
    """

    interpolate: bool = False
    """write interpolations"""
    clips: int = 4
    """number of interpolations"""
    points: int = 6
    """videos in each, both ends included"""
    rows: int = 4
    """time steps that a strip shows"""
    classes: tuple[str, ...] = ()
    """one class: between latents of it; two: from the first to the second at one latent; none: each in turn"""


def interpolations(args: list[str]) -> int:
    """Parse ``args`` and write interpolations."""
    options = parse(Interpolation, "sample", args)
    at_least("--clips", options.clips, 1)
    at_least("--points", options.points, 2)
    at_least("--rows", options.rows, 1)
    options.check_files(args)
    _ = options.truncation
    if len(options.classes) > 2:
        raise UserError(f"--classes takes one class or two, got {len(options.classes)}")
    model = options.model_from_noise(options.run)
    names = file_names(model.class_names)
    for i in range(options.clips):
        ends = model.ends(options.chosen, i)
        drawn = (options.points, options.seed, options.sigma, options.threshold, i)
        made = to_bytes(model.interpolate(options.chosen, *drawn)).numpy()
        words = dict.fromkeys(names[end.label] for end in ends) if len(names) > 1 else ()
        name = "-".join([f"{i:05d}", *words])
        options.out.mkdir(parents=True, exist_ok=True)
        write_clip(options.out / f"{name}.{options.format}", grid(made, columns=options.points), options.fps)
        write_image(options.out / f"{name}-strip.png", columns_of_time(made, options.rows))
    tell(f"wrote {count(options.clips, 'interpolation')} to {options.out}")
    return 0
