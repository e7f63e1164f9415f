"""DVD-GAN (Clark, Donahue and Simonyan 2019): experiments of the paper, and the demo that derives from them."""

from vidgan.models.body import BodySpec
from vidgan.models.critic import CriticSpec
from vidgan.models.generator import GeneratorSpec
from vidgan.models.level import LevelSpec
from vidgan.models.objective import SumThenHinge
from vidgan.models.stage import StageSpec
from vidgan.models.views import Clip, Frames
from vidgan.nn.recurrent import MultiplicativeConvGRU
from vidgan.nn.temporal import Recurrent, SelfAttention, SeparableSelfAttention
from vidgan.run.experiment import (
    AdamSpec,
    AverageSpec,
    BatchSpec,
    Experiment,
    ReportingSpec,
    SettleSpec,
    TrainingSpec,
)

KINETICS_600_CLASSES = 600

PIXELS_64 = (8, 8, 8, 4, 2)
"""Generator widths at stage boundaries for 64x64 (A.2)."""
CRITIC_64 = (2, 4, 8, 16, 16)
"""Critic widths after each block for 64x64 (A.2)."""


def generator(widths: tuple[int, ...], width: int) -> GeneratorSpec:
    """The generator of A.2: a recurrent unit at 4x4, attention over T x 4 x 4, then the tower.

    Args:
        widths: multipliers at stage boundaries, as BigGAN prints them: n + 1 numbers for n stages.
        width: base number of channels.
    """
    last = len(widths) - 2
    first_layers = (Recurrent(unit=MultiplicativeConvGRU()), SelfAttention())
    stages = tuple(
        StageSpec(
            channels=outputs,
            # Separable attention stands "before the final residual block": before the last stage.
            temporal=first_layers if i == 0 else (SeparableSelfAttention(),) if i == last else (),
        )
        for i, outputs in enumerate(widths[1:])
    )
    return GeneratorSpec(width=width, channels=widths[0], stages=stages)


def critics(widths: tuple[int, ...], width: int, k: int = 8, scale: int = 2) -> tuple[CriticSpec, ...]:
    """The two critics of 3.1: ``k`` frames at full size, and the clip pooled by ``scale`` with two 3-D blocks."""
    body = BodySpec(width=width, channels=widths)
    return (
        CriticSpec(name="frames", view=Frames(k=k), body=body),
        CriticSpec(name="clip", view=Clip(scale=scale), body=body.replace(volume_blocks=2)),
    )


def dvd_gan_k600_12x64() -> Experiment:
    """12 frames of 64x64 Kinetics-600, every second frame: the paper's main ablation setting."""
    return Experiment(
        name="dvd-gan-k600-12x64",
        description="DVD-GAN on Kinetics-600: 12 frames, 64x64, every second frame, 600 classes.",
        source="Clark et al. 2019, A.1-A.3, Table 1",
        levels=(
            LevelSpec(
                generator=generator(PIXELS_64, 128),
                critics=critics(CRITIC_64, 128),
                objective=SumThenHinge(),
                frames=12,
                stride=2,
            ),
        ),
        classes=KINETICS_600_CLASSES,
    )


def demo() -> Experiment:
    """A small DVD-GAN that learns eight synthetic classes in minutes on two cores."""
    paper = dvd_gan_k600_12x64()
    (level,) = paper.levels
    tower = level.generator
    stages = (
        tower.stages[0].replace(channels=8),
        tower.stages[1].replace(channels=4),
        tower.stages[3].replace(channels=2),
    )
    body = BodySpec(width=8, channels=(2, 4, 8, 8), slope=0.2, input_mean=(0.0, 0.0, 0.0), input_gain=2.0)
    frames, clip = level.critics
    return paper.replace(
        name="demo",
        description="The tour: eight classes of moving shapes, 8 frames of 24x24, minutes on two cores.",
        deviations=(
            "24x24 and 8 frames instead of 64x64 and 12; three stages from a 3x3 map; width 8 instead of 128",
            "batch 16 instead of 512; one critic update per generator update instead of two",
            "learning rates 5e-4 and 1e-3 instead of 1e-4 and 2e-4; Adam beta2 0.99 instead of 0.999",
            "moving average with decay 0.995 from the start instead of 0.9999 from step 20,000",
            "critics take means over positions and steps instead of sums",
            "critics see their input centred and doubled, and use leaky ReLU 0.2 instead of ReLU",
        ),
        levels=(
            level.replace(
                generator=tower.replace(width=8, side=3, stages=stages),
                critics=(
                    frames.replace(view=Frames(k=4), body=body, mean_pool=True),
                    clip.replace(body=body.replace(volume_blocks=2, channels=(2, 4, 8)), mean_pool=True),
                ),
                objective=SumThenHinge(mean=True),
                frames=8,
                stride=1,
            ),
        ),
        classes=8,
        training=TrainingSpec(
            steps=100_000,
            critic_updates=1,
            batch=BatchSpec(global_batch=16, micro_batch=16),
            adam=AdamSpec(generator_rate=5e-4, critic_rate=1e-3, beta2=0.99),
            average=AverageSpec(decay=0.995, start=0),
            settle=SettleSpec(batches=16, clips=64),
            bf16=False,
        ),
        reporting=ReportingSpec(tick=25, checkpoint=250, keep=2, samples=250),
    )
