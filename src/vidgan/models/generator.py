"""The generator of all five papers: an affine start, then stages of temporal layers and residual blocks."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vidgan.models.conditioning import NOTHING, Conditioning
from vidgan.models.encoder import Encoder, EncoderSpec, feature_channels
from vidgan.models.stage import Stage, StageSpec
from vidgan.nn.layers import Conv2d, Embedding, Linear
from vidgan.nn.norm import BatchNorm, Context, LearntNormReLU, NormSpec, name_norms
from vidgan.nn.recurrent import WarpingUnit
from vidgan.nn.statistics import Clock, Statistics
from vidgan.nn.temporal import Recurrent
from vidgan.shapes import as_frames, fold_time, repeat_time, unfold_time
from vidgan.spec import Spec, require


class GeneratorSpec(Spec):
    """A generator; its output side is ``side`` times two to the number of stages that upsample."""

    latent: int = 120
    """dimension of the noise z"""
    embedding: int = 120
    """dimension of the class embedding e(y)"""
    width: int = 128
    """base number of channels (the papers' ch)"""
    side: int = 4
    """height and width of the first map, in cells"""
    channels: int = 8
    """channels of the first map, in multiples of width"""
    stages: tuple[StageSpec, ...] = ()
    norm: NormSpec = BatchNorm()
    """normalisation inside the blocks"""
    final_norm: NormSpec = BatchNorm()
    """normalisation before the last convolution; without it training fails, says Clark et al. 2019, C"""
    spectral_start: bool = True
    """spectral normalisation of the first linear layer too, as DVD-GAN (A.3); TrIVD-GAN (A) leaves that layer out"""
    encoder: EncoderSpec | None = None
    """encoder of conditioning frames; None for synthesis"""
    checkpointing: bool = False
    """recompute each stage in the backward pass: less memory, 16 to 21 % slower"""

    def validate(self) -> None:
        require(len(self.stages) > 0, "a generator needs at least one stage")
        for name in ("latent", "embedding", "width", "side", "channels"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def size(self) -> int:
        """Height and width of the output, pixels."""
        return self.side << sum(stage.upsample for stage in self.stages)

    @property
    def warps(self) -> bool:
        """Whether a recurrent unit moves its state by kernels, so that there are motion fields."""
        layers = [layer for stage in self.stages for layer in stage.temporal]
        return any(isinstance(layer, Recurrent) and isinstance(layer.unit, WarpingUnit) for layer in layers)

    @property
    def context(self) -> int | None:
        """Frames that an output frame sees on either side; None where a layer sees the whole video."""
        contexts = [layer.context for stage in self.stages for layer in stage.temporal]
        return None if None in contexts else sum(c for c in contexts if c is not None)

    def build(self, classes: int, context_frames: int = 0, below_size: int | None = None) -> "Generator":
        """A generator for ``classes`` classes (class-free data has one).

        Args:
            context_frames: conditioning frames that the encoder takes.
            below_size: side of the lower level's video where there is one, pixels.
        """
        return Generator(self, classes, context_frames, below_size)


class Generated(NamedTuple):
    """What a generator makes."""

    video: Tensor
    """(B T 3 H W) in [-1, 1]"""
    kernels: list[Tensor]
    """the warps' weights of units that warp, from coarse to fine, each (B T k*k side side)"""


class Generator(nn.Module):
    """Noise, label and conditioning -> video."""

    def __init__(
        self, spec: GeneratorSpec, classes: int, context_frames: int, below_size: int | None
    ) -> None:
        super().__init__()
        conditional = spec.encoder is not None
        require(conditional == (context_frames > 0), "an encoder and conditioning frames go together")
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
            stage = Stage(stage_spec, side, inputs, outputs, condition, spec.norm, joined, below_size)
            stages.append(stage)
            side, inputs = stage.output_side, outputs
        self.stages = nn.ModuleList(stages)
        self.final_norm = LearntNormReLU(spec.final_norm, inputs)
        self.to_pixels = Conv2d(inputs, 3)
        self.encoder: Encoder | None = None
        if spec.encoder is not None:
            self.encoder = spec.encoder.build(context_frames, states, spec.size)
        name_norms(self)

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
    ) -> Generated:
        """A window of ``steps`` frames.

        Args:
            z: noise (B, latent).
            embedded: class embedding (B, embedding), perhaps interpolated.
            statistics: where normalisation gets its moments from.
            conditioning: from the encoder or the level below, in the compute dtype or wider.
            clock: where the window lies on the time axis.
            dtype: what to compute in; None is the weights' dtype. Statistics and the output stay wide.
        """
        condition = torch.cat([z, embedded], dim=1)
        context = Context(condition, statistics, clock)
        dtype = dtype or condition.dtype
        first = self.start(condition).unflatten(1, (-1, self.spec.side, self.spec.side))
        h = repeat_time(as_frames(first.to(dtype)), steps)
        kernels = []
        recompute = self.spec.checkpointing and torch.is_grad_enabled() and statistics.repeatable
        for stage in self.stages:
            if recompute:
                h, warps = checkpoint(
                    stage, h, context, conditioning, use_reentrant=False, preserve_rng_state=False
                )
            else:
                h, warps = stage(h, context, conditioning)
            kernels.extend(warps)
        pixels = self.to_pixels(fold_time(self.final_norm(h, context)))
        video = torch.tanh(pixels.to(condition.dtype))
        return Generated(unfold_time(video, steps), kernels)
