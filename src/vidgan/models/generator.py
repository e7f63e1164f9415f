"""The generator of all five papers: an affine start, then stages of temporal layers and residual blocks."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vidgan.bounds import Length
from vidgan.models.discriminator import Body, BodySpec
from vidgan.nn.blocks import BigGANBlocksSpec, ResidualSpec, on_frames
from vidgan.nn.layers import Conv2d, Embedding, Linear
from vidgan.nn.norm import (
    BatchNormSpec,
    BatchStatistics,
    Clock,
    Context,
    LearntNormReLU,
    NormSpec,
    Statistics,
    name_norms,
)
from vidgan.nn.temporal import RecurrentSpec, Size, TemporalSpec
from vidgan.shapes import as_frames, as_video, fold_time, frames_into_channels, repeat_time, unfold_time
from vidgan.spec import Spec, require


class Below(NamedTuple):
    """What the videos of the level below look like, which a generator takes."""

    size: int
    """pixels"""
    factor: int
    """output frames per input frame"""


class Conditioning(NamedTuple):
    """From a frame encoder (states, skips) or from the level below (below); empty for plain synthesis."""

    states: Mapping[int, Tensor]
    """what recurrent states start from, by the side of their map (B C side side)"""
    skips: Mapping[int, Tensor]
    """encoder features to join, by side (B C side side); the same for all steps"""
    below: Tensor | None
    """the lower level's video (B T' 3 h w); T' divides T"""


NOTHING = Conditioning({}, {}, None)

Part = Callable[[Tensor], Tensor]
"""A layer or block with all that it is given besides its input: features (B T C H W) -> features."""


def from_below(video: Tensor) -> Conditioning:
    """Condition on the lower level's video (B T' 3 h w)."""
    return Conditioning({}, {}, video)


def join(parts: Sequence[Conditioning]) -> Conditioning:
    """Conditioning of several groups of clips as that of one, in the same order."""
    first = parts[0]
    below = [part.below for part in parts if part.below is not None]
    return Conditioning(
        {side: torch.cat([part.states[side] for part in parts]) for side in first.states},
        {side: torch.cat([part.skips[side] for part in parts]) for side in first.skips},
        torch.cat(below) if below else None,
    )


class EncoderSpec(Spec):
    """The frame discriminator's trunk at full size, applied to each conditioning frame (Clark et al. 2019, A.4)."""

    body: BodySpec = BodySpec()
    kernel: Length = 3
    """size of the convolution that compresses the joined features to a state: 1 in DVD-GAN-FP, 3 in TrIVD-GAN-FP"""
    relu: bool = True
    """ReLU after that convolution (Luc et al. 2020, F.3)"""
    skips: bool = False
    """U-Net connections to the generator (Clark et al. 2019, A.4): one per stage, see :class:`Stage`"""
    trunk_relu: bool = True
    """the trunk ends in ReLU, as the discriminator's before its features are summed (Luc et al. 2020, A)"""

    def validate(self) -> None:
        require(self.kernel % 2 == 1, f"kernel must be odd, got {self.kernel}")
        require(self.body.blocks_3d == 0, "an encoder works on single frames: blocks_3d must be 0")
        require(not self.body.time_in_channels, "an encoder works on single frames: no time_in_channels")

    def build(self, frames: int, states: Mapping[int, int], size: int) -> "Encoder":
        """An encoder of ``frames`` frames of ``size`` pixels; ``states`` maps a map's side to its channels."""
        return Encoder(self, frames, states, size)


class Encoder(nn.Module):
    """Frames (B C 3 H W) -> :class:`Conditioning`.

    Our choice: it is part of the generator, so that its weights are averaged and have the orthogonal penalty
    (Luc et al. 2020, E.2: "on the generator"). Blocks whose features no state and no skip takes are there all the same,
    as Luc et al. 2020 have them: so ``DistributedDataParallel`` wants ``find_unused_parameters=True``.
    """

    def __init__(self, spec: EncoderSpec, frames: int, states: Mapping[int, int], size: int) -> None:
        super().__init__()
        self.spec = spec
        self.body = Body(spec.body, 3, steps=1)
        self.channels = feature_channels(spec.body, size)
        for side in states:
            require(side in self.channels, f"the encoder has no features of side {side} for {size} pixels")
        self.compress = nn.ModuleDict(
            {
                str(side): Conv2d(frames * self.channels[side], hidden, spec.kernel)
                for side, hidden in states.items()
            }
        )

    def forward(self, frames: Tensor) -> Conditioning:
        # Our choice: before the last block features are taken as blocks give them, without ReLU, and of blocks that
        # share a side the deepest stands for it; Clark et al. 2019, A.4 is silent on both.
        *features, last = self.body(frames)
        if self.spec.trunk_relu:
            last = F.leaky_relu(last, self.spec.body.slope)
        joined = {h.shape[-1]: frames_into_channels(h) for h in (*features, last)}
        states = {}
        for side, layer in self.compress.items():
            state = layer(joined[int(side)])
            states[int(side)] = torch.relu(state) if self.spec.relu else state
        return Conditioning(states, joined if self.spec.skips else {}, None)


def feature_channels(body: BodySpec, size: int) -> dict[int, int]:
    """Channels of the body's features by the side of their map, for frames of ``size`` pixels."""
    table = {}
    for index, multiplier in enumerate(body.channels):
        side = size >> min(index + 1, len(body.channels) - 1)
        table[side] = multiplier * body.width
    return table


class StageSpec(Spec):
    """A resolution of a generator."""

    channels: Length
    """channels of the output, in multiples of width"""
    upsample: bool = True
    """whether the last block doubles height and width"""
    temporal: tuple[TemporalSpec, ...] = ()
    """layers over time before the blocks"""
    convolution: bool = False
    """a convolution between the temporal layers and the blocks (Luc et al. 2020, A). Our choice: 3x3, as in the blocks;
    A prints no size"""
    blocks: Length = 2
    """number of residual blocks: 2 by "we double the number of overall blocks" (Clark et al. 2019, A.2)"""
    residual: ResidualSpec = BigGANBlocksSpec()
    """kind of those blocks"""

    def validate(self) -> None:
        recurrent = sum(isinstance(layer, RecurrentSpec) for layer in self.temporal)
        require(recurrent <= 1, f"a stage takes at most one recurrent unit, got {recurrent}")

    @property
    def recurrent(self) -> bool:
        """Whether the stage has a recurrent unit, whose state an encoder may give."""
        return any(isinstance(layer, RecurrentSpec) for layer in self.temporal)


class Stage(nn.Module):
    """Features (B T inputs side side) -> (B T outputs side' side').

    Args:
        skip: channels of the encoder's features of the output's side, to be joined; 0 for none.
        below_size: side of the lower level's video, pixels; its resized frames are added after each block whose
            output is not larger than it.
    """

    def __init__(
        self,
        spec: StageSpec,
        side: int,
        inputs: int,
        outputs: int,
        condition: int,
        norm: NormSpec = BatchNormSpec(),
        skip: int = 0,
        below_size: int | None = None,
    ) -> None:
        super().__init__()
        self.output_side = side << spec.upsample
        size = Size(inputs, condition, norm)
        self.temporal = nn.ModuleList(layer.build(size) for layer in spec.temporal)
        self.convolution = Conv2d(inputs, inputs) if spec.convolution else None
        # Our choice: the last block changes the number of channels, where it upsamples; as BigGAN-deep's pairs.
        last = spec.blocks - 1
        self.blocks = nn.ModuleList(
            spec.residual.generator(
                inputs,
                outputs if i == last else inputs,
                condition,
                norm,
                upsample=spec.upsample and i == last,
            )
            for i in range(spec.blocks)
        )
        # Our choice: the encoder's features join once per stage, after its last block, paired by resolution. Clark et
        # al. 2019, A.4 pairs the i-th blocks, but the generator has two per resolution and the encoder one.
        self.join = Conv2d(outputs + skip, outputs) if skip else None
        self.after_temporal = nn.ModuleList(AddBelow(inputs, side, below_size) for _ in spec.temporal)
        self.after_blocks = nn.ModuleList(
            AddBelow(outputs if i == last else inputs, self.output_side if i == last else side, below_size)
            for i in range(spec.blocks)
        )

    def forward(
        self, x: Tensor, context: Context = Context(), conditioning: Conditioning = NOTHING
    ) -> Tensor:
        for part in self.parts(context, conditioning):
            x = part(x)
        return x

    def parts(self, context: Context, conditioning: Conditioning = NOTHING) -> list[Part]:
        """The stage's layers over time, convolution, blocks and join, one after another."""
        parts: list[Part] = []

        def over_time(layer: nn.Module, add_below: nn.Module, x: Tensor) -> Tensor:
            state = conditioning.states.get(x.shape[-1]) if layer.recurrent else None
            made: Tensor = add_below(layer(x, context, state), conditioning.below)
            return made

        def through(block: nn.Module, add_below: nn.Module, x: Tensor) -> Tensor:
            made: Tensor = add_below(block(x, context), conditioning.below)
            return made

        for layer, add_below in zip(self.temporal, self.after_temporal, strict=True):
            parts.append(partial(over_time, layer, add_below))
        if self.convolution is not None:
            parts.append(partial(on_frames, self.convolution))
        for block, add_below in zip(self.blocks, self.after_blocks, strict=True):
            parts.append(partial(through, block, add_below))
        if self.join is not None:
            parts.append(partial(joined, self.join, conditioning.skips[self.output_side]))
        return parts


def joined(layer: Conv2d, skip: Tensor, x: Tensor) -> Tensor:
    """A video (B T C H W) with the encoder's features, the same for all its steps, through a convolution of both."""
    repeated = repeat_time(skip.to(x.dtype), x.shape[1])
    return on_frames(layer, as_video(torch.cat([x, repeated], dim=2)))


class AddBelow(nn.Module):
    """Adds a 1x1 projection of the lower level's resized video, up to its own resolution (SSW-GAN, B.2)."""

    def __init__(self, channels: int, side: int, below_size: int | None) -> None:
        super().__init__()
        fits = below_size is not None and side <= below_size
        self.projection = Conv2d(3, channels, 1) if fits else None

    def forward(self, x: Tensor, below: Tensor | None) -> Tensor:
        if self.projection is None or below is None:
            return x
        return x + on_frames(self.projection, resize_nearest(below.to(x.dtype), x.shape[1], x.shape[-1]))


def resize_nearest(video: Tensor, steps: int, side: int) -> Tensor:
    """Nearest-neighbour resizing of a video (B T' C h w) to ``steps`` frames of ``side`` pixels.

    Frames are repeated in time (``steps`` is a multiple of T'); in space it only gets smaller.
    """
    repeated = video.repeat_interleave(steps // video.shape[1], dim=1)
    if video.shape[-1] == side:
        return as_video(repeated)
    return unfold_time(F.interpolate(fold_time(repeated), size=(side, side), mode="nearest"), steps)


class GeneratorSpec(Spec):
    """A generator; its output side is ``side`` times two to the number of stages that upsample."""

    latent: Length = 120
    """dimension of the noise z"""
    embedding: Length = 120
    """dimension of the class embedding e(y)"""
    width: Length = 128
    """base number of channels (the papers' ch)"""
    side: Length = 4
    """height and width of the first map, in cells"""
    channels: Length = 8
    """channels of the first map, in multiples of width"""
    stages: tuple[StageSpec, ...] = ()
    norm: NormSpec = BatchNormSpec()
    """normalisation inside the blocks"""
    final_norm: NormSpec = BatchNormSpec()
    """normalisation before the last convolution; without it training fails, says Clark et al. 2019, C"""
    spectral_start: bool = True
    """spectral normalisation of the first linear layer too, as DVD-GAN (A.3); TrIVD-GAN (A) leaves that layer out"""
    encoder: EncoderSpec | None = None
    """encoder of conditioning frames; None for synthesis"""
    checkpointing: bool = False
    """recompute each stage in the backward pass: less memory, 16 to 21 % slower"""

    def validate(self) -> None:
        require(len(self.stages) > 0, "a generator needs at least one stage")

    @property
    def size(self) -> int:
        """Height and width of the output, pixels."""
        return self.side << sum(stage.upsample for stage in self.stages)

    @property
    def warps(self) -> bool:
        """Whether a recurrent unit moves its state by kernels, so that there are motion fields."""
        layers = [layer for stage in self.stages for layer in stage.temporal]
        return any(isinstance(layer, RecurrentSpec) and layer.unit.warps for layer in layers)

    @property
    def context(self) -> int | None:
        """Frames that an output frame sees on either side; None where a layer sees the whole video."""
        contexts = [layer.context for stage in self.stages for layer in stage.temporal]
        return None if None in contexts else sum(c for c in contexts if c is not None)

    def build(
        self, classes: int, frames: int, context_frames: int = 0, below: Below | None = None
    ) -> "Generator":
        """A generator; arguments as those of :class:`Generator`."""
        return Generator(self, classes, frames, context_frames, below)


class Generator(nn.Module):
    """Noise, label and conditioning -> video.

    Args:
        classes: how many; class-free data has one.
        frames: those that it is trained on, which it makes where it is not told how many.
        context_frames: conditioning frames that the encoder takes.
        below: videos of the level below, where there is one.

    Raises:
        SpecError: if there are conditioning frames without an encoder, or an encoder without frames.
    """

    def __init__(
        self,
        spec: GeneratorSpec,
        classes: int,
        frames: int,
        context_frames: int = 0,
        below: Below | None = None,
    ) -> None:
        super().__init__()
        conditional = spec.encoder is not None
        require(conditional == (context_frames > 0), "an encoder and conditioning frames go together")
        self.frames, self.below = frames, below
        self.spec = spec
        first = spec.channels * spec.width
        condition = spec.latent + spec.embedding
        # Our choice: no spectral normalisation of the class embedding, though Clark et al. 2019, A.3 has it "for all
        # weight layers": a table is looked up, not multiplied with, and BigGAN's generator leaves it as it is.
        self.embed = Embedding(classes, spec.embedding, spectral=False)
        self.start = Linear(condition, first * spec.side**2, spectral=spec.spectral_start)
        skips = feature_channels(spec.encoder.body, spec.size) if spec.encoder and spec.encoder.skips else {}
        stages, side, inputs, states = [], spec.side, first, {}
        for stage_spec in spec.stages:
            outputs = stage_spec.channels * spec.width
            if stage_spec.recurrent:
                states[side] = inputs
            joined = context_frames * skips.get(side << stage_spec.upsample, 0)
            below_size = None if below is None else below.size
            stage = Stage(stage_spec, side, inputs, outputs, condition, spec.norm, joined, below_size)
            stages.append(stage)
            side, inputs = stage.output_side, outputs
        self.stages = nn.ModuleList(stages)
        self.final_norm = LearntNormReLU(inputs, spec.final_norm)
        self.to_pixels = Conv2d(inputs, 3)
        self.encoder: Encoder | None = None
        if spec.encoder is not None:
            self.encoder = spec.encoder.build(context_frames, states, spec.size)
        name_norms(self)

    def forward(
        self,
        z: Tensor,
        label: Tensor,
        frames: int | None = None,
        given: Tensor | None = None,
        below: Tensor | None = None,
        statistics: Statistics | None = None,
    ) -> Tensor:
        """A video (B T 3 H W) in [-1, 1].

        Args:
            z: noise (B, latent).
            label: classes (B,), int64; zeros where there are none.
            frames: how many it makes, T; None: as many as in training, or as ``below`` asks for.
            given: conditioning frames (B C 3 H W) in [-1, 1], for a generator with an encoder.
            below: video of the level below (B T' 3 h w), for a generator that is fed by one.
            statistics: where normalisation gets its moments from; None: from the batch, in ``eval()`` too.

        Raises:
            ValueError: if ``given`` or ``below`` is missing or not for this generator, or does not fit ``frames``.
        """
        if (self.below is None) != (below is None):
            raise ValueError(f"this generator is fed by {'no' if self.below is None else 'a'} level below")
        if (self.encoder is None) != (given is None):
            raise ValueError(
                f"this generator takes {'no' if self.encoder is None else 'its first'} frames as given"
            )
        if self.below is not None and below is not None:
            fed = below.shape[1] * self.below.factor
            frames = fed if frames is None else frames
            if frames != fed:
                raise ValueError(f"{below.shape[1]} frames of the level below do not make {frames}")
        conditioning = Conditioning({}, {}, below) if given is None else self.encode(given)
        frames = self.frames if frames is None else frames
        statistics = BatchStatistics() if statistics is None else statistics
        return self.generate(z, self.embed_label(label), frames, statistics, conditioning)

    def encode(self, frames: Tensor) -> Conditioning:
        """Conditioning from given frames (B C 3 H W) in [-1, 1]."""
        if self.encoder is None:
            raise ValueError("this generator has no encoder")
        encoded: Conditioning = self.encoder(frames)
        return encoded

    def embed_label(self, label: Tensor) -> Tensor:
        """Class embedding e(y) (B, embedding) of labels (B,)."""
        embedded: Tensor = self.embed(label)
        return embedded

    def generate(
        self,
        z: Tensor,
        embedded: Tensor,
        steps: int,
        statistics: Statistics,
        conditioning: Conditioning = NOTHING,
        clock: Clock = Clock(),
        dtype: torch.dtype | None = None,
        kernels: list[Tensor] | None = None,
    ) -> Tensor:
        """A window of ``steps`` frames of a video (B T 3 H W) in [-1, 1].

        Args:
            z: noise (B, latent).
            embedded: class embedding (B, embedding), perhaps interpolated.
            statistics: where normalisation gets its moments from.
            conditioning: from the encoder or the level below, in the compute dtype or wider.
            clock: where the window lies on the time axis.
            dtype: what to compute in; None is the weights' dtype. Statistics and the output stay wide.
            kernels: gets the weights of the warps, of which motion fields are made: see
                :class:`vidgan.nn.norm.Context`.
        """
        condition = torch.cat([z, embedded], dim=1)
        context = Context(condition, statistics, clock, kernels)
        h = self.begin(condition, steps, dtype)
        recompute = (
            self.spec.checkpointing and torch.is_grad_enabled() and statistics.repeatable and kernels is None
        )
        for stage in self.stages:
            if recompute:
                h = checkpoint(stage, h, context, conditioning, use_reentrant=False, preserve_rng_state=False)
            else:
                h = stage(h, context, conditioning)
        pixels = self.to_pixels(fold_time(self.final_norm(h, context)))
        return unfold_time(torch.tanh(pixels.to(condition.dtype)), steps)

    def begin(self, condition: Tensor, steps: int, dtype: torch.dtype | None = None) -> Tensor:
        """The first map of ``steps`` frames, all alike, from the conditioning vector [z; e(y)] (B, K)."""
        first = self.start(condition).unflatten(1, (-1, self.spec.side, self.spec.side))
        return repeat_time(as_frames(first.to(dtype or condition.dtype)), steps)

    def parts(self, context: Context, conditioning: Conditioning = NOTHING) -> list[Part]:
        """What :meth:`generate` does between :meth:`begin` and the last convolution, one after another."""
        stages = [stage for stage in self.stages if isinstance(stage, Stage)]
        parts = [part for stage in stages for part in stage.parts(context, conditioning)]
        return [*parts, partial(self.final_norm, context=context)]
