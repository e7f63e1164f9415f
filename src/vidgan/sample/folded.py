"""A trained model as one module of plain tensors: noise, classes and given frames in, a video out.

Nothing is left in it but what sampling computes: spectral normalisation is divided out of the weights, and standing
statistics have become constants of the layers that use them, so that they need no table beside them.
"""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vidgan.errors import UserError
from vidgan.models.cascade import FrozenLevel
from vidgan.models.generator import NOTHING, Generator, from_below
from vidgan.nn.layers import WeightLayer, fold_resizing
from vidgan.nn.norm import (
    EPSILON,
    BatchNormAllFramesSpec,
    BatchNormSpec,
    BatchStatistics,
    Clock,
    Context,
    LearntNormReLU,
    NormReLU,
    StandingStatistics,
    scale_shift_relu,
)

PER_STEP = (BatchNormSpec(), BatchNormAllFramesSpec())
"""normalisations whose moments are standing statistics; others take theirs from the clip at hand"""


class FoldedNormReLU(nn.Module):
    """Normalisation by constant moments, gain and bias, and ReLU: relu(gain * (a x + b) + bias), (B T C H W).

    a = (variance + epsilon)^-1/2 and b = -a mean, of every time step and channel.

    Gains and biases that depend on noise and class stay maps of them: folded into those, the
    constants would take a copy of every map for each time step.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, layer: NormReLU, mean: Tensor, variance: Tensor) -> None:
        super().__init__()
        scale = torch.rsqrt(variance + EPSILON)
        offset = -mean * scale
        self.layer: NormReLU | None = None if isinstance(layer, LearntNormReLU) else layer
        if isinstance(layer, LearntNormReLU):  # gain and bias are constants, too
            gain, bias = (value.detach().to(scale.dtype) for value in layer.gain_and_bias(None))
            scale, offset = gain * scale, gain * offset + bias
        kind = next(layer.parameters()).dtype
        self.register_buffer("scale", scale.to(kind))
        self.register_buffer("offset", offset.to(kind))

    def forward(self, x: Tensor, context: Context) -> Tensor:
        scale, shift = self.scale, self.offset
        if self.layer is not None:
            gain, bias = self.layer.gain_and_bias(context.condition)
            scale, shift = gain * self.scale, gain * self.offset + bias
        return scale_shift_relu(x, scale, shift)


def folded_generator(level: FrozenLevel) -> Generator:
    """A copy of a level's generator with its statistics and its spectral norms folded in.

    Raises:
        UserError: if the level has no standing statistics.
    """
    if not isinstance(level.statistics, StandingStatistics):
        raise UserError("only a model with standing statistics has constants to fold in")
    generator = copy.deepcopy(level.generator).requires_grad_(False)
    fold_resizing(generator, on=False)  # by the size of the batch, which is open here
    table = level.statistics.table
    for name, layer in list(generator.named_modules()):
        if isinstance(layer, WeightLayer) and layer.spectral:
            layer.weight.data = layer.effective_weight(layer.weight.dtype)
            layer.spectral = False
            del layer.u, layer.v
        if isinstance(layer, NormReLU) and layer.normaliser in PER_STEP:
            device = next(layer.parameters()).device
            moments = (table[f"{layer.key}/{which}"].to(device) for which in ("mean", "variance"))
            parent, _, own = name.rpartition(".")
            setattr(generator.get_submodule(parent), own, FoldedNormReLU(layer, *moments))
    return generator


class Input(NamedTuple):
    """An input of a folded model: what stands after the batch axis."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    def example(self, clips: int) -> Tensor:
        """Zeros of this shape."""
        return torch.zeros((clips, *self.shape), dtype=self.dtype)


class FoldedModel(nn.Module):
    """All levels of a model: (label, noise[, given]) -> the top level's video (B T 3 H W) in [-1, 1].

    ``label`` (B,) int64 is ignored by models without classes. ``noise`` (B, K) holds the latents of all levels, the
    lowest first. ``given`` (B C 3 H W) are the first frames that a frame-conditional model continues.
    """

    def __init__(self, levels: Sequence[FrozenLevel]) -> None:
        super().__init__()
        self.generators = nn.ModuleList(folded_generator(level) for level in levels)
        self.frames = tuple(level.spec.frames for level in levels)
        self.latents = tuple(level.spec.generator.latent for level in levels)
        self.given = (levels[0].spec.context_frames, 3, levels[0].spec.size, levels[0].spec.size)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What :meth:`forward` takes, in order."""
        kind = next(self.parameters()).dtype
        noise = (Input("label", (), torch.int64), Input("noise", (sum(self.latents),), kind))
        return (*noise, Input("given", self.given, kind)) if self.given[0] else noise

    def forward(self, label: Tensor, noise: Tensor, given: Tensor | None = None) -> Tensor:
        conditioning, video = NOTHING, noise
        parts = zip(self.generators, noise.split(self.latents, dim=1), self.frames, strict=True)
        for index, (generator, z, frames) in enumerate(parts):
            assert isinstance(generator, Generator)
            if given is not None:
                conditioning = generator.encode(given)
            elif index > 0:
                conditioning = from_below(video)
            # Normalisation that is left takes its moments from each clip, and asks no statistics.
            video = generator.generate(
                z, generator.embed_label(label), frames, BatchStatistics(), conditioning, Clock()
            )
        return video
