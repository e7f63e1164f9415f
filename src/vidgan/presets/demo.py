"""The demo: a small DVD-GAN that learns eight synthetic classes in minutes on two cores."""

from vidgan.models.body import BodySpec
from vidgan.models.objective import SumThenHinge
from vidgan.models.views import Frames
from vidgan.presets.dvd_gan import dvd_gan_k600_12x64
from vidgan.run.experiment import (
    AdamSpec,
    AverageSpec,
    BatchSpec,
    Experiment,
    ReportingSpec,
    SettleSpec,
    TrainingSpec,
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
