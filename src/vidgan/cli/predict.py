"""``vidgan predict RUN VIDEO``: continues a video, or clips of a dataset, with a frame-conditional model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from torch import Tensor

from vidgan.cli.given import Source, sources_of
from vidgan.cli.parse import option_set, parse
from vidgan.cli.shared import Classes, Noise, Run, Weights, at_least, output_folder, say, warnings_said
from vidgan.data.dataset import Frames
from vidgan.data.loader import to_float
from vidgan.errors import UserError
from vidgan.memory import require_memory_for_clips
from vidgan.names import tell
from vidgan.report.words import count as counted
from vidgan.sample.model import Model
from vidgan.sample.sampler import Futures
from vidgan.sample.video_io import Clip, check_rate, grid, strip, to_bytes, under, write_clip, write_image

# Luc et al. 2020, D.2: "extreme truncation", "moderate truncation with 0.8 threshold; and no truncation at all".
TRUNCATIONS: Mapping[str, tuple[float | None, float | None]] = {
    "zero": (0.0, None),
    "threshold 0.8": (None, 0.8),
    "no truncation": (None, None),
}
"""(sigma, threshold)"""
COLUMNS = 8
"""clips in a row where all are side by side"""
FILM_NAME = "clips.mp4"
"""what several clips are written to besides"""
FILM = 4
"""bytes that it takes of each value: videos, all of them together, the grid, and as it is encoded"""


@option_set
class Options(Run, Weights, Noise, Classes):
    """Continues a video: several futures from its first frames, after what really followed where there is that.

    Of a dataset, clips by number, name or at random: a folder each, a film of all.
    """

    video: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="VIDEO|DATA")]
    """video file whose first frames are given, an image of square frames side by side, a folder of frames, or a
    dataset"""
    out: Path
    """folder for them, emptied of earlier ones"""
    clips: tuple[str, ...] = ()
    """of a dataset: these clips, by number or name"""
    random: int | None = None
    """of a dataset: so many clips, drawn by --seed"""
    beside: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN2 ...")] = ()
    """other runs, whose continuations stand to the right in beside.mp4"""
    futures: int = 4
    """number of continuations"""
    start: int = 0
    """first given frame of the video, from 0"""
    frames: int | None = None
    """frames of each continuation (as trained); beyond that the model is given its own frames"""
    fps: float = 12.0
    """frames per second of the files"""
    motion: bool = False
    """also write how features move, where units warp"""
    motion_units: int | None = None
    """units that are combined, from the finest (all)"""
    strips: bool = False
    """also write each as a picture, every second frame from left to right, over its motion with --motion"""
    truncations: bool = False
    """also write each at z = 0, threshold 0.8 and whole"""
    data: str | None = None
    """dataset for the standing statistics (the run's)"""


def run(args: list[str]) -> int:
    """Parse ``args`` and write continuations."""
    options = parse(Options, "predict", args)
    check_values(options)
    model = options.model(options.run, options.data)
    check_model(options, model)
    others = [(path, options.model(path, options.data)) for path in options.beside]
    for path, other in others:  # before anything is computed
        require_alike(path, other, options.run, model)
    level = model.experiment.levels[0]
    length = level.frames if options.frames is None else options.frames
    named, chosen = options.video, (options.clips, options.random, options.seed)
    sources = sources_of(named, model.experiment, *chosen, options.start, length)
    if len(sources) > 1:  # all are held for the film
        shown = len(sources) * (1 + options.futures * (1 + len(others)))
        require_memory_for_clips(
            shown, level.context_frames + length, level.size, FILM, "ask for fewer clips"
        )
    (options.out / FILM_NAME).unlink(missing_ok=True)
    rows = []
    for folder, source in sources.items():
        row = continue_one(options, model, others, source, length, options.out / folder)
        rows.append(row if len(sources) > 1 else [])
    if len(sources) > 1:
        write_film(options, rows)
        tell(f"wrote {counted(len(sources), 'folder')} to {options.out}")
    return 0


def write_film(options: Options, rows: Sequence[Sequence[Clip]]) -> None:
    """Write all clips as one video: a row per clip, what followed and its continuations (Luc et al. 2020, D.1)."""
    videos = np.stack([video for row in rows for video in row])
    write_clip(options.out / FILM_NAME, grid(videos, len(rows[0])), options.fps)
    beside = [f", those of {path.resolve().name}" for path in options.beside]
    say(
        f"{FILM_NAME}: a row per clip; from left to right what really followed (black where the clip ends before), "
        f"{counted(options.futures, 'continuation')}{''.join(beside)}"
    )


def check_values(options: Options) -> None:
    """Raise :class:`UserError` for options that no model could take."""
    at_least("--futures", options.futures, 1)
    at_least("--start", options.start, 0)
    check_rate(options.fps)
    output_folder(options.out)
    if options.frames is not None:
        at_least("--frames", options.frames, 1)
    if options.random is not None:
        at_least("--random", options.random, 1)
    if options.motion_units is not None:
        at_least("--motion-units", options.motion_units, 1)
        if not options.motion:
            raise UserError("--motion-units says what --motion combines: give both")
    _ = options.truncation


def check_model(options: Options, model: Model) -> None:
    """Raise :class:`UserError` for what this model cannot do."""
    level = model.experiment.levels[0]
    if not level.context_frames:
        raise UserError("this model makes videos from noise: use vidgan sample")
    model.class_numbers(options.chosen)
    if options.motion and not level.generator.warps:
        raise UserError(
            "no recurrent unit of this model warps, so it has no motion to show: leave --motion out"
        )


def require_alike(path: Path, other: Model, own_path: Path, own: Model) -> None:
    """Raise :class:`UserError` unless ``other`` continues the same frames as ``own``, at the same stride."""
    levels = [model.experiment.levels[0] for model in (own, other)]
    ours, theirs = ((level.context_frames, level.size, level.stride) for level in levels)
    if ours != theirs:
        words = [f"{count} frames of {size} pixels, {stride} apart" for count, size, stride in (theirs, ours)]
        raise UserError(f"{path} is given {words[0]}, and {own_path} {words[1]}: they continue other frames")
    if other.class_names != own.class_names and own.experiment.conditional:
        raise UserError(f"{path} was trained on other classes than {own_path}")


def continue_one(
    options: Options,
    model: Model,
    others: Sequence[tuple[Path, Model]],
    source: Source,
    length: int,
    out: Path,
) -> list[Clip]:
    """Continue one video, and write what was asked for into ``out``.

    Returns:
        what really followed (black where that is not known), then the continuations of each run.
    """
    given = to_float(torch.from_numpy(source.given)[None])[0]

    def continued(by: Model, sigma: float | None, threshold: float | None) -> Futures:
        classes = options.chosen or class_of(source, by)
        drawn = (options.futures, classes, options.seed, sigma, threshold, length)
        return by.futures(given, *drawn, motion_units=options.motion_units)

    ways = TRUNCATIONS.values() if options.truncations else ()
    own = (options.sigma, options.threshold)
    with warnings_said():
        futures = continued(model, *own)
        columns = [joined(source.given, continued(model, *way).video) for way in ways]
        beside = [joined(source.given, continued(other, *own).video) for _, other in others]
    videos = joined(source.given, futures.video)
    out.mkdir(parents=True, exist_ok=True)
    forget_earlier(out)
    for i, video in enumerate(videos):
        write_clip(out / f"future-{i:03d}.mp4", video, options.fps)
    if options.motion and futures.motion is not None:
        write_motion(out, videos, futures.motion, options.fps)
    if options.strips:
        write_strips(out, to_bytes(futures.video).numpy(), futures.motion if options.motion else None)
    if options.truncations:
        write_columns(out / "truncations.mp4", columns, list(TRUNCATIONS), options.fps)
    if beside:
        names = [path.resolve().name for path in (options.run, *options.beside)]
        write_columns(out / "beside.mp4", [videos, *beside], names, options.fps)
    shown = list(videos)
    if source.truth is not None:
        shown.insert(0, np.concatenate([source.given, source.truth]))
        write_clip(out / "truth.mp4", shown[0], options.fps)
    side_by_side = grid(np.stack(shown), columns=min(COLUMNS, len(shown)))
    write_clip(out / "futures.mp4", side_by_side, options.fps)
    tell(f"wrote {counted(options.futures, 'continuation')} of {source.name} to {out}")
    if source.truth is not None:
        say(
            "futures.mp4 has all side by side: first what really followed (truth.mp4), then the continuations"
        )
    else:
        say(f"{source.name} ends before they do, so there is nothing to compare them with")
    truth = np.zeros_like(videos[0]) if source.truth is None else shown[0]
    return [truth, *videos, *(video for column in beside for video in column)]


def class_of(source: Source, model: Model) -> tuple[str, ...] | None:
    """The class of the clip that is continued, where it is known and the model was trained with it."""
    known = model.experiment.conditional and source.label in model.class_names
    return (source.label,) if known and source.label is not None else None


def write_columns(path: Path, columns: Sequence[Sequence[Clip]], names: Sequence[str], fps: float) -> None:
    """Write continuations as one video, a row per continuation, and say which column is which."""
    rows = [video for row in zip(*columns, strict=True) for video in row]
    write_clip(path, grid(np.stack(rows), len(columns)), fps)
    say(f"{path.name}: a row per continuation; from left to right {', '.join(names)}")


def write_strips(out: Path, videos: Frames, motion: Tensor | None) -> None:
    """Write continuations (n T H W 3) as pictures, every second frame, over their motion where it is given.

    Luc et al. 2020, Figure 3: "All sequences are temporally subsampled by two".
    """
    fastest = 0.0 if motion is None else float(motion.norm(dim=2).max())
    for i, video in enumerate(videos):
        shown = video if motion is None else under(video, motion[i].numpy(), fastest)
        write_image(out / f"strip-{i:03d}.png", strip(shown[None, ::2]))


def forget_earlier(out: Path) -> None:
    """Remove what an earlier call wrote: beside fewer futures, or those of another video, it would pass for new."""
    for pattern in (
        "future-*.mp4",
        "motion-*.mp4",
        "strip-*.png",
        "truth.mp4",
        "truncations.mp4",
        "beside.mp4",
    ):
        for path in out.glob(pattern):
            path.unlink()


def joined(given: Frames, futures: Tensor) -> list[Clip]:
    """Each continuation (n T 3 H W) with the given frames in front, as bytes."""
    return [np.concatenate([given, future]) for future in to_bytes(futures).numpy()]


def write_motion(out: Path, videos: Sequence[Clip], motion: Tensor, fps: float) -> None:
    """Write each video over its motion (n t 2 H W), in pixels per frame, and say what the colours mean."""
    fastest = float(motion.norm(dim=2).max())
    for i, (video, field) in enumerate(zip(videos, motion.numpy(), strict=True)):
        write_clip(out / f"motion-{i:03d}.mp4", under(video, field, fastest), fps)
    say(f"motion: the hue is the direction, full colour is {fastest:.3g} pixels per frame, white is rest")
