"""``vidgan predict RUN VIDEO``: continues a video with a frame-conditional model."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
import tyro
from torch import Tensor

from vidgan.cli.parse import option_set, parse
from vidgan.cli.shared import Classes, Noise, Run, Weights, at_least, output_folder, say, warnings_said
from vidgan.data.animation import WEBP, Animation, is_animation
from vidgan.data.codecs import Frame
from vidgan.data.dataset import Frames
from vidgan.data.images import IMAGES, FrameFolder, StripImage
from vidgan.data.loader import to_float
from vidgan.data.resize import Resizer
from vidgan.data.video import BrokenClipError, ClipSource, VideoFile
from vidgan.errors import UserError
from vidgan.models.level import LevelSpec
from vidgan.names import tell
from vidgan.report.words import count as counted
from vidgan.sample.sampler import Futures
from vidgan.sample.video_io import Clip, check_rate, grid, to_bytes, under, write_clip

# Luc et al. 2020, D.2: "extreme truncation", "moderate truncation with 0.8 threshold; and no truncation at all".
TRUNCATIONS: Mapping[str, tuple[float | None, float | None]] = {
    "zero": (0.0, None),
    "threshold 0.8": (None, 0.8),
    "no truncation": (None, None),
}
"""(sigma, threshold)"""
COLUMNS = 8
"""clips in a row where all are side by side"""


@option_set
class Options(Run, Weights, Noise, Classes):
    """Continues a video: several futures from its first frames, after what really followed where there is that."""

    video: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="VIDEO")]
    """video file whose first frames are given, an image of square frames side by side, or a folder of frames"""
    out: Path
    """folder for the continuations; earlier ones are replaced"""
    futures: int = 4
    """number of continuations"""
    start: int = 0
    """first given frame of the video, counted from 0"""
    frames: int | None = None
    """frames of each continuation (as trained); beyond that the model is given its own frames"""
    fps: float = 12.0
    """frames per second of the files"""
    motion: bool = False
    """also write how features move, where the model's units warp"""
    truncations: bool = False
    """also write each at z = 0, truncated at 0.8 and not truncated"""
    data: str | None = None
    """dataset for the standing statistics (the run's)"""


def run(args: list[str]) -> int:
    """Parse ``args`` and write continuations."""
    options = parse(Options, "predict", args)
    at_least("--futures", options.futures, 1)
    at_least("--start", options.start, 0)
    check_rate(options.fps)
    output_folder(options.out)
    if options.frames is not None:
        at_least("--frames", options.frames, 1)
    _ = options.truncation
    model = options.model(options.run, options.data)
    level = model.experiment.levels[0]
    if not level.context_frames:
        raise UserError("this model makes videos from noise: use vidgan sample")
    model.class_numbers(options.chosen)
    if options.motion and not level.generator.warps:
        raise UserError(
            "no recurrent unit of this model warps, so it has no motion to show: leave --motion out"
        )
    length = level.frames if options.frames is None else options.frames
    source = read_source(options.video, level, options.start, length)
    given = to_float(torch.from_numpy(source.given)[None])[0]

    def continued(sigma: float | None, threshold: float | None) -> Futures:
        return model.futures(given, options.futures, options.chosen, options.seed, sigma, threshold, length)

    ways = TRUNCATIONS.values() if options.truncations else ()
    with warnings_said():
        futures = continued(options.sigma, options.threshold)
        columns = [joined(source.given, continued(*way).video) for way in ways]
    videos = joined(source.given, futures.video)
    options.out.mkdir(parents=True, exist_ok=True)
    forget_earlier(options.out)
    for i, video in enumerate(videos):
        write_clip(options.out / f"future-{i:03d}.mp4", video, options.fps)
    if options.motion and futures.motion is not None:
        write_motion(options.out, videos, futures.motion, options.fps)
    if options.truncations:
        rows = [video for row in zip(*columns, strict=True) for video in row]
        write_clip(options.out / "truncations.mp4", grid(np.stack(rows), len(columns)), options.fps)
        say(f"truncations.mp4: a row per continuation; from left to right {', '.join(TRUNCATIONS)}")
    if source.truth is not None:
        videos.insert(0, np.concatenate([source.given, source.truth]))
        write_clip(options.out / "truth.mp4", videos[0], options.fps)
    side_by_side = grid(np.stack(videos), columns=min(COLUMNS, len(videos)))
    write_clip(options.out / "futures.mp4", side_by_side, options.fps)
    tell(f"wrote {counted(options.futures, 'continuation')} of {options.video.name} to {options.out}")
    if source.truth is not None:
        say(
            "futures.mp4 has all side by side: first what really followed (truth.mp4), then the continuations"
        )
    else:
        say(f"{options.video.name} ends before they do, so there is nothing to compare them with")
    return 0


def forget_earlier(out: Path) -> None:
    """Remove what an earlier call wrote: beside fewer futures, or those of another video, it would pass for new."""
    for pattern in ("future-*.mp4", "motion-*.mp4", "truth.mp4", "truncations.mp4"):
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


class Source(NamedTuple):
    """What is taken from a video: frames (T, size, size, 3)."""

    given: Frames
    """conditioning frames"""
    truth: Frames | None
    """as many frames as are made after them; None where the video ends before"""


def read_source(path: Path, level: LevelSpec, start: int, length: int) -> Source:
    """What ``level`` is given of a video from frame ``start`` on, and the ``length`` frames that follow.

    Resized and cropped to the centre.

    Raises:
        UserError: if the video is missing, broken or too short.
    """
    if not path.is_file() and not path.is_dir():
        raise UserError(f"there is no video {path}")
    count, stride = level.context_frames, level.stride
    wanted = range(start, start + (count + length) * stride, stride)
    needed = wanted[count - 1] + 1
    frames, held = read_frames(path, level.size, wanted)
    if len(frames) < count:
        raise UserError(
            f"{path.name} has {counted(held, 'frame')}; the model is given frames up to number {needed}"
        )
    height, width = frames[0].shape[:2]
    if height != width:
        say(
            f"{path.name} is not square: the middle {level.size}x{level.size} of {width}x{height} pixels is continued"
        )
    top, left = ((side - level.size) // 2 for side in (height, width))
    square = np.stack(frames)[:, top : top + level.size, left : left + level.size]
    given, after = square[:count], square[count:]
    return Source(np.ascontiguousarray(given), after if len(after) == length else None)


def read_frames(path: Path, size: int, wanted: range) -> tuple[list[Frame], int]:
    """The frames with these numbers, as far as there are any, and how many there are up to the last of them.

    The shorter side is resized to ``size`` pixels. Frames of an image stand side by side in it.

    Raises:
        UserError: if the file cannot be decoded.
    """
    frames, held = [], 0
    try:
        opened = clip_at(path).open(Resizer(size, "bilinear"))
        for held, frame in enumerate(islice(opened.frames, wanted[-1] + 1), 1):
            if held - 1 in wanted:
                frames.append(frame)
    except BrokenClipError as error:
        raise UserError(f"{path} is not a video that can be read: {error}") from error
    for remark in opened.remarks:
        say(f"{path.name}: {remark}")
    return frames, held


def clip_at(path: Path) -> ClipSource:
    """What reads the file or folder at ``path``; a WebP is an animation, or an image of frames side by side."""
    if path.is_dir():
        return FrameFolder(path, path.name, 0)
    image = path.suffix.lower() in IMAGES and not is_animation(path)
    kind = StripImage if image else Animation if path.suffix.lower() == WEBP else VideoFile
    return kind(path, path.name, 0)
