"""A model is a cascade of levels; a level above the first is fed by the frozen levels below it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.models.conditioning import NOTHING, Conditioning, from_below
from vidgan.models.generator import Generator
from vidgan.models.level import Below, LevelSpec
from vidgan.nn.statistics import Clock, Statistics
from vidgan.shapes import as_video, fold_time, unfold_time
from vidgan.spec import require


def below_of(levels: Sequence[LevelSpec], index: int) -> Below | None:
    """What level ``index`` is fed with; None for the first.

    Raises:
        SpecError: if the level does not fit the one below; names the two shapes.
    """
    if index == 0:
        return None
    low, high = levels[index - 1], levels[index]
    shapes = f"{low.frames}x{low.size}x{low.size} below {high.frames}x{high.size}x{high.size}"
    require(high.frames % low.frames == 0, f"level {index + 1} needs a multiple of the frames: {shapes}")
    require(high.size >= low.size, f"level {index + 1} is smaller than the one below: {shapes}")
    factor = high.frames // low.frames
    require(
        low.stride == factor * high.stride,
        f"strides of levels {index} and {index + 1} do not fit: {low.stride} is not {factor} x {high.stride}",
    )
    whole = high.trained_frames % factor == 0
    require(whole, f"window of level {index + 1} must be a multiple of {factor} frames, got {high.window}")
    return Below(low.size, factor)


def view_below(clip: Tensor, below: Below, smooth: bool) -> Tensor:
    """The data's own low-resolution view of a clip (B T 3 H W): every ``factor``-th frame, resized.

    Args:
        smooth: bilinear with antialiasing (CVG) instead of nearest (SSW-GAN, 3.1).
    """
    return resize(clip[:, :: below.factor], below.size, smooth)


def resize(clip: Tensor, size: int, smooth: bool) -> Tensor:
    """Resize a video (B T 3 H W) to ``size`` pixels; nothing to do where it has that size."""
    if clip.shape[-1] == size:
        return clip
    frames = fold_time(clip)
    if smooth:
        small = F.interpolate(frames, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    else:
        small = F.interpolate(frames, size=(size, size), mode="nearest")
    return unfold_time(small, clip.shape[1])


class Settled(NamedTuple):
    """A trained generator with its settled statistics, ready to be sampled."""

    spec: LevelSpec
    generator: Generator
    statistics: Statistics


def play(
    level: Settled,
    z: Tensor,
    embedded: Tensor,
    conditioning: Conditioning,
    clock: Clock,
    steps: int,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """``steps`` frames of a settled level (B T 3 H W)."""
    made = level.generator.generate(z, embedded, steps, level.statistics, conditioning, clock, dtype)
    return made.video


class Span(NamedTuple):
    """What has to be computed so that a window of it is exact."""

    start: Tensor
    """first frame per clip (B,)"""
    frames: int


def span_around(start: Tensor, frames: int, halo: int, total: int) -> Span:
    """A span of equal length for every clip that holds each window and its halo, cut at the video's ends.

    Layers pad with zeros where the video ends, so a span that is cut there is exact too.
    """
    length = min(total, frames + 2 * halo)
    return Span((start - halo).clamp(0, total - length), length)


def take(video: Tensor, start: Tensor, frames: int) -> Tensor:
    """Window ``start[b] ... start[b] + frames`` of clip b of a video (B T C H W)."""
    rows = torch.arange(len(start), device=video.device)[:, None]
    steps = start.to(video.device)[:, None] + torch.arange(frames, device=video.device)
    return video.permute(0, 1, 3, 4, 2)[rows, steps].permute(0, 1, 4, 2, 3)


Noise = Callable[[int, int], Tensor]
"""(level index, latent dimension) -> z (B, latent)."""

Embed = Callable[[Generator], Tensor]
"""A level's generator -> what it takes for e(y) (B, embedding)."""


def by_label(label: Tensor) -> Embed:
    """The class embeddings of labels (B,)."""
    return lambda generator: generator.embed_label(label)


@torch.no_grad()
def sample_levels(
    levels: Sequence[Settled],
    noise: Noise,
    embed: Embed,
    first: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> list[Tensor]:
    """The whole videos of all levels (B T 3 H W), each made from the one before it.

    Args:
        first: stands for what level 1 would make.
    """
    videos = [] if first is None else [first]
    for index in range(len(videos), len(levels)):
        level = levels[index]
        z = noise(index, level.spec.generator.latent)
        given = from_below(videos[-1]) if videos else NOTHING
        videos.append(play(level, z, embed(level.generator), given, Clock(), level.spec.frames, dtype))
    return videos


@torch.no_grad()
def sample_window(
    levels: Sequence[Settled],
    noise: Noise,
    embed: Embed,
    start: Tensor,
    frames: int,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """A window of the top level's video (B frames 3 H W), made from noise through all ``levels``.

    Level 1 makes its whole video; above it only the window and its halo are computed.

    Args:
        start: first frame of the window, per clip (B,).
    """
    index = len(levels) - 1
    level = levels[index]
    z = noise(index, level.spec.generator.latent)
    embedded = embed(level.generator)
    total = level.spec.frames
    halo = level.spec.generator.context
    if halo is None or index == 0:
        span = Span(torch.zeros_like(start), total)
    else:
        span = span_around(start, frames, halo, total)
    conditioning, offset = NOTHING, torch.zeros_like(start)
    if index > 0:
        factor = total // levels[index - 1].spec.frames
        first = span.start // factor
        count = min(levels[index - 1].spec.frames, -(-span.frames // factor) + 1)
        first = first.clamp(max=levels[index - 1].spec.frames - count)
        below = sample_window(levels[:index], noise, embed, first, count, dtype)
        conditioning = from_below(below)
        span = Span(first * factor, count * factor)
        offset = span.start
    clock = Clock(span.start)
    video = play(level, z, embedded, conditioning, clock, span.frames, dtype)
    return as_video(take(video, start - offset, frames))
