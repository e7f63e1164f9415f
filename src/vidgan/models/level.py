"""A level: a generator, the discriminators that it is trained against, and who sees what."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.bounds import Count, Length, LengthOrNone
from vidgan.models.discriminator import Discriminator, DiscriminatorSpec
from vidgan.models.generator import NOTHING, Below, Conditioning, Generator, GeneratorSpec, from_below
from vidgan.models.losses import ObjectiveSpec, SumThenHingeSpec
from vidgan.models.views import ClipShape, DiscriminatorInput
from vidgan.nn.norm import Clock, Statistics
from vidgan.shapes import as_video, fold_time, unfold_time
from vidgan.spec import Spec, require


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


def take(video: Tensor, start: Tensor, frames: int) -> Tensor:
    """Window ``start[b] ... start[b] + frames`` of clip b of a video (B T C H W)."""
    rows = torch.arange(len(start), device=video.device)[:, None]
    steps = start.to(video.device)[:, None] + torch.arange(frames, device=video.device)
    return video.permute(0, 1, 3, 4, 2)[rows, steps].permute(0, 1, 4, 2, 3)


class LevelSpec(Spec):
    """One level of a cascade; a model without a cascade has one."""

    generator: GeneratorSpec
    discriminators: tuple[DiscriminatorSpec, ...]
    objective: ObjectiveSpec = SumThenHingeSpec()
    frames: Length
    """frames that the generator makes of a whole video"""
    stride: Length = 1
    """source frames from one of them to the next"""
    window: Length | None = None
    """frames of a training window on levels above the first; None trains on whole videos"""
    context_frames: LengthOrNone = 0
    """conditioning frames given in front; 0 for synthesis"""
    steps: Count | None = None
    """generator updates of this level; None: as many as the experiment's training says"""
    global_batch: Count | None = None
    """clips per update of this level, over all processes; None: as the experiment's training says"""
    micro_batch: Count | None = None
    """most clips per forward pass of one process on this level; None: as the experiment's training says"""
    lower_video_uses: Count = 1
    """updates of a step that share one video of the level below, each with noise of its own for this level; more cost
    fewer operations. 1, as in the papers: each has a new one"""

    def validate(self) -> None:
        names = [discriminator.name for discriminator in self.discriminators]
        require(len(set(names)) == len(names), f"discriminators need different names, got {', '.join(names)}")
        if self.window is not None:
            fits = 1 <= self.window <= self.frames
            require(fits, f"window must be 1 to {self.frames} frames, got {self.window}")
        for discriminator in self.discriminators:
            require(
                discriminator.view.fewest_frames <= self.seen_frames,
                f"the discriminator {discriminator.name!r} draws {discriminator.view.fewest_frames} frames "
                f"of clips that have "
                f"{self.seen_frames}; give it fewer or make clips longer",
            )

    @property
    def size(self) -> int:
        """Height and width, pixels."""
        return self.generator.size

    @property
    def trained_frames(self) -> int:
        """Frames that the generator makes in a training step."""
        return self.frames if self.window is None else self.window

    @property
    def seen_frames(self) -> int:
        """Frames of a clip that discriminators see: given and generated."""
        return self.context_frames + self.trained_frames

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the generator, of its encoder, if it has one, and of the discriminators (the papers' ch)."""
        encoder = self.generator.encoder
        bodies = [] if encoder is None else [encoder.body]
        bodies += [discriminator.body for discriminator in self.discriminators]
        return (self.generator.width, *(body.width for body in bodies))

    def with_width(self, width: int) -> Self:
        """A copy whose networks all have this width; channels stay the same multiples of it."""
        generator = self.generator.replace(width=width)
        if generator.encoder is not None:
            body = generator.encoder.body.replace(width=width)
            generator = generator.replace(encoder=generator.encoder.replace(body=body))
        return self.replace(
            generator=generator,
            discriminators=tuple(
                discriminator.replace(body=discriminator.body.replace(width=width))
                for discriminator in self.discriminators
            ),
        )

    @property
    def together(self) -> int:
        """Clips of one class that follow each other in what training reads, for the discriminators that see several."""
        return math.lcm(*(discriminator.view.together for discriminator in self.discriminators))

    def build_generator(self, classes: int, below: Below | None = None) -> Generator:
        """The level's generator; arguments as those of :class:`vidgan.models.generator.Generator`."""
        return self.generator.build(classes, self.trained_frames, self.context_frames, below)


Features = dict[str, Tensor]
"""What each discriminator's head scores of one batch (B T C)."""


class AdversarialLevel(nn.Module, ABC):
    """What a training step works on: a generator and its discriminators, of one level or of several together."""

    spec: LevelSpec
    """of the level, or of the top one"""
    below: Below | None
    """what it is fed with"""
    generator: nn.Module
    discriminators: nn.ModuleDict
    """by the names that logs call them"""

    @property
    @abstractmethod
    def latent(self) -> int:
        """Dimension of the noise."""

    def discriminator(self, name: str) -> Discriminator:
        """The discriminator called ``name``."""
        module = self.discriminators[name]
        assert isinstance(module, Discriminator)
        return module

    @abstractmethod
    def real_input(self, clip: Tensor, label: Tensor, smooth: bool) -> DiscriminatorInput:
        """Real clips (B T 3 H W) of at least its size as discriminators see them, with the data's own views below.

        Args:
            smooth: views are bilinear (CVG) instead of nearest (SSW-GAN).
        """

    @abstractmethod
    def places(self, clips: int, rng: torch.Generator) -> Tensor:
        """Random places of windows, int64 (clips, m); m is 0 where clips are windows already."""

    @abstractmethod
    def at(self, real: DiscriminatorInput, places: Tensor) -> DiscriminatorInput:
        """The windows of real clips at ``places``."""

    @abstractmethod
    def draws(self, clips: int, rng: torch.Generator) -> dict[str, Tensor]:
        """Every discriminator's random numbers for ``clips`` clips."""

    @abstractmethod
    def views(self, batch: DiscriminatorInput, draws: dict[str, Tensor]) -> dict[str, Tensor]:
        """What each discriminator sees of a batch (B T' C' H' W')."""

    @abstractmethod
    def generate_fake(
        self,
        real: DiscriminatorInput,
        z: Tensor,
        below: Tensor | None,
        statistics: Statistics,
        dtype: torch.dtype | None = None,
    ) -> DiscriminatorInput:
        """The fake counterpart of ``real``: same labels (Our choice), same conditioning frames, new noise.

        Args:
            real: a batch from the data.
            z: noise (B, latent).
            below: what the level below made for it (B T' 3 h w); None on the first level.
            statistics: where normalisation gets its moments from.
            dtype: what to compute in.
        """

    @abstractmethod
    def features(
        self,
        batches: Sequence[DiscriminatorInput],
        draws: Sequence[dict[str, Tensor]],
        dtype: torch.dtype | None = None,
    ) -> list[Features]:
        """What the discriminators' heads score, by batch."""

    def score(self, features: Features, label: Tensor) -> list[Tensor]:
        """Every discriminator's scores of one batch with these labels (B,)."""
        return [self.discriminator(name).head(h, label) for name, h in features.items()]

    def discriminate(
        self,
        batches: Sequence[DiscriminatorInput],
        draws: Sequence[dict[str, Tensor]],
        dtype: torch.dtype | None = None,
    ) -> list[list[Tensor]]:
        """Scores, first by batch, then by discriminator."""
        seen = self.features(batches, draws, dtype)
        return [self.score(features, batch.label) for features, batch in zip(seen, batches, strict=True)]


class Level(AdversarialLevel):
    """Generator and discriminators of one level, built for a number of classes.

    Args:
        above: sizes of the levels above, from the top one on, through which real clips are brought down to it.
    """

    def __init__(self, spec: LevelSpec, classes: int, below: Below | None, above: Sequence[int] = ()) -> None:
        super().__init__()
        self.spec = spec
        self.below = below
        self.above = tuple(above)
        self.generator: Generator = spec.build_generator(classes, below)
        factor = 1 if below is None else below.factor
        self.discriminators = nn.ModuleDict(
            {
                discriminator.name: discriminator.build(
                    classes, discriminator.view.steps(spec.seen_frames, factor)
                )
                for discriminator in spec.discriminators
            }
        )

    @property
    def latent(self) -> int:
        return self.spec.generator.latent

    def real_input(self, clip: Tensor, label: Tensor, smooth: bool) -> DiscriminatorInput:
        # "By repeated application of f_s" (CVG): the levels above see these very clips as their input.
        for size in (*self.above, self.spec.size):
            clip = resize(clip, size, smooth)
        return DiscriminatorInput(
            clip, None if self.below is None else view_below(clip, self.below, smooth), label
        )

    def places(self, clips: int, rng: torch.Generator) -> Tensor:
        return torch.zeros((clips, 0), dtype=torch.int64)

    def at(self, real: DiscriminatorInput, places: Tensor) -> DiscriminatorInput:
        return real

    @property
    def clip_shape(self) -> ClipShape:
        """Size of the clips that discriminators see."""
        return ClipShape(self.spec.seen_frames, self.spec.size, self.spec.size)

    def draws(self, clips: int, rng: torch.Generator) -> dict[str, Tensor]:
        return {
            name: self.discriminator(name).spec.view.draw(clips, self.clip_shape, rng)
            for name in self.discriminators
        }

    def views(self, batch: DiscriminatorInput, draws: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: self.discriminator(name).spec.view.apply(batch, draws[name]) for name in self.discriminators
        }

    def condition(self, real: DiscriminatorInput, below: Tensor | None) -> Conditioning:
        """What the generator is given: the real clip's first frames, or the level below's video."""
        if self.spec.context_frames:
            return self.generator.encode(real.clip[:, : self.spec.context_frames])
        return NOTHING if below is None else from_below(below)

    def generate_fake(
        self,
        real: DiscriminatorInput,
        z: Tensor,
        below: Tensor | None,
        statistics: Statistics,
        dtype: torch.dtype | None = None,
    ) -> DiscriminatorInput:
        given = real.clip[:, : self.spec.context_frames]
        conditioning = self.condition(real._replace(clip=real.clip.to(dtype or real.clip.dtype)), below)
        video = self.generator.generate(
            z,
            self.generator.embed_label(real.label),
            self.spec.trained_frames,
            statistics,
            conditioning,
            Clock(),
            dtype,
        )
        # Discriminators are not told that the first frames were given (Clark et al. 2019, A.4).
        clip = as_video(torch.cat([given, video], dim=1)) if self.spec.context_frames else video
        return DiscriminatorInput(clip, below, real.label)

    def features(
        self,
        batches: Sequence[DiscriminatorInput],
        draws: Sequence[dict[str, Tensor]],
        dtype: torch.dtype | None = None,
    ) -> list[Features]:
        table: list[Features] = [{} for _ in batches]
        for name in self.discriminators:
            parts = self.discriminator(name).features(batches, [draw[name] for draw in draws], dtype)
            for features, part in zip(table, parts, strict=True):
                features[name] = part
        return table
