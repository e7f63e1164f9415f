"""TrIVD-GAN-FP (Luc et al. 2020): frame prediction with transformation-based recurrent units."""

from vidgan.models.body import BodySpec
from vidgan.models.critic import CriticSpec
from vidgan.models.encoder import EncoderSpec
from vidgan.models.generator import GeneratorSpec
from vidgan.models.heads import MixedProjection
from vidgan.models.level import LevelSpec
from vidgan.models.objective import HingeEach
from vidgan.models.stage import StageSpec
from vidgan.models.views import Clip, Crop, Frames
from vidgan.nn.recurrent import ConvGRU, TSRUp, UnitSpec
from vidgan.nn.temporal import Recurrent
from vidgan.presets.dvd_gan import CRITIC_64, DEVIATIONS, dvd_gan_fp_k600_16x64
from vidgan.run.experiment import AdamSpec, Experiment, TrainingSpec

STAGES = (8, 4, 2)
"""Widths after the stages at 8x8, 16x16 and 32x32; the paper prints none for its 8x8 start."""


def generator(width: int, critic_width: int, unit: UnitSpec) -> GeneratorSpec:
    """The generator of appendix A: a recurrent unit, a convolution and two blocks per stage, from 8x8."""
    stages = tuple(
        StageSpec(channels=outputs, temporal=(Recurrent(unit=unit),), convolution=True) for outputs in STAGES
    )
    encoder = EncoderSpec(body=BodySpec(width=critic_width, channels=CRITIC_64), kernel=3, rectify=True)
    return GeneratorSpec(
        latent=128,
        embedding=128,
        width=width,
        side=8,
        channels=8,
        stages=stages,
        spectral_start=False,
        encoder=encoder,
    )


def critics(width: int) -> tuple[CriticSpec, ...]:
    """The "stronger" decomposition (3.1): downsampled frames, a cropped clip, a downsampled clip."""
    body = BodySpec(width=width, channels=CRITIC_64)
    volume, head = body.replace(volume_blocks=2), MixedProjection()
    return (
        CriticSpec(name="frames", view=Frames(k=8, scale=2), body=body, head=head),
        CriticSpec(name="crop", view=Crop(scale=2), body=volume, head=head),
        CriticSpec(name="clip", view=Clip(scale=2), body=volume, head=head),
    )


def dvd_gan_fp_k600_16x64_states() -> Experiment:
    """DVD-GAN-FP as Luc et al. 2020 describe it: a ConvGRU and a state of its own at every resolution."""
    paper = dvd_gan_fp_k600_16x64()
    (level,) = paper.levels
    # Our choice: the widths of dvd-gan-fp-k600-16x64, so that the two generators can be compared; 001 trains others.
    return paper.replace(
        name="dvd-gan-fp-k600-16x64-states",
        description="DVD-GAN-FP as TrIVD-GAN's paper has it: a ConvGRU and a state per resolution.",
        source="Luc et al. 2020, A; critics and training: Clark et al. 2019, A",
        deviations=("generator width 64, critics 128; 001's own have one number for both", *DEVIATIONS),
        levels=(level.replace(generator=generator(64, 128, ConvGRU())),),
    )


def trivd_gan_fp_k600() -> Experiment:
    """The paper's final model on Kinetics-600 (4.4)."""
    level = LevelSpec(
        generator=generator(120, 120, TSRUp()),
        critics=critics(120),
        objective=HingeEach(),
        frames=11,
        context_frames=5,
    )
    return Experiment(
        name="trivd-gan-fp-k600",
        description="TrIVD-GAN-FP on Kinetics-600: 11 frames given 5, 64x64, no frame skipping, class-free.",
        source="Luc et al. 2020, 4.4 and A-F",
        levels=(level,),
        conditional=False,
        training=TrainingSpec(
            steps=700_000,
            adam=AdamSpec(generator_rate=1e-4, critic_rate=5e-4),
            orthogonal_penalty=1e-4,
        ),
    )
