"""``vidgan predict RUN VIDEO``: continues a video with a frame-conditional model."""

import dataclasses
from pathlib import Path
from typing import Annotated

import av
import numpy as np
import torch
import tyro

from vidgan.cli.data import data_of_run
from vidgan.cli.parse import parse
from vidgan.data.dataset import Frames
from vidgan.data.loader import to_float
from vidgan.data.resize import Resizer
from vidgan.data.video import read_video
from vidgan.errors import UserError
from vidgan.run.device import choose_device
from vidgan.run.directory import RunDirectory
from vidgan.sample.files import write_clip
from vidgan.sample.grids import grid
from vidgan.sample.latents import Scaled
from vidgan.sample.published import open_trained
from vidgan.sample.trained import continue_clips, to_bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Continues a video: several futures from its first frames, side by side with what really followed."""

    run: Annotated[Path, tyro.conf.Positional]
    """run directory of a frame-conditional model"""
    video: Annotated[Path, tyro.conf.Positional]
    """video file whose first frames are given"""
    out: Path
    """folder for the continuations"""
    futures: int = 4
    """number of continuations"""
    start: int = 0
    """first given frame of the video"""
    seed: int = 0
    """seed of the noise"""
    sigma: float = 1.0
    """standard deviation of the noise"""
    fps: float = 12.0
    """frames per second of the files"""
    data: str | None = None
    """dataset for settling statistics, if the run has not settled yet"""


def run(args: list[str]) -> int:
    """Parse ``args`` and write continuations."""
    options = parse(Options, "predict", args)
    directory = RunDirectory.open(options.run)
    level = directory.experiment.levels[0]
    if not level.context_frames:
        raise UserError("this model makes videos from noise: use vidgan sample")
    given = read_given(options.video, level.size, options.start, level.context_frames, level.stride)
    device = choose_device()
    model = open_trained(directory, device=device, dataset=data_of_run(directory, options.data))
    frames = to_float(torch.from_numpy(given)[None]).expand(options.futures, -1, -1, -1, -1)
    made = continue_clips(model, frames, options.seed, range(options.futures), Scaled(sigma=options.sigma))
    options.out.mkdir(parents=True, exist_ok=True)
    videos = np.stack([np.concatenate([given, future]) for future in to_bytes(made).numpy()])
    for i, video in enumerate(videos):
        write_clip(options.out / f"future-{i:03d}.mp4", video, options.fps)
    write_clip(options.out / "futures.mp4", grid(videos, columns=min(4, options.futures)), options.fps)
    print(f"wrote {options.futures} continuations of {options.video.name} to {options.out}")
    return 0


def read_given(path: Path, size: int, start: int, count: int, stride: int) -> Frames:
    """The conditioning frames (count, size, size, 3) of a video, resized and cropped to the centre.

    Raises:
        UserError: if the video is missing, broken or too short.
    """
    if not path.is_file():
        raise UserError(f"there is no video {path}")
    frames = read_given_frames(path, size)
    needed = start + (count - 1) * stride + 1
    if len(frames) < needed:
        raise UserError(
            f"{path.name} has {len(frames)} frames; the model is given frames up to number {needed}"
        )
    picked = frames[start:needed:stride]
    top, left = ((side - size) // 2 for side in picked.shape[1:3])
    return np.ascontiguousarray(picked[:, top : top + size, left : left + size])


def read_given_frames(path: Path, size: int) -> Frames:
    """All frames of a video with the shorter side at ``size`` pixels.

    Raises:
        UserError: if the file cannot be decoded.
    """
    try:
        _, frames = read_video(path, Resizer(size, "bilinear"))
        return np.stack(list(frames))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UserError(f"{path} is not a video that can be read: {error}") from error
