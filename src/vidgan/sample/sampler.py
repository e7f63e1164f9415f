"""Videos from a trained model: latents, whole videos and cascades, chunks, continuations, interpolations."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidgan.errors import UserError
from vidgan.models.cascade import FrozenLevel, by_label, sample_levels, sample_window, stream_chunks
from vidgan.models.generator import Generator
from vidgan.nn.norm import Clock
from vidgan.nn.warp import expected_motion, refine, upsample
from vidgan.run.experiment import Experiment
from vidgan.sample.video_io import Videos, strip
from vidgan.seeds import derive, stream
from vidgan.spec import Spec, require


class Scaled(Spec):
    """z ~ N(0, sigma^2): the truncation of Clark et al. 2019 (Figure 14: sigma 0.44)."""

    sigma: float = 1.0
    """standard deviation; 1 is no truncation, 0 the mean sample"""

    def validate(self) -> None:
        require(self.sigma >= 0, f"sigma must be at least 0, got {self.sigma}")

    def draw(self, dimension: int, rng: torch.Generator) -> Tensor:
        return self.sigma * torch.randn(dimension, generator=rng)


class Threshold(Spec):
    """z ~ N(0, 1), values beyond the threshold drawn again (Brock et al. 2018, 3.1; Luc et al. 2020, D.1)."""

    limit: float
    """largest absolute value kept"""

    def validate(self) -> None:
        require(self.limit > 0, f"the threshold must be positive, got {self.limit}")

    def draw(self, dimension: int, rng: torch.Generator) -> Tensor:
        # Drawn by the inverse of the normal distribution between the limits: the same law, without repeated draws.
        low = torch.special.ndtr(torch.tensor(-self.limit, dtype=torch.float64))
        uniform = torch.rand(dimension, generator=rng, dtype=torch.float64)
        return torch.special.ndtri(low + uniform * (1 - 2 * low)).float()


Truncation = Scaled | Threshold


def latents(seed: int, level: int, clips: Sequence[int], dimension: int, truncation: Truncation) -> Tensor:
    """Noise (n, dimension) of the clips with these numbers, for one level of a cascade."""
    draws = [truncation.draw(dimension, stream(seed, "latent", level, clip)) for clip in clips]
    return torch.stack(draws) if draws else torch.zeros((0, dimension))


def interpolate(first: Tensor, last: Tensor, count: int) -> Tensor:
    """``count`` points on the straight line from ``first`` to ``last`` (K,), both included: (count, K).

    Clark et al. 2019, 4.4: of latents within a class, or of class embeddings at a fixed latent.
    """
    weights = torch.linspace(0, 1, count, dtype=first.dtype, device=first.device)[:, None]
    return (1 - weights) * first + weights * last


def unrolled(experiment: Experiment, frames: int) -> Experiment:
    """``experiment`` with videos of ``frames`` frames, at least as many as it was trained on.

    Weights do not depend on the length. Recurrent units run on, attention over time sees all frames, and the statistics
    of every time step, those beyond the trained length too, are settled anew at the new length.

    Raises:
        UserError: if the model makes more frames already, or its levels cannot share ``frames``.
    """
    trained = experiment.levels[-1].frames
    if frames < trained:
        raise UserError(
            f"--frames must be at least {trained}, the length this model was trained on, got {frames}"
        )
    ratio = trained // experiment.levels[0].frames
    if frames % ratio:
        raise UserError(f"--frames must be a multiple of {ratio}: the first level makes one frame in {ratio}")
    levels = tuple(level.replace(frames=frames * level.frames // trained) for level in experiment.levels)
    return experiment.replace(levels=levels)


MOST_AT_ONCE = 16
"""clips per pass of settled generators, where training takes as many"""


class Trained(NamedTuple):
    """Frozen, settled levels of a run."""

    experiment: Experiment
    levels: tuple[FrozenLevel, ...]
    class_names: tuple[str, ...]
    step: int
    """generator updates of the top level"""
    device: torch.device


def parts_of(clips: int, experiment: Experiment) -> Iterator[slice]:
    """Cuts a number of clips into passes of settled generators that take no more memory than a training step.

    What is generated does not depend on the cutting, up to rounding: settled statistics know no batch.
    """
    most = min(MOST_AT_ONCE, experiment.training.batch.per_pass)
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
    return (part[0].cpu() for part in stream_chunks(model.levels, noise, embed, frames))


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


def roll_on(
    model: Trained,
    given: Tensor,
    frames: int,
    seed: int,
    clips: Sequence[int],
    truncation: Truncation = Scaled(),
) -> Tensor:
    """``frames`` frames (n frames 3 H W) in [-1, 1] after conditioning frames, one future per number in ``clips``.

    The model makes its trained length each time, with the statistics settled for that length, and is then given the
    last frames of what there is by then: made ones, and given ones where it makes fewer than it takes. Each time has
    noise of its own; the first is what :func:`continue_clips` makes.

    Args:
        given: conditioning frames (n C 3 H W) in [-1, 1].
    """
    return roll_on_moving(model, given, frames, seed, clips, truncation).video


def roll_on_moving(
    model: Trained,
    given: Tensor,
    frames: int,
    seed: int,
    clips: Sequence[int],
    truncation: Truncation = Scaled(),
) -> Continued:
    """What :func:`roll_on` makes, with the motion of each frame since the one before."""
    level = model.levels[0].spec
    video, fields = given, []
    for turn in range(-(-frames // level.frames)):
        own = seed if turn == 0 else derive(seed, "rolling on", turn)
        # Our choice: frames are passed on as they are made, not rounded to the 256 values that data have.
        made = continue_moving(model, video[:, -level.context_frames :], own, clips, truncation)
        video = torch.cat([video, made.video], dim=1)
        if made.motion is not None:
            fields.append(made.motion)
    motion = torch.cat(fields, dim=1)[:, :frames] if fields else None
    return Continued(video[:, level.context_frames : level.context_frames + frames], motion)


class End(NamedTuple):
    """A sample at one end: what synthesis makes of the same seed, number and class."""

    clip: int
    """number of the clip, on which its noise depends"""
    label: int


@torch.no_grad()
def between(model: Trained, seed: int, first: End, last: End, count: int, truncation: Truncation) -> Tensor:
    """``count`` videos (count T 3 H W) in [-1, 1] from ``first`` to ``last``, both included.

    The noise of every level and the class embedding move on straight lines (Clark et al. 2019, 4.4 and D.2): ends of
    one class give a latent interpolation, ends of one number a class interpolation.
    """
    device, top = model.device, model.levels[-1].spec
    labels = torch.tensor([first.label, last.label], device=device)
    parts = []
    for rows in parts_of(count, model.experiment):

        def noise(level: int, dimension: int, rows: slice = rows) -> Tensor:
            a, b = latents(seed, level, [first.clip, last.clip], dimension, truncation)
            return interpolate(a, b, count)[rows].to(device)

        def embed(generator: Generator, rows: slice = rows) -> Tensor:
            a, b = generator.embed_label(labels)
            return interpolate(a, b, count)[rows]

        start = torch.zeros(rows.stop - rows.start, dtype=torch.int64)
        parts.append(sample_window(model.levels, noise, embed, start, top.frames).cpu())
    return torch.cat(parts)


def columns_of_time(videos: Videos, rows: int) -> NDArray[np.uint8]:
    """A still picture (H', W', 3) of videos (N, T, H, W, 3) as Clark et al. 2019 print interpolations (D.2).

    Each column is a video; ``rows`` of its frames, evenly spread from first to last, stand below each other.
    """
    steps = np.linspace(0, videos.shape[1] - 1, min(rows, videos.shape[1])).round().astype(int)
    return strip(np.ascontiguousarray(videos[:, steps].swapaxes(0, 1)))
