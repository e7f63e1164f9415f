"""A trained run, ready to be sampled: settled generators of every level, and how to play them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vidgan.models.cascade import Settled, by_label, sample_levels, sample_window
from vidgan.models.chunks import stream
from vidgan.nn.motion import expected_motion, refine, upsample
from vidgan.nn.statistics import Clock
from vidgan.run.experiment import Experiment
from vidgan.sample.latents import Scaled, Truncation, latents

MOST_AT_ONCE = 16
"""clips per pass of settled generators, where training takes as many"""


class Trained(NamedTuple):
    """Frozen, settled levels of a run."""

    experiment: Experiment
    levels: tuple[Settled, ...]
    class_names: tuple[str, ...]
    step: int
    """generator updates of the top level"""
    device: torch.device


def parts_of(clips: int, experiment: Experiment) -> Iterator[slice]:
    """Cuts a number of clips into passes of settled generators that take no more memory than a training step.

    What is generated does not depend on the cutting, up to rounding: settled statistics know no batch.
    """
    most = min(MOST_AT_ONCE, experiment.training.batch.micro)
    return (slice(first, min(first + most, clips)) for first in range(0, clips, most))


@torch.no_grad()
def synthesise(
    model: Trained, seed: int, clips: Sequence[int], labels: Sequence[int], truncation: Truncation = Scaled()
) -> Tensor:
    """Whole videos (n T 3 H W) in [-1, 1] on the CPU: clip i is a function of (seed, i, its label).

    Args:
        clips: numbers of the clips; each has noise of its own.
        labels: their classes.
        truncation: how noise is drawn.
    """
    parts = []
    for rows in parts_of(len(clips), model.experiment):
        numbers = clips[rows]
        label = torch.tensor(labels[rows], device=model.device)

        def noise(level: int, dimension: int, numbers: Sequence[int] = numbers) -> Tensor:
            return latents(seed, level, numbers, dimension, truncation).to(model.device)

        start = torch.zeros(len(numbers), dtype=torch.int64)
        frames = model.levels[-1].spec.frames
        parts.append(sample_window(model.levels, noise, by_label(label), start, frames).cpu())
    return torch.cat(parts)


@torch.no_grad()
def synthesise_levels(
    model: Trained,
    seed: int,
    clips: Sequence[int],
    labels: Sequence[int],
    truncation: Truncation = Scaled(),
    first: Tensor | None = None,
) -> list[Tensor]:
    """What :func:`synthesise` makes, and the videos of the levels below it, each (n T 3 H W) in [-1, 1] on the CPU.

    Args:
        first: stands for what level 1 would make.
    """
    parts: list[list[Tensor]] = []
    for rows in parts_of(len(clips), model.experiment):
        numbers = clips[rows]
        label = torch.tensor(labels[rows], device=model.device)

        def noise(level: int, dimension: int, numbers: Sequence[int] = numbers) -> Tensor:
            return latents(seed, level, numbers, dimension, truncation).to(model.device)

        given = None if first is None else first[rows].to(model.device)
        videos = sample_levels(model.levels, noise, by_label(label), given)
        parts.append([video.cpu() for video in videos])
    return [torch.cat(videos) for videos in zip(*parts, strict=True)]


def synthesise_in_chunks(
    model: Trained, seed: int, clip: int, label: int, frames: int, truncation: Truncation = Scaled()
) -> Iterator[Tensor]:
    """The video of one clip of a cascade, part after part (t 3 H W) in [-1, 1] on the CPU.

    It is what :func:`synthesise` makes, up to rounding; levels above the first make ``frames`` frames at a time, so
    that their memory does not grow with the video.

    Raises:
        UserError: if a level above the first cannot be made in chunks.
    """

    def noise(level: int, dimension: int) -> Tensor:
        return latents(seed, level, [clip], dimension, truncation).to(model.device)

    embed = by_label(torch.tensor([label], device=model.device))
    return (part[0].cpu() for part in stream(model.levels, noise, embed, frames))


class Continued(NamedTuple):
    """Continuations, and how their features move."""

    video: Tensor
    """(n T 3 H W) in [-1, 1]"""
    motion: Tensor | None
    """(n T 2 H W) in pixels per frame, to the right and downwards; None where no unit warps"""


def continue_clips(
    model: Trained, given: Tensor, seed: int, clips: Sequence[int], truncation: Truncation = Scaled()
) -> Tensor:
    """Continuations (n T 3 H W) in [-1, 1] of conditioning frames, one future per number in ``clips``.

    Args:
        given: conditioning frames (n C 3 H W) in [-1, 1].
    """
    return continue_moving(model, given, seed, clips, truncation).video


@torch.no_grad()
def continue_moving(
    model: Trained, given: Tensor, seed: int, clips: Sequence[int], truncation: Truncation = Scaled()
) -> Continued:
    """What :func:`continue_clips` makes, with the motion of each frame since the one before, on the CPU."""
    level = model.levels[0]
    videos, fields = [], []
    for rows in parts_of(len(clips), model.experiment):
        numbers = clips[rows]
        z = latents(seed, 0, numbers, level.spec.generator.latent, truncation).to(model.device)
        conditioning = level.generator.encode(given[rows].to(model.device))
        embedded = level.generator.embed_label(
            torch.zeros(len(numbers), dtype=torch.int64, device=model.device)
        )
        made = level.generator.generate(
            z, embedded, level.spec.frames, level.statistics, conditioning, Clock()
        )
        videos.append(made.video.cpu())
        if made.kernels:
            # Luc et al. 2020, 4.4. Our choice: the fields of all units; Figure 3 combines "the two lower levels".
            motion = refine([expected_motion(kernels) for kernels in made.kernels])
            fields.append(upsample(motion, made.video.shape[-2:]).cpu())
    return Continued(torch.cat(videos), torch.cat(fields) if fields else None)


def to_bytes(video: Tensor) -> Tensor:
    """Video (n T 3 H W) in [-1, 1] -> uint8 (n T H W 3), rounded to the nearest value."""
    return ((video.permute(0, 1, 3, 4, 2) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
