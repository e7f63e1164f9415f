"""A model is a cascade of levels; a level above the first is fed by the frozen levels below it, whole or in chunks."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vidgan.errors import UserError
from vidgan.models.generator import NOTHING, Below, Conditioning, Generator, from_below
from vidgan.models.level import LevelSpec, take
from vidgan.nn.norm import BatchNormAllFramesSpec, Clock, Statistics
from vidgan.nn.temporal import RecurrentSpec
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


class FrozenLevel(NamedTuple):
    """A trained generator with the statistics that it is sampled with."""

    spec: LevelSpec
    generator: Generator
    statistics: Statistics


def generate(
    level: FrozenLevel,
    z: Tensor,
    embedded: Tensor,
    conditioning: Conditioning,
    clock: Clock,
    steps: int,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """``steps`` frames of a frozen level (B T 3 H W)."""
    return level.generator.generate(z, embedded, steps, level.statistics, conditioning, clock, dtype)


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
    levels: Sequence[FrozenLevel],
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
        videos.append(generate(level, z, embed(level.generator), given, Clock(), level.spec.frames, dtype))
    return videos


@torch.no_grad()
def sample_window(
    levels: Sequence[FrozenLevel],
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
    start = start.to(z.device, non_blocking=True)  # once for all layers
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
    video = generate(level, z, embedded, conditioning, clock, span.frames, dtype)
    return as_video(take(video, start - offset, frames))


@torch.no_grad()
def sample_alone(
    levels: Sequence[FrozenLevel],
    noise: Noise,
    embed: Embed,
    start: Tensor,
    frames: int,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """A window of ``frames`` frames (B T 3 H W) that the top level makes as in training: of its input window alone.

    Nothing beyond the window is seen, and steps are counted from its first (SSW-GAN, 5.1, note 1: "upsampling 6
    randomly selected frames from the stage 1"); :func:`sample_window` cuts the same window out of the whole video.

    Args:
        levels: two or more; the top level's statistics are those of such windows.
        start: first frame of the window, counted in those of the level below, per clip (B,).
    """
    *below, level = levels
    given = sample_window(below, noise, embed, start, frames // factor_of(levels), dtype)
    z = noise(len(below), level.spec.generator.latent)
    return generate(level, z, embed(level.generator), from_below(given), Clock(), frames, dtype)


def factor_of(levels: Sequence[FrozenLevel]) -> int:
    """Frames that the top level makes of one of the level below."""
    return levels[-1].spec.frames // levels[-2].spec.frames


class Chunk(NamedTuple):
    """Frames of a level's video that are kept, within those that are computed so that they are exact."""

    start: int
    """first computed frame"""
    steps: int
    """computed frames"""
    lead: int
    """computed frames before the first that is kept"""
    frames: int
    """kept frames"""

    @property
    def kept(self) -> slice:
        """Which of the computed frames are kept."""
        return slice(self.lead, self.lead + self.frames)


def whole(frames: int) -> Chunk:
    """A video of ``frames`` frames as one chunk."""
    return Chunk(0, frames, 0, frames)


def chunks_of(levels: Sequence[LevelSpec], index: int, frames: int | None) -> list[Chunk]:
    """The whole video of level ``index`` (from 0) in chunks of ``frames`` frames; None: as one chunk.

    A chunk is computed with as many frames on either side as its layers see, and from the first output frame of
    an input frame to the last of another. Where the video ends nothing is missing: layers pad with zeros there.

    Raises:
        UserError: if the level has a layer that sees the whole video.
    """
    total = levels[index].frames
    if frames is None or index == 0:
        return [whole(total)]
    halo, factor = halo_of(levels, index), total // levels[index - 1].frames
    chunks = []
    for first in range(0, total, frames):
        last = min(first + frames, total)
        start = max(0, first - halo) // factor * factor
        end = -(-min(total, last + halo) // factor) * factor
        chunks.append(Chunk(start, end - start, first - start, last - first))
    return chunks


def halo_of(levels: Sequence[LevelSpec], index: int) -> int:
    """Frames that an output frame of level ``index`` (from 0) sees on either side.

    Raises:
        UserError: if the level has a layer that sees the whole video; says which.
    """
    spec = levels[index].generator
    refused = f"level {index + 1} cannot be made in chunks:"
    for layer in (layer for stage in spec.stages for layer in stage.temporal):
        if layer.context is None:
            kind = type(layer.unit if isinstance(layer, RecurrentSpec) else layer).__name__.removesuffix(
                "Spec"
            )
            raise UserError(f"{refused} a frame of its {kind} depends on frames at any distance")
    if BatchNormAllFramesSpec() in (spec.norm, spec.final_norm):
        raise UserError(f"{refused} its normalisation takes statistics over all frames at once")
    halo = spec.context
    assert halo is not None
    return halo


def require_chunks(levels: Sequence[LevelSpec]) -> None:
    """Raise :class:`UserError` unless all levels above the first can be made in chunks, and there are any."""
    if len(levels) == 1:
        raise UserError("only levels above the first are made in chunks, and this model has one level")
    for index in range(1, len(levels)):
        halo_of(levels, index)


@torch.no_grad()
def stream_chunks(
    levels: Sequence[FrozenLevel],
    noise: Noise,
    embed: Embed,
    frames: int | None,
    dtype: torch.dtype | None = None,
) -> Iterator[Tensor]:
    """The top level's whole video, part after part (B t 3 H W).

    Level 1 makes its whole video at once. Every level above makes ``frames`` frames at a time, and keeps of the
    video below what the next chunk needs; what it makes does not depend on the cutting, up to rounding.

    Args:
        frames: kept frames of a chunk, at every level above the first; None: all of them, in one part.

    Raises:
        UserError: if a level above the first cannot be made in chunks.
    """
    index = len(levels) - 1
    if index > 0:
        below = stream_chunks(levels[:index], noise, embed, frames, dtype)
        yield from above(levels, below, noise, embed, frames, dtype)
        return
    (level,) = levels
    z = noise(0, level.spec.generator.latent)
    yield generate(level, z, embed(level.generator), NOTHING, Clock(), level.spec.frames, dtype)


@torch.no_grad()
def above(
    levels: Sequence[FrozenLevel],
    below: Iterator[Tensor],
    noise: Noise,
    embed: Embed,
    frames: int | None,
    dtype: torch.dtype | None = None,
) -> Iterator[Tensor]:
    """The top level's video, part after part (B t 3 H W), from the parts of the one below; see :func:`stream`."""
    index = len(levels) - 1
    level, specs = levels[index], [each.spec for each in levels]
    chunks = chunks_of(specs, index, frames)
    factor = level.spec.frames // specs[index - 1].frames
    z, embedded = noise(index, level.spec.generator.latent), embed(level.generator)
    for chunk, given in zip(chunks, inputs_of(chunks, below, factor), strict=True):
        video = generate(level, z, embedded, from_below(given), Clock(chunk.start), chunk.steps, dtype)
        yield video[:, chunk.kept]


def inputs_of(chunks: Iterable[Chunk], below: Iterator[Tensor], factor: int) -> Iterator[Tensor]:
    """What each chunk is made from: its frames (B t 3 h w) of the level below, whose parts are taken one by one.

    Args:
        factor: output frames per input frame.
    """
    held, first = next(below), 0
    for chunk in chunks:
        start, end = chunk.start // factor, (chunk.start + chunk.steps) // factor
        parts = [held[:, start - first :]]
        while start + sum(part.shape[1] for part in parts) < end:
            parts.append(next(below))
        held, first = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1), start
        yield held[:, : end - start]
