"""Upper levels in temporal chunks: each chunk is computed with the frames around it that its own depend on."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vidgan.errors import UserError
from vidgan.models.cascade import Embed, Noise, Settled, play
from vidgan.models.conditioning import NOTHING, from_below
from vidgan.models.level import LevelSpec
from vidgan.nn.norm import BatchNormAllFrames
from vidgan.nn.statistics import Clock
from vidgan.nn.temporal import Recurrent


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
            kind = type(layer.unit if isinstance(layer, Recurrent) else layer).__name__
            raise UserError(f"{refused} a frame of its {kind} depends on frames at any distance")
    if BatchNormAllFrames() in (spec.norm, spec.final_norm):
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
def stream(
    levels: Sequence[Settled],
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
        below = stream(levels[:index], noise, embed, frames, dtype)
        yield from above(levels, below, noise, embed, frames, dtype)
        return
    (level,) = levels
    z = noise(0, level.spec.generator.latent)
    yield play(level, z, embed(level.generator), NOTHING, Clock(), level.spec.frames, dtype)


@torch.no_grad()
def above(
    levels: Sequence[Settled],
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
        video = play(level, z, embedded, from_below(given), Clock(chunk.start), chunk.steps, dtype)
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
