"""Small presets of ours on the built-in clips, for a few cores."""

from vidgan.models.discriminator import BodySpec, DiscriminatorSpec
from vidgan.models.generator import GeneratorSpec, StageSpec
from vidgan.models.level import LevelSpec
from vidgan.models.losses import ClassMarginSpec, SumThenHingeSpec, VarietySpec
from vidgan.models.views import FramesSpec, MatchingPairSpec
from vidgan.nn.temporal import SeparableConvolutionSpec
from vidgan.presets.dvd_gan import dvd_gan_fp_bair_16x64, dvd_gan_k600_12x64
from vidgan.run.batch import BatchSpec
from vidgan.run.experiment import (
    AdamSpec,
    AverageSpec,
    Experiment,
    ReportingSpec,
    StandingStatisticsSpec,
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
    # Spectral norm bounds how fast a discriminator's output changes with its input; without the gain,
    # corners are too little to tell shapes by.
    body = BodySpec(width=8, channels=(4, 8, 16), input_mean=(-0.5, -0.5, -0.5), input_gain=32.0)
    frames, clip = level.discriminators
    return paper.replace(
        name="demo",
        description="The tour: eight classes of moving shapes, 8 frames of 24x24, minutes on two cores.",
        deviations=(
            "8 classes of built-in clips instead of Kinetics-600; 8 consecutive frames of 24x24 instead of 12 of "
            "64x64, every second one",
            "generator: width 8 instead of 128, three stages from a 3x3 map, with channels 4 and then 4, 2, 1, instead "
            "of four from 4x4; one block instead of two in each but the last, and no attention before that",
            "discriminators: width 8 instead of 128, three blocks with channels 4, 8, 16 and 1, 2, 4 instead of five; "
            "2 frames instead of 8 for the frame discriminator",
            "discriminators take means over positions, frames and steps instead of sums",
            "discriminators see their input centred on the data's mean and times 32",
            "discriminators also learn to tell the classes of real clips apart by a margin (of 1, weight 8)",
            "batch 16 instead of 512, in passes of 8 clips, each with statistics of its own; one "
            "discriminator update per "
            "generator update instead of two",
            "learning rates 3e-3 and 2e-3 instead of 1e-4 and 2e-4; Adam beta2 0.99, where the paper names none",
            "moving average from the start, over a quarter of the steps so far and 1,000 at most (decay 0.999), "
            "instead of decay 0.9999 from step 20,000",
            "standing statistics are of 16 batches of 64, and float32 throughout, where the paper names neither",
            "at most 100,000 steps instead of 300,000; in practice as many as --minutes allow",
            "no orthogonal penalty instead of one of weight 1e-4",
            *paper.deviations,
        ),
        levels=(
            level.replace(
                generator=tower.replace(width=8, side=3, channels=4, stages=stages),
                discriminators=(
                    frames.replace(view=FramesSpec(k=2), body=body, mean_pool=True),
                    clip.replace(body=body.replace(blocks_3d=2, channels=(1, 2, 4)), mean_pool=True),
                ),
                objective=SumThenHingeSpec(mean=True),
                frames=8,
                stride=1,
            ),
        ),
        classes=8,
        training=TrainingSpec(
            steps=100_000,
            discriminator_updates=1,
            # With statistics of 16 clips, classes collapsed to nearly one clip each in about half of the runs tried.
            batch=BatchSpec(global_batch=16, micro_batch=8),
            adam=AdamSpec(generator_rate=3e-3, discriminator_rate=2e-3, beta2=0.99),
            average=AverageSpec(decay=0.999, start=0, ramp=0.25),
            # Shape is what takes long: without this term the discriminators tell corners only after a thousand steps.
            class_margin=ClassMarginSpec(weight=8.0, margin=1.0),
            standing_statistics=StandingStatisticsSpec(batches=16, clips=64),
            bf16=False,
        ),
        reporting=ReportingSpec(tick=25, checkpoint=250, keep=2, samples=250),
    )


def earlier_demo() -> Experiment:
    """The demo as it was when the small presets beside it were measured, which keep its networks and training."""
    tour = demo()
    (level,) = tour.levels
    *stages, last = level.generator.stages
    frames, clip = level.discriminators
    return tour.replace(
        levels=(
            level.replace(
                generator=level.generator.replace(stages=(*stages, last.replace(blocks=1))),
                discriminators=(frames.replace(body=frames.body.replace(channels=(2, 4, 8))), clip),
            ),
        ),
        training=tour.training.replace(
            batch=BatchSpec(global_batch=16, micro_batch=16), average=AverageSpec(decay=0.993, start=0)
        ),
    )


def demo_prediction() -> Experiment:
    """A small DVD-GAN-FP that continues the demo's clips from their first frame."""
    paper, tour = dvd_gan_fp_bair_16x64(), earlier_demo()
    (given,), (level,) = paper.levels, tour.levels
    encoder = given.generator.encoder
    assert encoder is not None
    frames, clip = level.discriminators
    # The first frame shows the shape, so a smaller gain will do; with a large one in the encoder, its features outweigh
    # the noise and all futures are alike.
    small = frames.body.replace(input_gain=2.0, channels=(2, 4, 4, 4))
    discriminators = tuple(c.replace(body=c.body.replace(input_gain=8.0)) for c in (frames, clip))
    return paper.replace(
        name="demo-prediction",
        description="DVD-GAN-FP in small, on a CPU: 7 frames of moving shapes given 1, 24x24.",
        source="Clark et al. 2019, 4.2.2, A.4 and B.1",
        deviations=(
            "built-in clips instead of BAIR; 7 frames of 24x24 given 1 instead of 15 of 64x64 given 1",
            "generator and discriminators as those of demo, but for: one block in the last stage, a "
            "frame discriminator of channels "
            "2, 4, 8, and 8 instead of 32 as the gain of the discriminators' input",
            "encoder: width 8, four blocks with channels 2, 4, 4, 4, input centred on the data's mean and times 2",
            "updates, learning rates, standing statistics and no orthogonal penalty as in demo, without the classes' "
            "margin; batch 16 in one pass; moving average with decay 0.993 from the start",
            "the encoder's trunk does not end in ReLU",
            *paper.deviations,
        ),
        levels=(
            level.replace(
                generator=level.generator.replace(encoder=encoder.replace(body=small, trunk_relu=False)),
                discriminators=discriminators,
                frames=7,
                context_frames=1,
            ),
        ),
        training=tour.training.replace(class_margin=None),
        reporting=tour.reporting,
    )


def demo_prediction_variety() -> Experiment:
    """The small DVD-GAN-FP at 16x16, with a loss by which noise chooses among the futures of the same frame."""
    plain = demo_prediction()
    (level,) = plain.levels
    tower = level.generator
    encoder = tower.encoder
    assert encoder is not None
    first, *_, last = tower.stages
    generator = tower.replace(
        side=4,
        stages=(first.replace(channels=2), last),
        encoder=encoder.replace(body=encoder.body.replace(channels=(2, 4, 4))),
    )
    return plain.replace(
        name="demo-prediction-variety",
        description="DVD-GAN-FP in small, on a CPU: 7 frames of 16x16 given 1, with a variety loss.",
        deviations=(
            "built-in clips instead of BAIR; 7 frames of 16x16 given 1 instead of 15 of 64x64 given 1",
            "generator and discriminators as those of demo, but for: two stages of one block and "
            "channels 2 and 1, from 4x4 "
            "instead of three from 3x3, a frame discriminator of channels 2, 4, 8, and 8 instead of 32 "
            "as the gain of the "
            "discriminators' input",
            "encoder: width 8, three blocks with channels 2, 4, 4, input centred on the data's mean and times 2",
            "the generator's loss also has the distance from a real clip to the nearest of four futures (weight 30)",
            *plain.deviations[3:],
        ),
        levels=(level.replace(generator=generator),),
        training=plain.training.replace(variety=VarietySpec(weight=30.0, futures=4)),
    )


def demo_cascade() -> Experiment:
    """12 frames of 16x16, then windows of 8 frames of 32x32; 24 frames of 32x32 when unrolled."""
    tour = earlier_demo()
    (level,) = tour.levels
    tower = level.generator
    frames, clip = level.discriminators
    first = level.replace(
        generator=tower.replace(side=4, stages=tower.stages[:2]),
        frames=12,
        stride=2,
    )
    unit = StageSpec(channels=2, temporal=(SeparableConvolutionSpec(),), blocks=1)
    upsampling = GeneratorSpec(width=8, side=8, channels=4, stages=(unit, unit.replace(channels=1)))
    matching = DiscriminatorSpec(name="matching", view=MatchingPairSpec(), body=clip.body, mean_pool=True)
    second = LevelSpec(
        generator=upsampling,
        discriminators=(frames, clip, matching),
        objective=level.objective,
        frames=24,
        window=8,
    )
    return tour.replace(
        name="demo-cascade",
        description="A small SSW-GAN on the built-in clips: 16x16/12, then windows of 32x32/8.",
        source="SSW-GAN, 3-5",
        deviations=(
            "built-in clips and the sizes, widths, discriminators, objective and training of the "
            "preset demo, whose own "
            "deviations hold here too, but for these: the frame discriminator has channels 2, 4, 8, "
            "batches go through in one "
            "pass, and the moving average has a decay of 0.993",
            "level 1: 12 frames of 16x16, two stages, a ConvGRU at 4x4 alone",
            "level 2: windows of 8 frames of 32x32 from 4; two units, both of which upsample, of one 2-D block each",
        ),
        levels=(first, second),
    )


def demo_cascade_no_matching() -> Experiment:
    """The same without the discriminator of pairs ("No MD" in Table 2)."""
    whole = demo_cascade()
    first, second = whole.levels
    return whole.replace(
        name="demo-cascade-no-matching",
        description="The preset demo-cascade without its matching discriminator.",
        source="SSW-GAN, 5.1, Table 2",
        levels=(first, second.replace(discriminators=second.discriminators[:2])),
    )


ALL = (demo_cascade, demo_cascade_no_matching)
