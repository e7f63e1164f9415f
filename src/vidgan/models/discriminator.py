"""A discriminator: a view of the clip, a residual body and a projection head."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidgan.bounds import Length, LengthOrNone, PartBelowOne, Positive, Real
from vidgan.models.views import ClipShape, DiscriminatorInput, FramesSpec, ViewSpec
from vidgan.nn.blocks import BigGANBlocksSpec, ResidualSpec
from vidgan.nn.layers import Embedding, Linear
from vidgan.shapes import frames_into_channels
from vidgan.spec import Spec, require


class BodySpec(Spec):
    """A stack of residual blocks, each but the last halving height and width."""

    width: Length = 128
    """base number of channels (the papers' ch)"""
    channels: tuple[Length, ...] = (2, 4, 8, 16, 16)
    """channels after each block, in multiples of width, from input to output"""
    blocks_3d: LengthOrNone = 0
    """how many of the first blocks are 3-D"""
    halve_time: bool = False
    """whether 3-D blocks average pairs of steps (Du 2020, table 3.3); the other papers keep T"""
    time_in_channels: bool = False
    """whether the steps that 3-D blocks leave become channels of a single one (Du 2020, 4.5: the clip
    discriminator whose videos turn dark); else they stay in the batch, and each gets a score (the cure, and
    the other papers)"""
    residual: ResidualSpec = BigGANBlocksSpec()
    """kind of blocks"""
    slope: PartBelowOne = 0.0
    """negative slope of leaky ReLU; 0 is the papers' ReLU"""
    input_mean: tuple[Real, Real, Real] = (0.0, 0.0, 0.0)
    """subtracted from each colour channel before the first block, in [-1, 1]; the papers subtract nothing"""
    input_gain: Positive = 1.0
    """factor on the input after the subtraction; 1 in the papers"""

    def validate(self) -> None:
        require(len(self.channels) >= 1, "channels must name at least one block")
        fits = 0 <= self.blocks_3d <= len(self.channels)
        require(fits, f"blocks_3d must be 0 to {len(self.channels)}, got {self.blocks_3d}")
        after = self.blocks_3d < len(self.channels)
        require(after or not self.time_in_channels, "time_in_channels needs a block after the 3-D ones")

    @property
    def features(self) -> int:
        """Channels of the output."""
        return self.width * self.channels[-1]

    def build(self, inputs: int = 3, steps: int = 1) -> "Body":
        """A body; arguments as those of :class:`Body`."""
        return Body(self, inputs, steps)

    def joined(self, steps: int) -> int:
        """Steps that one frame holds behind the 3-D blocks: 1 unless time goes into channels."""
        if not self.time_in_channels:
            return 1
        return max(1, steps >> self.blocks_3d) if self.halve_time else steps


class Body(nn.Module):
    """Video (B T C H W) -> features of every block, the last before its ReLU.

    Args:
        inputs: channels, a multiple of the three colours.
        steps: T, where time goes into channels; else any.
    """

    def __init__(self, spec: BodySpec, inputs: int = 3, steps: int = 1) -> None:
        super().__init__()
        self.spec = spec
        mean = torch.tensor(spec.input_mean).repeat(inputs // 3)[:, None, None]
        self.register_buffer("mean", mean, persistent=False)
        widths = [inputs, *(spec.width * c for c in spec.channels)]
        last = len(spec.channels) - 1
        # Our choice: no attention in discriminators. Clark et al. 2019, A.2 speaks of it in the generator alone, though
        # BigGAN's discriminator, which discriminators are to follow, has one layer of it.
        joined = spec.joined(steps)
        self.blocks = nn.ModuleList(
            spec.residual.discriminator(
                widths[i] * (joined if i == spec.blocks_3d else 1),
                widths[i + 1],
                conv3d=i < spec.blocks_3d,
                downsample=i != last,
                halve_time=spec.halve_time and i < spec.blocks_3d,
                first=i == 0,
                slope=spec.slope,
            )
            for i in range(last + 1)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """The output of each block (B T' C_i H/2^i W/2^i), i from 1; the last keeps the size before it."""
        h = (x - self.get_buffer("mean").to(x.dtype)) * self.spec.input_gain
        features = []
        for i, block in enumerate(self.blocks):
            if self.spec.time_in_channels and i == self.spec.blocks_3d:
                h = frames_into_channels(h).unsqueeze(1)
            h = block(h)
            features.append(h)
        return features


class Head(nn.Module, ABC):
    """Features (B T C) of one batch, real or fake, and labels (B,) -> scores (..., T)."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.score = Linear(features, 1)
        self.embed = Embedding(classes, features)

    def parts(self, h: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The class-free score r_x and the class score r_xy, both (B T), in float32 or wider."""
        h = h.to(torch.promote_types(h.dtype, torch.float32))
        free = self.score(h).squeeze(2)
        return free, torch.einsum("btc,bc->bt", h, self.embed(label))

    @abstractmethod
    def forward(self, h: Tensor, label: Tensor) -> Tensor: ...


class HeadSpec(Spec, ABC):
    """What describes a discriminator's head."""

    @abstractmethod
    def build(self, features: int, classes: int) -> Head:
        """The head for ``features`` channels and ``classes`` classes."""


class ProjectionSpec(HeadSpec):
    """One score per frame or step: linear(h) + e(y) . h (Clark et al. 2019, A.3)."""

    def build(self, features: int, classes: int) -> Head:
        return ProjectionHead(features, classes)


class MixedProjectionSpec(HeadSpec):
    """o[b, b', t] = r_x[b, t] + sum over t' of r_xy[b', t'] (Luc et al. 2020, Eq. 15), within one half-batch."""

    def build(self, features: int, classes: int) -> Head:
        return MixedProjectionHead(features, classes)


class ProjectionHead(Head):
    """Scores (B T)."""

    def forward(self, h: Tensor, label: Tensor) -> Tensor:
        free, classy = self.parts(h, label)
        return free + classy


class MixedProjectionHead(Head):
    """Scores (B B T). B is one replica's micro-batch, so accumulating gradients changes the loss."""

    def forward(self, h: Tensor, label: Tensor) -> Tensor:
        free, classy = self.parts(h, label)
        return free[:, None, :] + classy.sum(1)[None, :, None]


class DiscriminatorSpec(Spec):
    """What a discriminator sees, the network that it goes through and how scores come out."""

    name: str
    """what logs call it"""
    view: ViewSpec = FramesSpec()
    body: BodySpec = BodySpec()
    head: HeadSpec = ProjectionSpec()
    mean_pool: bool = False
    """mean over positions before the head; the papers sum"""

    def validate(self) -> None:
        require(self.name.isidentifier(), f"a discriminator's name must be a plain word, got {self.name!r}")

    def build(self, classes: int, steps: int) -> "Discriminator":
        """A discriminator; arguments as those of :class:`Discriminator`."""
        return Discriminator(self, classes, steps)


class Discriminator(nn.Module):
    """Video and label -> scores.

    Args:
        classes: how many; class-free data has one.
        steps: those that the view shows of a clip, see :meth:`vidgan.models.views.ViewSpec.steps`.
    """

    def __init__(self, spec: DiscriminatorSpec, classes: int, steps: int) -> None:
        super().__init__()
        self.spec = spec
        self.body: Body = spec.body.build(spec.view.channels, steps)
        self.head = spec.head.build(spec.body.features, classes)

    def forward(
        self,
        video: Tensor,
        label: Tensor,
        below: Tensor | None = None,
        rng: torch.Generator | None = None,
    ) -> Tensor:
        """Scores, unreduced: (B k) of k frames or steps, or (B B k) of a head that mixes clips.

        Args:
            video: (B T 3 H W) in [-1, 1], given frames in front of those that were generated.
            label: classes (B,), int64; zeros where there are none.
            below: video of the level below (B T' 3 h w), for a view that shows it.
            rng: where the view draws its random numbers from, on the CPU; None: torch's global generator.
        """
        shape = ClipShape(video.shape[1], video.shape[3], video.shape[4])
        draw = self.spec.view.draw(len(label), shape, rng)
        return self.scores([DiscriminatorInput(video, below, label)], [draw])[0]

    def scores(
        self, batches: Sequence[DiscriminatorInput], draws: Sequence[Tensor], dtype: torch.dtype | None = None
    ) -> list[Tensor]:
        """Scores of each of several batches from one pass of the body; arguments as those of :meth:`features`."""
        parts = self.features(batches, draws, dtype)
        return [self.head(part, batch.label) for part, batch in zip(parts, batches, strict=True)]

    def features(
        self, batches: Sequence[DiscriminatorInput], draws: Sequence[Tensor], dtype: torch.dtype | None = None
    ) -> list[Tensor]:
        """What the head scores, of each batch (B T C).

        Args:
            batches: real, fake or both; the head sees each apart, so that they never mix.
            draws: the view's random numbers of each batch (B, m).
            dtype: what the body computes in; None is the clips' dtype.
        """
        views = [
            self.spec.view.apply(seen, draw.to(seen.clip.device))
            for seen, draw in zip(batches, draws, strict=True)
        ]
        seen = torch.cat(views) if len(views) > 1 else views[0]
        features = torch.nn.functional.leaky_relu(
            self.body(seen.to(dtype or seen.dtype))[-1], self.spec.body.slope
        )
        wide = torch.promote_types(features.dtype, torch.float32)
        reduce = torch.mean if self.spec.mean_pool else torch.sum
        h = reduce(features.to(wide), (3, 4))
        return list(h.split([len(batch.label) for batch in batches]))
