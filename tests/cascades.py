"""Small cascades in float64 with standing statistics, and their whole videos without windows or chunks."""

import torch
from torch import Tensor

from vidgan.models.cascade import FrozenLevel, Noise, below_of
from vidgan.models.discriminator import DiscriminatorSpec
from vidgan.models.generator import NOTHING, GeneratorSpec, StageSpec, from_below
from vidgan.models.level import LevelSpec
from vidgan.models.views import FramesSpec
from vidgan.nn.layers import NormalSpec, initialise
from vidgan.nn.norm import BatchNormAllFramesSpec, Clock, NormReLU, StandingStatistics
from vidgan.nn.recurrent import ConvGRUSpec
from vidgan.nn.temporal import RecurrentSpec, SeparableConvolutionSpec, TemporalSpec
from vidgan.presets.ssw_gan import ssw_gan_k600_48x128
from vidgan.run.tiny import tiny

F64 = torch.float64
LABELS = 3
GRU = RecurrentSpec(unit=ConvGRUSpec())
SEPARABLE = SeparableConvolutionSpec()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def stages(count: int, temporal: TemporalSpec) -> tuple[StageSpec, ...]:
    """Stages of which all but the last upsample."""
    return tuple(
        StageSpec(channels=1, temporal=(temporal,), upsample=i != count - 1, blocks=1) for i in range(count)
    )


def level_spec(
    frames: int, side: int, stride: int, temporal: TemporalSpec, count: int = 2, window: int | None = None
) -> LevelSpec:
    generator = GeneratorSpec(
        latent=3, embedding=2, width=4, side=side, channels=1, stages=stages(count, temporal)
    )
    discriminators = (DiscriminatorSpec(name="frames", view=FramesSpec(k=1)),)
    return LevelSpec(
        generator=generator, discriminators=discriminators, frames=frames, stride=stride, window=window
    )


def frozen_level(levels: tuple[LevelSpec, ...], index: int) -> FrozenLevel:
    """A level in float64 with Gaussian weights and standing statistics that differ strongly between steps."""
    spec = levels[index]
    rng = torch.Generator().manual_seed(index)
    below = below_of(levels, index)
    generator = spec.build_generator(LABELS, below).double()
    initialise(generator, NormalSpec(deviation=1.0), rng)
    table = {}
    for module in generator.modules():
        if isinstance(module, NormReLU):
            channels = (module.gain.bias if hasattr(module.gain, "bias") else module.gain).shape[0]
            rows = 1 if module.normaliser == BatchNormAllFramesSpec() else spec.frames
            table[f"{module.key}/mean"] = torch.randn(rows, channels, generator=rng, dtype=F64) / 2
            spread = torch.rand(rows, channels, generator=rng, dtype=F64)
            table[f"{module.key}/variance"] = 0.5 + spread
    return FrozenLevel(spec, generator, StandingStatistics(table))


def whole_videos(cascade: list[FrozenLevel], noise: Noise, label: Tensor) -> list[Tensor]:
    """Every level's whole video, each from the whole video below: no windows."""
    videos: list[Tensor] = []
    for index, level in enumerate(cascade):
        conditioning = from_below(videos[-1]) if videos else NOTHING
        z = noise(index, level.generator.spec.latent)
        embedded = level.generator.embed(label)
        videos.append(
            level.generator.generate(z, embedded, level.spec.frames, level.statistics, conditioning, Clock())
        )
    return videos


def same_noise(clips: int) -> Noise:
    """Every clip of a batch gets the noise of one clip, so that their windows are of one video."""
    return lambda level, dimension: random(1, dimension, seed=50 + level).expand(clips, -1)


def ssw_levels(frames: int) -> tuple[LevelSpec, ...]:
    """The preset's two levels at tiny width, for ``frames`` frames below and twice as many above."""
    low, high = tiny(ssw_gan_k600_48x128()).levels
    return low.replace(frames=frames), high.replace(frames=2 * frames)


def smaller(level: LevelSpec, side: int) -> LevelSpec:
    return level.replace(generator=level.generator.replace(side=side))
