"""What a discriminator sees of a clip: frames, a smaller clip, a crop, a pair. Randomness is data, drawn per clip."""

from abc import ABC, abstractmethod
from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.bounds import Bounds, Length
from vidgan.shapes import as_video, fold_time, unfold_time
from vidgan.spec import Spec, require


class DiscriminatorInput(NamedTuple):
    """All that a discriminator may see of a batch."""

    clip: Tensor
    """(B T 3 H W) in [-1, 1]; conditioning frames are joined in front"""
    below: Tensor | None
    """the lower level's video in the same window (B T' 3 h w); for real clips the data's own view"""
    label: Tensor
    """(B,) int64; class-free data has one class"""
    start: Tensor | None = None
    """where levels are trained together: the window's first frame in the video below (B,)"""
    lower: tuple["DiscriminatorInput", ...] = ()
    """where levels are trained together: what the discriminators of those below see, from the first level"""

    def rows(self, rows: slice | Tensor) -> "DiscriminatorInput":
        """Some of the clips, by a slice or by their numbers, int64."""
        return DiscriminatorInput(
            self.clip[rows],
            None if self.below is None else self.below[rows],
            self.label[rows],
            None if self.start is None else self.start[rows],
            tuple(level.rows(rows) for level in self.lower),
        )


class ClipShape(NamedTuple):
    """Size of a clip."""

    frames: int
    height: int
    width: int


class ViewSpec(Spec, ABC):
    """A pure function of a discriminator's input and of numbers that were drawn beforehand."""

    @property
    def channels(self) -> int:
        """Colour channels of what is seen."""
        return 3

    @property
    def fewest_frames(self) -> int:
        """Frames that a clip must have."""
        return 1

    @property
    def together(self) -> int:
        """Clips of one class that are seen at once; training reads so many in a row."""
        return 1

    def steps(self, frames: int, factor: int = 1) -> int:
        """Steps of what is seen of ``frames`` frames; ``factor`` is frames per frame of the level below."""
        return frames

    def draw(self, clips: int, shape: ClipShape, rng: torch.Generator | None = None) -> Tensor:
        """Random numbers for ``clips`` clips: int64 (clips, m), drawn on the CPU; m is 0 where nothing is random.

        Args:
            rng: where they are drawn from; None: torch's global generator.
        """
        return torch.zeros((clips, 0), dtype=torch.int64)

    @abstractmethod
    def apply(self, seen: DiscriminatorInput, draw: Tensor) -> Tensor:
        """What the discriminator sees (B T' C' H' W')."""


class FramesSpec(ViewSpec):
    """``k`` frames of each clip at full size, drawn at random (Clark et al. 2019, 3.1).

    Our choice: without replacement, so that k different frames are seen; the paper says "uniformly sampled".
    """

    k: Length = 8
    """number of frames"""
    scale: Length = 1
    """average pooling of each frame by this factor: downsampled frames (Luc et al. 2020, 3.1)"""

    @property
    def fewest_frames(self) -> int:
        return self.k

    def steps(self, frames: int, factor: int = 1) -> int:
        return self.k

    def draw(self, clips: int, shape: ClipShape, rng: torch.Generator | None = None) -> Tensor:
        require(self.k <= shape.frames, f"k = {self.k} frames cannot be drawn from {shape.frames}")
        order = torch.rand((clips, shape.frames), generator=rng).argsort(dim=1)
        return order[:, : self.k].sort(dim=1).values

    def apply(self, seen: DiscriminatorInput, draw: Tensor) -> Tensor:
        rows = torch.arange(len(draw), device=draw.device)[:, None]
        # Indexed in B T H W C order, so that the result is in memory order too.
        picked = seen.clip.permute(0, 1, 3, 4, 2)[rows, draw].permute(0, 1, 4, 2, 3)
        return downsample(picked, self.scale)


class ClipSpec(ViewSpec):
    """The whole clip, average-pooled in space by ``scale``; 1 is the identity (Clark et al. 2019, 3.1)."""

    scale: Length = 2
    """factor of the pooling"""

    def apply(self, seen: DiscriminatorInput, draw: Tensor) -> Tensor:
        return downsample(seen.clip, self.scale)


class CropSpec(ViewSpec):
    """One random H/s x W/s window per clip, the same for all its frames (Luc et al. 2020, 3.1)."""

    scale: Length = 2
    """height and width of the clip over those of the window"""

    def draw(self, clips: int, shape: ClipShape, rng: torch.Generator | None = None) -> Tensor:
        high = torch.tensor([side - side // self.scale + 1 for side in shape[1:]])
        return (torch.rand((clips, 2), generator=rng) * high).long()

    def apply(self, seen: DiscriminatorInput, draw: Tensor) -> Tensor:
        _, _, _, height, width = seen.clip.shape
        rows = draw[:, 0, None] + torch.arange(height // self.scale, device=draw.device)
        columns = draw[:, 1, None] + torch.arange(width // self.scale, device=draw.device)
        clip = torch.arange(len(draw), device=draw.device)[:, None, None]
        picked = seen.clip.permute(0, 3, 4, 1, 2)[clip, rows[:, :, None], columns[:, None, :]]
        return as_video(picked.permute(0, 3, 4, 1, 2))


class MatchingPairSpec(ViewSpec):
    """The lower level's video and the clip resized to it in space and time, joined on channels (SSW-GAN, 4)."""

    @property
    def channels(self) -> int:
        return 6

    def steps(self, frames: int, factor: int = 1) -> int:
        return frames // factor

    def apply(self, seen: DiscriminatorInput, draw: Tensor) -> Tensor:
        if seen.below is None:
            raise ValueError("a matching pair needs the video of a level below")
        below = seen.below.to(seen.clip.dtype)
        steps, height, width = below.shape[1], *below.shape[3:]
        every = seen.clip.shape[1] // steps
        # Our choice: in time the first frame of each group, as frames are repeated upwards; in space the mean.
        small = F.adaptive_avg_pool2d(fold_time(seen.clip[:, ::every]), (height, width))
        return as_video(torch.cat([below, unfold_time(small, steps)], dim=2))


class PackSpec(ViewSpec):
    """Several clips of one class joined on channels (Lin et al. 2018, "PacGAN").

    Real clips of a class differ from each other, so that a generator whose clips are alike is told by a pack, where it
    is not by any single one of them.

    Our choice, as none of the five papers has it, for classes: a clip is seen with the next ones of its class in the
    pass, as a pack under its own label and in its own row; with itself where it is alone.
    """

    view: ViewSpec
    """what is seen of each clip"""
    clips: Annotated[int, Bounds(2, 2**10)] = 2
    """how many are seen at once"""

    @property
    def channels(self) -> int:
        return self.clips * self.view.channels

    @property
    def fewest_frames(self) -> int:
        return self.view.fewest_frames

    @property
    def together(self) -> int:
        return self.clips * self.view.together

    def steps(self, frames: int, factor: int = 1) -> int:
        return self.view.steps(frames, factor)

    def draw(self, clips: int, shape: ClipShape, rng: torch.Generator | None = None) -> Tensor:
        return self.view.draw(clips, shape, rng)

    def apply(self, seen: DiscriminatorInput, draw: Tensor) -> Tensor:
        video = self.view.apply(seen, draw)
        rows = classmates(seen.label, self.clips)
        return as_video(torch.cat([video[others] for others in rows.unbind(1)], dim=2))


def classmates(label: Tensor, count: int) -> Tensor:
    """The rows of the next ``count`` clips of each clip's class, from itself on: int64 (B, count).

    Behind the last clip of a class comes its first again.

    Args:
        label: classes (B,).
    """
    clips = torch.arange(len(label), device=label.device)
    ahead = (clips - clips[:, None]) % len(label)  # from a row's clip to a column's
    mates = (label[:, None] == label).long()
    order = (ahead + len(label) * (1 - mates)).argsort(dim=1)
    turns = torch.arange(count, device=label.device) % mates.sum(1, keepdim=True)
    return order.gather(1, turns)


def downsample(x: Tensor, scale: int) -> Tensor:
    """Average-pool every frame of a video (B T C H W) by ``scale``."""
    if scale == 1:
        return x
    return unfold_time(F.avg_pool2d(fold_time(x), scale), x.shape[1])
