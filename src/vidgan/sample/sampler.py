"""What generators with standing statistics make: whole videos, all levels, parts, interpolations, futures.

Clip number i is a function of the seed, i and its class, whatever else is made beside it.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

import torch
from torch import Tensor

from vidgan.errors import UserError
from vidgan.memory import FLOAT, require_memory
from vidgan.models.cascade import (
    Embed,
    FrozenLevel,
    Noise,
    by_label,
    factor_of,
    require_chunks,
    sample_alone,
    sample_levels,
    sample_window,
    stream_chunks,
)
from vidgan.models.generator import Generator, GeneratorSpec
from vidgan.nn.warping import expected_motion, refine, upsample
from vidgan.run.experiment import Experiment
from vidgan.run.graphs import compiled
from vidgan.sample.memory import short_of_memory
from vidgan.sample.noise import Scaled, Truncation, interpolate, latents
from vidgan.seeds import derive

Made = TypeVar("Made")


def device_of(generator: Generator) -> torch.device:
    """Where a generator's weights are."""
    return next(generator.parameters()).device


def require_memory_for_videos(
    experiment: Experiment, dtype: torch.dtype | None = None, chunk: int | None = None
) -> None:
    """Raise :class:`UserError` where not even one video of ``experiment`` can be made in this machine's memory.

    It is the least that a pass on the CPU takes, so nothing that would do is refused; ``vidgan plan`` tells the whole.

    Args:
        dtype: what networks compute in; None: float32.
        chunk: frames that levels above the first make at a time; None: all of them.
    """
    for index, level in enumerate(experiment.levels):
        frames = level.frames if chunk is None or index == 0 else min(chunk, level.frames)
        require_memory(
            (FLOAT if dtype is None else dtype.itemsize) * values_at_once(level.generator, frames),
            f"one video of {level.frames:,} frames at {level.size}x{level.size} pixels",
            "ask for fewer frames",
        )


def values_at_once(spec: GeneratorSpec, frames: int) -> int:
    """Values of one clip that a generator holds at least, in the part that holds the most: what goes into it and comes
    out of it, or attention's logits and their softmax."""
    side, inputs, most = spec.side, spec.channels * spec.width, 0
    for stage in spec.stages:
        output_side, outputs = side << stage.upsample, stage.channels * spec.width
        within = bool(stage.temporal) or stage.convolution or stage.blocks > 1
        most = max(
            most,
            frames * (inputs * side**2 + outputs * output_side**2),
            frames * 2 * inputs * side**2 * within,
            *(2 * layer.pairs(frames, side) for layer in stage.temporal),
        )
        side, inputs = output_side, outputs
    return most


def parts_of(count: int, most: int) -> Iterator[slice]:
    """Cuts ``count`` clips into passes of ``most``."""
    return (slice(first, min(first + most, count)) for first in range(0, count, most))


GRAPHS: Final = 256
"""numbers of clips that are made at once, of one sampler, for which there may be graphs"""


def compiled_level(level: FrozenLevel) -> FrozenLevel:
    """The same, its generator a copy of the same weights that makes videos by compiled graphs."""
    generator = copy.copy(level.generator)
    setattr(generator, "generate", compiled(generator.generate, whole=True, graphs=GRAPHS))  # noqa: B010
    return level._replace(generator=generator)


class End(NamedTuple):
    """One end of an interpolation: the sample of this number and class."""

    number: int
    label: int
    seed: int | None = None
    """None: that of the interpolation"""


class Futures(NamedTuple):
    """Continuations, and how their features move."""

    video: Tensor
    """(n T 3 H W) in [-1, 1]"""
    motion: Tensor | None
    """(n T 2 H W) in pixels per frame, to the right and downwards; None where no unit warps"""


class Sampler:
    """The levels of a cascade, frozen, with standing statistics for one length of video.

    Videos are float (n T 3 H W) in [-1, 1] on the CPU. ``numbers`` are those of the clips, on which their noise
    depends, and ``labels`` their classes. What is made does not depend on ``at_once``, the clips of a pass, up to
    rounding: standing statistics know no batch.

    Args:
        window: frames of :meth:`sample`'s videos, where they are windows at random places that the top level makes as
            in training; None: whole videos. Its statistics are then those of windows (:mod:`vidgan.sample.windows`).
        dtype: what networks compute in; None: the dtype of their weights. Videos stay wide.
        compile: whether whole videos are made by compiled generators: a graph for every number of clips that are made
            at once, which is made where it is first needed. :meth:`stream`, whose parts differ in place, takes none.
    """

    def __init__(
        self,
        levels: Sequence[FrozenLevel],
        at_once: int,
        window: int | None = None,
        dtype: torch.dtype | None = None,
        compile: bool = False,
    ) -> None:
        self.levels = tuple(levels)
        self._compiled = tuple(map(compiled_level, levels)) if compile else self.levels
        self.at_once, self.window, self.dtype = at_once, window, dtype
        self.device = device_of(self.levels[0].generator)

    @property
    def frames(self) -> int:
        """Frames that the top level makes."""
        return self.levels[-1].spec.frames

    @torch.no_grad()
    def sample(
        self, numbers: Sequence[int], labels: Sequence[int], seed: int, truncation: Truncation = Scaled()
    ) -> Tensor:
        """Whole videos of the top level, or windows of it."""

        def made(rows: slice) -> Tensor:
            noise, embed = self._noise(seed, numbers[rows], truncation), self._embed(labels[rows])
            if self.window is None:
                video = sample_window(self._compiled, noise, embed, _starts(rows), self.frames, self.dtype)
            else:
                places = self.levels[-2].spec.frames - self.window // factor_of(self.levels) + 1
                start = window_starts(seed, numbers[rows], places)
                video = sample_alone(self._compiled, noise, embed, start, self.window, self.dtype)
            return video.cpu()

        return torch.cat(self._in_passes(len(numbers), made))

    @torch.no_grad()
    def sample_levels(
        self,
        numbers: Sequence[int],
        labels: Sequence[int],
        seed: int,
        truncation: Truncation = Scaled(),
        first: Tensor | None = None,
    ) -> list[Tensor]:
        """What :meth:`sample` makes, after the videos of the levels below it.

        Args:
            first: stands for what level 1 would make.
        """

        def made(rows: slice) -> list[Tensor]:
            noise = self._noise(seed, numbers[rows], truncation)
            given = None if first is None else first[rows].to(self.device)
            videos = sample_levels(self._compiled, noise, self._embed(labels[rows]), given, self.dtype)
            return [video.cpu() for video in videos]

        parts = self._in_passes(len(numbers), made)
        return [torch.cat(videos) for videos in zip(*parts, strict=True)]

    def stream(
        self, number: int, label: int, seed: int, frames: int, truncation: Truncation = Scaled()
    ) -> Iterator[Tensor]:
        """The video of one clip of a cascade, part after part (t 3 H W).

        It is what :meth:`sample` makes, up to rounding; levels above the first make ``frames`` frames at a time, so
        that their memory does not grow with the video.

        Raises:
            UserError: if a level above the first cannot be made in chunks.
        """
        noise = self._noise(seed, [number], truncation)
        smaller = "level 1 makes its whole video at once: ask for fewer --frames"
        smaller = smaller if frames == 1 else f"give a smaller --chunk; {smaller}"
        with short_of_memory(1, f"{frames} frames of one video made at a time", smaller):
            for part in stream_chunks(self.levels, noise, self._embed([label]), frames, self.dtype):
                yield part[0].cpu()

    @torch.no_grad()
    def interpolate(
        self, first: End, last: End, points: int, seed: int, truncation: Truncation = Scaled()
    ) -> Tensor:
        """``points`` videos from ``first`` to ``last``, both included.

        The noise of every level and the class embedding move on straight lines (Clark et al. 2019, 4.4 and D.2): ends
        of one class give a latent interpolation, ends of one number a class interpolation.
        """
        labels = torch.tensor([first.label, last.label], device=self.device)

        def made(rows: slice) -> Tensor:
            def noise(level: int, dimension: int) -> Tensor:
                a, b = (
                    latents(
                        seed if end.seed is None else end.seed, level, [end.number], dimension, truncation
                    )[0]
                    for end in (first, last)
                )
                return interpolate(a, b, points)[rows].to(self.device)

            def embed(generator: Generator) -> Tensor:
                a, b = generator.embed_label(labels)
                return interpolate(a, b, points)[rows]

            start = _starts(rows)
            return sample_window(self._compiled, noise, embed, start, self.frames, self.dtype).cpu()

        return torch.cat(self._in_passes(points, made))

    def predict(
        self,
        given: Tensor,
        numbers: Sequence[int],
        labels: Sequence[int],
        seed: int,
        frames: int | None = None,
        truncation: Truncation = Scaled(),
        motion_units: int | None = None,
    ) -> Futures:
        """``frames`` frames after conditioning frames, one future per number; None: as many as in training.

        The model makes its trained length each time, and is then given the last frames of what there is by then: made
        ones, and given ones where it makes fewer than it takes. Each time has noise of its own.

        Args:
            given: conditioning frames (n C 3 H W) in [-1, 1].
            motion_units: units whose motion is combined, from the finest; None: all.
        """
        level = self.levels[0].spec
        length = level.frames if frames is None else frames
        last, parts, fields = given[:, -level.context_frames :], list[Tensor](), []
        for time in range(-(-length // level.frames)):
            own = seed if time == 0 else derive(seed, "rolling on", time)
            # Our choice: frames are passed on as they are made, not rounded to the 256 values that data have.
            made = self._predict_once(last, numbers, labels, own, truncation, motion_units)
            parts.append(made.video)
            last = torch.cat([last, made.video], dim=1)[:, -level.context_frames :]
            if made.motion is not None:
                fields.append(made.motion)
        motion = torch.cat(fields, dim=1)[:, :length] if fields else None
        return Futures(torch.cat(parts, dim=1)[:, :length], motion)

    @torch.no_grad()
    def _predict_once(
        self,
        given: Tensor,
        numbers: Sequence[int],
        labels: Sequence[int],
        seed: int,
        truncation: Truncation,
        motion_units: int | None,
    ) -> Futures:
        level = self._compiled[0]

        def made(rows: slice) -> Futures:
            z = self._noise(seed, numbers[rows], truncation)(0, level.spec.generator.latent)
            own = given[rows].to(self.device, self.dtype)
            embedded = self._embed(labels[rows])(level.generator)
            found = continue_frames(level, z, embedded, own, self.dtype, motion_units)
            return Futures(found.video.cpu(), None if found.motion is None else found.motion.cpu())

        parts = self._in_passes(len(numbers), made)
        fields = [part.motion for part in parts if part.motion is not None]
        video = torch.cat([part.video for part in parts])
        return Futures(video, torch.cat(fields) if fields else None)

    def _in_passes(self, count: int, make: Callable[[slice], Made]) -> list[Made]:
        """What ``make`` makes of each pass of ``count`` clips.

        Raises:
            OutOfMemoryInPassError: where one does not fit.
        """
        parts, length = [], self.frames if self.window is None else self.window
        for rows in parts_of(count, self.at_once):
            clips = rows.stop - rows.start
            what = (
                f"{clips} videos of {length} frames made at a time"
                if clips > 1
                else f"one video of {length} frames"
            )
            with short_of_memory(clips, what, self._instead()):
                parts.append(make(rows))
        return parts

    def _instead(self) -> str:
        """What helps where not even one video fits."""
        try:
            require_chunks([level.spec for level in self.levels])
        except UserError:
            return "ask for fewer --frames if it is longer than trained, or choose another --device (cpu)"
        return "vidgan sample --chunk makes levels above the first a few frames at a time"

    def _noise(self, seed: int, numbers: Sequence[int], truncation: Truncation) -> Noise:
        return lambda level, dimension: latents(seed, level, numbers, dimension, truncation).to(self.device)

    def _embed(self, labels: Sequence[int]) -> Embed:
        return by_label(torch.tensor(labels, device=self.device))


@torch.no_grad()
def continue_frames(
    level: FrozenLevel,
    z: Tensor,
    embedded: Tensor,
    given: Tensor,
    dtype: torch.dtype | None = None,
    motion_units: int | None = None,
) -> Futures:
    """One pass of a level that continues frames, where its weights are.

    Args:
        z: noise (B, latent).
        embedded: class embedding (B, embedding).
        given: conditioning frames (B C 3 H W) in [-1, 1], in ``dtype``.
        dtype: what to compute in; None is the weights' dtype.
        motion_units: units whose motion is combined, from the finest; None: all.
    """
    conditioning, kernels = level.generator.encode(given), list[Tensor]()
    video = level.generator.generate(
        z, embedded, level.spec.frames, level.statistics, conditioning, dtype=dtype, kernels=kernels
    )
    if not kernels:
        return Futures(video, None)
    # Luc et al. 2020, 4.4. Our choice: the fields of all units; Figure 3 combines "the two lower levels", which are the
    # finer ones, as a coarse field is refined "with the next lower level flow field".
    fields_of_units = [expected_motion(of_unit.to(z.dtype)) for of_unit in kernels]
    motion = refine(fields_of_units[-(motion_units or len(kernels)) :])
    return Futures(video, upsample(motion, video.shape[-2:]))


def window_starts(seed: int, numbers: Sequence[int], places: int) -> Tensor:
    """At which of ``places`` frames of the level below the windows of clips begin, int64 (B,)."""
    return torch.tensor([derive(seed, "random window", number) % places for number in numbers])


def _starts(rows: slice) -> Tensor:
    """Whole videos start at frame 0."""
    return torch.zeros(rows.stop - rows.start, dtype=torch.int64)
