"""SSW-GAN (under review at ICLR 2021): cascades whose upper levels train on temporal windows."""

from vidgan.models.body import BodySpec
from vidgan.models.critic import CriticSpec
from vidgan.models.generator import GeneratorSpec
from vidgan.models.level import LevelSpec
from vidgan.models.objective import HingeJoined
from vidgan.models.stage import StageSpec
from vidgan.models.views import Clip, Frames, MatchingPair
from vidgan.nn.recurrent import ConvGRU
from vidgan.nn.temporal import Recurrent, SeparableConvolution, TemporalSpec
from vidgan.presets.dvd_gan import CRITIC_64, CRITIC_128, KINETICS_600_CLASSES
from vidgan.run.experiment import AdamSpec, Experiment, SettleSpec, TrainingSpec

UNITS_32 = (8, 8, 4, 2)
"""Widths of the units of the first stage (B.1)."""
UNITS_128 = (8, 8, 4, 2, 1)
"""Widths of the units of the upsampling stage (B.2)."""


def generator(widths: tuple[int, ...], width: int, side: int, temporal: TemporalSpec) -> GeneratorSpec:
    """A stack of units, all but the last upsampling (B.1); the map starts at output / 2^(units - 1)."""
    last = len(widths) - 1
    stages = tuple(
        StageSpec(channels=outputs, temporal=(temporal,), upsample=i != last)
        for i, outputs in enumerate(widths)
    )
    return GeneratorSpec(latent=128, embedding=128, width=width, side=side, channels=widths[0], stages=stages)


def critics(widths: tuple[int, ...], width: int, k: int) -> tuple[CriticSpec, ...]:
    """Frames at full size and the clip pooled by two (B.1)."""
    body = BodySpec(width=width, channels=widths)
    return (
        CriticSpec(name="frames", view=Frames(k=k), body=body),
        CriticSpec(name="clip", view=Clip(scale=2), body=body.replace(volume_blocks=2)),
    )


def matching(widths: tuple[int, ...], width: int) -> CriticSpec:
    """The critic of pairs: the clip critic's body on both videos at the low resolution (B.2)."""
    body = BodySpec(width=width, channels=widths, volume_blocks=2)
    return CriticSpec(name="matching", view=MatchingPair(), body=body)


def ssw_gan_k600() -> Experiment:
    """Two stages on Kinetics-600: 32x32/25, then windows of 128x128/12; 128x128/50 when unrolled (5.1, B)."""
    first = LevelSpec(
        generator=generator(UNITS_32, 128, 4, Recurrent(unit=ConvGRU())),
        critics=critics(CRITIC_64, 128, k=8),
        objective=HingeJoined(),
        frames=25,
        stride=8,
    )
    second = LevelSpec(
        generator=generator(UNITS_128, 128, 8, SeparableConvolution()),
        critics=(*critics(CRITIC_128, 96, k=8), matching(CRITIC_128, 96)),
        objective=HingeJoined(),
        frames=50,
        stride=4,
        window=12,
    )
    return Experiment(
        name="ssw-gan-k600",
        description="SSW-GAN on Kinetics-600: 32x32/25, then windows of 128x128/12 with a matching critic.",
        source="SSW-GAN, 5.1 and B",
        levels=(first, second),
        classes=KINETICS_600_CLASSES,
        training=TrainingSpec(
            steps=300_000,
            adam=AdamSpec(generator_rate=1e-4, critic_rate=5e-4),
            average=None,
            settle=SettleSpec(batches=200, clips=32),
        ),
    )
