"""One stage of a generator: temporal layers, then residual blocks of which the last may upsample."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.models.conditioning import Conditioning
from vidgan.nn.blocks import on_frames
from vidgan.nn.layers import Conv2d
from vidgan.nn.norm import Context, NormSpec
from vidgan.nn.residual import BigGANBlocks, ResidualSpec
from vidgan.nn.temporal import Recurrent, Size, TemporalSpec
from vidgan.shapes import as_video, fold_time, repeat_time, unfold_time
from vidgan.spec import Spec, require


class StageSpec(Spec):
    """A resolution of a generator."""

    channels: int
    """channels of the output, in multiples of width"""
    upsample: bool = True
    """whether the last block doubles height and width"""
    temporal: tuple[TemporalSpec, ...] = ()
    """layers over time before the blocks"""
    convolution: bool = False
    """a 3x3 convolution between the temporal layers and the blocks (Luc et al. 2020, A)"""
    blocks: int = 2
    """number of residual blocks: 2 by "we double the number of overall blocks" (Clark et al. 2019, A.2)"""
    residual: ResidualSpec = BigGANBlocks()
    """kind of those blocks"""

    def validate(self) -> None:
        require(self.channels >= 1, f"channels must be at least 1, got {self.channels}")
        require(self.blocks >= 1, f"blocks must be at least 1, got {self.blocks}")
        recurrent = sum(isinstance(layer, Recurrent) for layer in self.temporal)
        require(recurrent <= 1, f"a stage takes at most one recurrent unit, got {recurrent}")

    @property
    def recurrent(self) -> bool:
        """Whether the stage has a recurrent unit, whose state an encoder may give."""
        return any(isinstance(layer, Recurrent) for layer in self.temporal)


class Stage(nn.Module):
    """Features (B T inputs side side) -> (B T outputs side' side').

    Args:
        skip: channels of the encoder's features of the output's side, to be joined; 0 for none.
        below_size: side of the lower level's video; its resized frames are added after each block whose
            output is not larger than it.
    """

    def __init__(
        self,
        spec: StageSpec,
        side: int,
        inputs: int,
        outputs: int,
        condition: int,
        norm: NormSpec,
        skip: int,
        below_size: int | None,
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
                inputs, outputs if i == last else inputs, condition, norm, grow=spec.upsample and i == last
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

    def forward(self, x: Tensor, context: Context, conditioning: Conditioning) -> tuple[Tensor, list[Tensor]]:
        """Features, and the warps' weights of units that warp."""
        warps = []
        for layer, add_below in zip(self.temporal, self.after_temporal, strict=True):
            x, kernels = layer(x, context, conditioning.states.get(x.shape[-1]) if layer.recurrent else None)
            x = add_below(x, conditioning.below)
            if kernels is not None:
                warps.append(kernels)
        if self.convolution is not None:
            x = on_frames(self.convolution, x)
        for block, add_below in zip(self.blocks, self.after_blocks, strict=True):
            x = add_below(block(x, context), conditioning.below)
        if self.join is not None:
            skip = repeat_time(conditioning.skips[self.output_side].to(x.dtype), x.shape[1])
            x = on_frames(self.join, as_video(torch.cat([x, skip], dim=2)))
        return x, warps


class AddBelow(nn.Module):
    """Adds a 1x1 projection of the lower level's resized video, up to its own resolution (SSW-GAN, B.2)."""

    def __init__(self, channels: int, side: int, below_size: int | None) -> None:
        super().__init__()
        fits = below_size is not None and side <= below_size
        self.projection = Conv2d(3, channels, 1) if fits else None

    def forward(self, x: Tensor, below: Tensor | None) -> Tensor:
        if self.projection is None or below is None:
            return x
        return x + on_frames(self.projection, nearest(below.to(x.dtype), x.shape[1], x.shape[-1]))


def nearest(video: Tensor, steps: int, side: int) -> Tensor:
    """Nearest-neighbour resizing of a video (B T' C h w) to ``steps`` frames of ``side`` pixels.

    Frames are repeated in time (``steps`` is a multiple of T'); in space it only shrinks.
    """
    repeated = video.repeat_interleave(steps // video.shape[1], dim=1)
    if video.shape[-1] == side:
        return as_video(repeated)
    return unfold_time(F.interpolate(fold_time(repeated), size=(side, side), mode="nearest"), steps)
