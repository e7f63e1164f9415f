"""Presets of ours for real video on a few CPU cores: hours, not days."""

from vidgan.models.discriminator import DiscriminatorSpec
from vidgan.models.generator import EncoderSpec
from vidgan.models.losses import HingeEachSpec
from vidgan.models.views import FramesSpec
from vidgan.nn.recurrent import TSRUpSpec
from vidgan.presets.demo import earlier_demo
from vidgan.presets.dvd_gan import DEVIATIONS
from vidgan.presets.trivd_gan import TRIVD_DEVIATIONS, generator, stronger
from vidgan.run.batch import BatchSpec
from vidgan.run.experiment import AdamSpec, AverageSpec, Experiment, StandingStatisticsSpec

WIDTH = 8
"""of discriminators and encoders"""


def dvd_gan_8x64_cpu() -> Experiment:
    """Not the paper's: 64x64 at a width that one CPU core trains at eight clips per second."""
    tour = earlier_demo()
    (level,) = tour.levels
    first, second, last = level.generator.stages
    stages = (first.replace(channels=8), second.replace(channels=4), second, last)
    frames, clip = level.discriminators
    body = frames.body.replace(channels=(1, 2, 4, 8), input_mean=(0.0, 0.0, 0.0), input_gain=8.0)
    return tour.replace(
        name="dvd-gan-8x64-cpu",
        description="Not the paper's: 8 frames of 64x64, every third one, at a width for a few CPU cores.",
        source="Clark et al. 2019, A.1-A.3; sizes are ours",
        deviations=(
            "8 frames, every third one, instead of 12, every second one",
            "generator: width 8 instead of 128, one block per stage and channels 8, 4, 2, 1; no attention before the "
            "last stage",
            "discriminators: width 8 instead of 128, four blocks with channels 1, 2, 4, 8; 2 frames "
            "instead of 8; means "
            "over positions, frames and steps instead of sums; input times 8",
            "batch 8 instead of 512; one discriminator update per generator update instead of two",
            "learning rates 1e-3 for both instead of 1e-4 and 2e-4; Adam beta2 0.99, where the paper names none",
            "moving average with decay 0.995 from the start instead of 0.9999 from step 20,000",
            "standing statistics are of 8 batches of 16, and float32 throughout, where the paper names neither",
            "at most 100,000 steps instead of 300,000",
            "no orthogonal penalty instead of one of weight 1e-4",
            *DEVIATIONS,
        ),
        levels=(
            level.replace(
                generator=level.generator.replace(side=4, channels=8, stages=stages),
                discriminators=(
                    frames.replace(body=body, view=FramesSpec(k=2)),
                    clip.replace(body=body.replace(blocks_3d=2)),
                ),
                stride=3,
            ),
        ),
        training=tour.training.replace(
            batch=BatchSpec(global_batch=8, micro_batch=8),
            adam=AdamSpec(generator_rate=1e-3, discriminator_rate=1e-3, beta2=0.99),
            average=AverageSpec(decay=0.995, start=0),
            class_margin=None,
            standing_statistics=StandingStatisticsSpec(batches=8, clips=16),
        ),
    )


def dvd_gan_12x64_cpu() -> Experiment:
    """Not the paper's: its 12 frames of 64x64, at a width that two CPU cores train in a few hours."""
    small = dvd_gan_8x64_cpu()
    (level,) = small.levels
    *stages, last = level.generator.stages
    frames, clip = level.discriminators
    return small.replace(
        name="dvd-gan-12x64-cpu",
        description="Not the paper's: its 12 frames of 64x64, every second one, at a width for a few CPU cores.",
        deviations=(
            "generator: width 8 instead of 128, channels 8, 4, 2, 1; one block per stage but the last, which has no "
            "attention before it",
            "discriminators: width 8 instead of 128, four blocks with channels 1, 2, 4, 8; 4 frames instead of 8; "
            "means over positions, frames and steps instead of sums; input times 8",
            "batch 16 instead of 512, in passes of 8 clips, each with statistics of its own; one discriminator update "
            "per generator update instead of two",
            "learning rates 1e-3 and 2e-3, in the paper's ratio, instead of 1e-4 and 2e-4; Adam beta2 0.99, where the "
            "paper names none",
            "moving average from the start, over a quarter of the steps so far and 1,000 at most (decay 0.999), "
            "instead of decay 0.9999 from step 20,000",
            "standing statistics are of 16 batches of 32, and float32 throughout, where the paper names neither",
            "at most 100,000 steps instead of 300,000",
            *DEVIATIONS,
        ),
        levels=(
            level.replace(
                generator=level.generator.replace(stages=(*stages, last.replace(blocks=2))),
                discriminators=(frames.replace(view=FramesSpec(k=4)), clip),
                frames=12,
                stride=2,
            ),
        ),
        training=small.training.replace(
            batch=BatchSpec(global_batch=16, micro_batch=8),
            adam=AdamSpec(generator_rate=1e-3, discriminator_rate=2e-3, beta2=0.99),
            average=AverageSpec(decay=0.999, start=0, ramp=0.25),
            standing_statistics=StandingStatisticsSpec(batches=16, clips=32),
        ),
    )


def dvd_gan_fp_12x64_cpu() -> Experiment:
    """Not the paper's: DVD-GAN-FP in small, 8 frames of 64x64 given 4, for a few CPU cores."""
    small = dvd_gan_12x64_cpu()
    (level,) = small.levels
    body = level.discriminators[0].body
    encoder = EncoderSpec(
        body=body.replace(input_gain=2.0, channels=(1, 2, 4, 8, 8)), kernel=1, relu=False, skips=True
    )
    return small.replace(
        name="dvd-gan-fp-12x64-cpu",
        description="DVD-GAN-FP in small, for a few CPU cores: 8 frames of 64x64 given 4, class-free.",
        source="Clark et al. 2019, 4.2.1 and A.4; sizes are ours",
        deviations=(
            "8 consecutive frames given 4 instead of 11 given 5",
            "generator, discriminators, batch, rates, averages, statistics and steps as those of dvd-gan-12x64-cpu",
            "encoder: width 8 instead of 128, five blocks with channels 1, 2, 4, 8, 8; input times 2",
            "skip connections join once per stage, paired by resolution; A.4 pairs the i-th blocks",
            *DEVIATIONS,
        ),
        levels=(
            level.replace(
                generator=level.generator.replace(encoder=encoder), frames=8, stride=1, context_frames=4
            ),
        ),
        classes=1,
        conditional=False,
    )


def trivd_gan_fp_12x64_cpu() -> Experiment:
    """Not the paper's: TrIVD-GAN-FP in small, 8 frames of 64x64 given 4, for a few CPU cores."""
    small = dvd_gan_fp_12x64_cpu()
    (level,) = small.levels
    tower = generator(WIDTH // 2, WIDTH, TSRUpSpec())
    assert tower.encoder is not None
    encoder = tower.encoder.replace(body=tower.encoder.body.replace(input_gain=2.0))
    return small.replace(
        name="trivd-gan-fp-12x64-cpu",
        description="TrIVD-GAN-FP in small, for a few CPU cores: 8 frames of 64x64 given 4, class-free.",
        source="Luc et al. 2020, 4.4 and A-E; sizes are ours",
        deviations=(
            "8 frames given 4 instead of 11 given 5",
            "generator width 4, encoder and discriminators width 8, instead of 120; discriminators take means over "
            "positions, frames and steps instead of sums, 4 frames instead of 8, input times 8; the encoder's times 2",
            "batch, averages, statistics and steps as those of dvd-gan-12x64-cpu",
            "learning rates 5e-4 and 2.5e-3, in the paper's ratio, instead of 1e-4 and 5e-4",
            *TRIVD_DEVIATIONS,
        ),
        levels=(
            level.replace(
                generator=tower.replace(encoder=encoder),
                discriminators=tuple(map(in_small, stronger(WIDTH))),
                objective=HingeEachSpec(),
            ),
        ),
        training=small.training.replace(
            adam=AdamSpec(generator_rate=5e-4, discriminator_rate=2.5e-3, beta2=0.99)
        ),
    )


def in_small(paper: DiscriminatorSpec) -> DiscriminatorSpec:
    """A discriminator of the paper's, with means instead of sums, a gain of its input, and at most four frames."""
    view = paper.view.replace(k=4) if isinstance(paper.view, FramesSpec) else paper.view
    return paper.replace(body=paper.body.replace(input_gain=8.0), view=view, mean_pool=True)
