"""The demo: a small DVD-GAN that learns eight synthetic classes in minutes on two cores."""

from vidgan.models.body import BodySpec
from vidgan.models.class_margin import ClassMargin
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
    # No attention before the last stage and, below it, one block per stage: a step takes longer with them than what it
    # learns is worth. The last keeps its two: with one, the edges of squares wave by half a pixel.
    stages = (
        tower.stages[0].replace(channels=4, blocks=1),
        tower.stages[1].replace(channels=2, blocks=1),
        tower.stages[3].replace(channels=1, temporal=()),
    )
    # The mean is that of the built-in clips, most of whose pixels are dark background: around it, ReLU sees both signs.
    # Spectral norm bounds how fast a critic's output changes with its input; without the gain, corners are too little
    # to tell shapes by.
    body = BodySpec(width=8, channels=(4, 8, 16), input_mean=(-0.5, -0.5, -0.5), input_gain=32.0)
    frames, clip = level.critics
    return paper.replace(
        name="demo",
        description="The tour: eight classes of moving shapes, 8 frames of 24x24, minutes on two cores.",
        deviations=(
            "8 classes of built-in clips instead of Kinetics-600; 8 consecutive frames of 24x24 instead of 12 of "
            "64x64, every second one",
            "generator: width 8 instead of 128, three stages from a 3x3 map, with channels 4 and then 4, 2, 1, instead "
            "of four from 4x4; one block instead of two in each but the last, and no attention before that",
            "critics: width 8 instead of 128, three blocks with channels 4, 8, 16 and 1, 2, 4 instead of five; "
            "2 frames instead of 8 for the frame critic",
            "critics take means over positions, frames and steps instead of sums",
            "critics see their input centred on the data's mean and times 32",
            "critics also learn to tell the classes of real clips apart by a margin (of 1, weight 8)",
            "batch 16 instead of 512, in passes of 8 clips, each with statistics of its own; one critic update per "
            "generator update instead of two",
            "learning rates 3e-3 and 2e-3 instead of 1e-4 and 2e-4; Adam beta2 0.99, where the paper names none",
            "moving average from the start, over a quarter of the steps so far and 1,000 at most (decay 0.999), "
            "instead of decay 0.9999 from step 20,000",
            "statistics settle over 16 batches of 64 and float32 throughout, where the paper names neither",
            "at most 100,000 steps instead of 300,000; in practice as many as --minutes allow",
            *paper.deviations,
        ),
        levels=(
            level.replace(
                generator=tower.replace(width=8, side=3, channels=4, stages=stages),
                critics=(
                    frames.replace(view=Frames(k=2), body=body, mean_pool=True),
                    clip.replace(body=body.replace(volume_blocks=2, channels=(1, 2, 4)), mean_pool=True),
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
            # With statistics of 16 clips, classes collapsed to nearly one clip each in about half of the runs tried.
            batch=BatchSpec(global_batch=16, micro_batch=8),
            adam=AdamSpec(generator_rate=3e-3, critic_rate=2e-3, beta2=0.99),
            average=AverageSpec(decay=0.999, start=0, ramp=0.25),
            # Shape is what takes long: without this term the critics tell corners only after a thousand steps.
            class_margin=ClassMargin(weight=8.0, margin=1.0),
            settle=SettleSpec(batches=16, clips=64),
            bf16=False,
        ),
        reporting=ReportingSpec(tick=25, checkpoint=250, keep=2, samples=250),
    )


def earlier_demo() -> Experiment:
    """The demo as it was when the small presets beside it were measured, which keep its networks and training."""
    tour = demo()
    (level,) = tour.levels
    *stages, last = level.generator.stages
    frames, clip = level.critics
    return tour.replace(
        levels=(
            level.replace(
                generator=level.generator.replace(stages=(*stages, last.replace(blocks=1))),
                critics=(frames.replace(body=frames.body.replace(channels=(2, 4, 8))), clip),
            ),
        ),
        training=tour.training.replace(
            batch=BatchSpec(global_batch=16, micro_batch=16), average=AverageSpec(decay=0.993, start=0)
        ),
    )
