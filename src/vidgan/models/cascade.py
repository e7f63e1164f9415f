"""A model is a cascade of levels; a level above the first is fed by the frozen levels below it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vidgan.models.below import Below, take
from vidgan.models.conditioning import NOTHING, Conditioning, from_below
from vidgan.models.generator import Generator
from vidgan.models.level import LevelSpec
from vidgan.nn.statistics import Clock, Statistics
from vidgan.shapes import as_video
from vidgan.spec import require


def below_of(levels: Sequence[LevelSpec], index: int) -> Below | None:
    """What level ``index`` is fed with; None for the first.

    Raises:
        SpecError: if the level does not fit the one below; names the two shapes.
    """
    if index == 0:
        return None
    low, high = levels[index - 1], levels[index]
    shapes = f"{shape_of(low)} below {shape_of(high)}"
    require(high.frames % low.frames == 0, f"level {index + 1} needs a multiple of the frames: {shapes}")
    require(high.size >= low.size, f"level {index + 1} is smaller than the one below: {shapes}")
    factor = high.frames // low.frames
    require(
        low.stride == factor * high.stride,
        f"strides of levels {index} and {index + 1} do not fit, {low.stride} is not {factor} x {high.stride}: {shapes}",
    )
    whole = high.trained_frames % factor == 0
    require(
        whole,
        f"window of level {index + 1} must be a multiple of {factor} frames, got {high.window}: {shapes}",
    )
    given = low.context_frames + high.context_frames == 0
    require(given, f"levels of a cascade take no conditioning frames: context_frames must be 0, {shapes}")
    return Below(low.size, factor)


def shape_of(level: LevelSpec) -> str:
    """Size of a level's videos, and how far apart their frames are."""
    return f"{level.frames}x{level.size}x{level.size} at stride {level.stride}"


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
