"""``vidgan sample RUN --out DIR``: videos from a trained model, and videos on the way from one to another."""

import itertools

from vidgan.cli.parse import option_set, parse
from vidgan.cli.shared import Classes, Files, Noise, Run, Weights, at_least
from vidgan.errors import UserError, some
from vidgan.models.cascade import require_chunks
from vidgan.names import file_names, tell
from vidgan.report.words import count
from vidgan.sample.video_io import (
    FORMATS,
    Videos,
    columns_of_time,
    grid,
    to_bytes,
    write_clip,
    write_image,
    write_stream,
)


@option_set
class Options(Run, Weights, Noise, Files, Classes):
    """Makes videos. Clip i depends on --seed, i and its class alone, whatever else is made.

    With --interpolate, videos between two samples: vidgan sample --interpolate --help.
    """

    clips: int = 16
    """number of videos"""
    frames: int | None = None
    """frames of each video, at least as many as in training"""
    chunk: int | None = None
    """make levels above the first this many frames at a time, and write each frame to its mp4 at once"""
    grid: bool = False
    """also write all clips as one video, beside the folder"""
    levels: bool = False
    """also write what the lower levels of a cascade made of each clip"""
    interpolate: bool = False
    """write videos between two samples instead"""


def run(args: list[str]) -> int:
    """Parse ``args`` and write videos."""
    if "--interpolate" in args:
        return interpolations(args)
    options = parse(Options, "sample", args)
    at_least("--clips", options.clips, 1)
    options.check_files()
    _ = options.truncation  # refused before anything is computed
    if options.chunk is not None:
        check_chunk(options.chunk, options)
    model = options.model_from_noise(options.run)
    if options.chunk is not None:
        require_chunks(model.experiment.levels)
    labels = model.labels_of(range(options.clips), options.chosen)
    names = file_names(model.class_names)
    stems = [f"{i:05d}-{names[label]}" if len(names) > 1 else f"{i:05d}" for i, label in enumerate(labels)]
    # Refused before the folder is made.
    model.sampler(options.frames, options.truncation, chunk=options.chunk)
    options.out.mkdir(parents=True, exist_ok=True)
    mine = {f"{stem}.{options.format}" for stem in stems}
    others = sorted(
        path.name for path in options.out.iterdir() if path.suffix in FORMATS and path.name not in mine
    )
    drawn = (options.chosen, options.seed, options.sigma, options.threshold, options.frames)
    if options.chunk is None:
        ask = model.levels if options.levels else lambda *given: [model.sample(*given)]
        write_whole_videos(options, [to_bytes(each).numpy() for each in ask(options.clips, *drawn)], stems)
    else:
        for i, stem in enumerate(stems):
            frames = (to_bytes(part[None])[0].numpy() for part in model.stream(i, options.chunk, *drawn))
            write_stream(options.out / f"{stem}.mp4", itertools.chain.from_iterable(frames), options.fps)
    tell(f"wrote {count(options.clips, 'video')} to {options.out}")
    if others:
        earlier = count(len(others), "other video")
        tell(f"{options.out} holds {earlier} besides, which are measured with these: {some(others, 3)}")
    return 0


def write_whole_videos(options: Options, levels: list[Videos], stems: list[str]) -> None:
    """Write the videos of the top level, those of lower ones where there are any, and the grid."""
    *lower, videos = levels
    for stem, video in zip(stems, videos, strict=True):
        write_clip(options.out / f"{stem}.{options.format}", video, options.fps)
    # Beside the folder: what lies in it are clips of the top level, one by one, for whoever measures them.
    beside = options.out.resolve()
    for level, clips in enumerate(lower, 1):
        folder = beside.with_name(f"{beside.name}-level{level}")
        folder.mkdir(exist_ok=True)
        for stem, video in zip(stems, clips, strict=True):
            write_clip(folder / f"{stem}.{options.format}", video, options.fps)
        tell(f"wrote what level {level} made to {folder}")
    if options.grid:
        columns = max(1, round(options.clips**0.5))
        file = beside.with_name(f"{beside.name}-grid.{options.format}")
        write_clip(file, grid(videos, columns), options.fps)
        tell(f"wrote the grid to {file}")


def check_chunk(chunk: int, options: Options) -> None:
    """Raise :class:`UserError` where videos cannot be written part by part."""
    at_least("--chunk", chunk, 1)
    if options.format != "mp4":
        raise UserError(f"--chunk writes frame by frame, which mp4 takes and {options.format} does not")
    if options.grid or options.levels:
        raise UserError("--grid and --levels need whole videos: leave them out, or --chunk")


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
    options.check_files()
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
