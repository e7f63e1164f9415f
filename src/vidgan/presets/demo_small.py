"""Small experiments beside the demo: prediction of its clips, and real clips of 64x64 on a CPU."""

from vidgan.models.variety import Variety
from vidgan.models.views import Frames
from vidgan.presets.demo import earlier_demo
from vidgan.presets.dvd_gan import DEVIATIONS, dvd_gan_fp_bair_16x64
from vidgan.run.experiment import AdamSpec, AverageSpec, BatchSpec, Experiment, SettleSpec


def demo_prediction() -> Experiment:
    """A small DVD-GAN-FP that continues the demo's clips from their first frame."""
    paper, tour = dvd_gan_fp_bair_16x64(), earlier_demo()
    (given,), (level,) = paper.levels, tour.levels
    encoder = given.generator.encoder
    assert encoder is not None
    frames, clip = level.critics
    # The first frame shows the shape, so a smaller gain will do; with a large one in the encoder, its features outweigh
    # the noise and all futures are alike.
    small = frames.body.replace(input_gain=2.0, channels=(2, 4, 4, 4))
    critics = tuple(c.replace(body=c.body.replace(input_gain=8.0)) for c in (frames, clip))
    return paper.replace(
        name="demo-prediction",
        description="DVD-GAN-FP in small, on a CPU: 7 frames of moving shapes given 1, 24x24.",
        source="Clark et al. 2019, 4.2.2, A.4 and B.1",
        deviations=(
            "built-in clips instead of BAIR; 7 frames of 24x24 given 1 instead of 15 of 64x64 given 1",
            "generator and critics as those of demo, but for: one block in the last stage, a frame critic of channels "
            "2, 4, 8, and 8 instead of 32 as the gain of the critics' input",
            "encoder: width 8, four blocks with channels 2, 4, 4, 4, input centred on the data's mean and times 2",
            "updates, learning rates and settling as in demo, without the classes' margin; batch 16 in one pass; "
            "moving average with decay 0.993 from the start",
            *paper.deviations,
        ),
        levels=(
            level.replace(
                generator=level.generator.replace(encoder=encoder.replace(body=small)),
                critics=critics,
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
            "generator and critics as those of demo, but for: two stages of one block and channels 2 and 1, from 4x4 "
            "instead of three from 3x3, a frame critic of channels 2, 4, 8, and 8 instead of 32 as the gain of the "
            "critics' input",
            "encoder: width 8, three blocks with channels 2, 4, 4, input centred on the data's mean and times 2",
            "the generator's loss also has the distance from a real clip to the nearest of four futures (weight 30)",
            *plain.deviations[3:],
        ),
        levels=(level.replace(generator=generator),),
        training=plain.training.replace(variety=Variety(weight=30.0, futures=4)),
    )


def dvd_gan_8x64_cpu() -> Experiment:
    """Not the paper's: 64x64 at a width that one CPU core trains at eight clips per second."""
    tour = earlier_demo()
    (level,) = tour.levels
    first, second, last = level.generator.stages
    stages = (first.replace(channels=8), second.replace(channels=4), second, last)
    frames, clip = level.critics
    body = frames.body.replace(channels=(1, 2, 4, 8), input_mean=(0.0, 0.0, 0.0), input_gain=8.0)
    return tour.replace(
        name="dvd-gan-8x64-cpu",
        description="Not the paper's: 8 frames of 64x64, every third one, at a width for a few CPU cores.",
        source="Clark et al. 2019, A.1-A.3; sizes are ours",
        deviations=(
            "8 frames, every third one, instead of 12, every second one",
            "generator: width 8 instead of 128, one block per stage and channels 8, 4, 2, 1; no attention before the "
            "last stage",
            "critics: width 8 instead of 128, four blocks with channels 1, 2, 4, 8; 2 frames instead of 8; means "
            "over positions, frames and steps instead of sums; input times 8",
            "batch 8 instead of 512; one critic update per generator update instead of two",
            "learning rates 1e-3 for both instead of 1e-4 and 2e-4; Adam beta2 0.99, where the paper names none",
            "moving average with decay 0.995 from the start instead of 0.9999 from step 20,000",
            "statistics settle over 8 batches of 16 and float32 throughout, where the paper names neither",
            "at most 100,000 steps instead of 300,000",
            *DEVIATIONS,
        ),
        levels=(
            level.replace(
                generator=level.generator.replace(side=4, channels=8, stages=stages),
                critics=(
                    frames.replace(body=body, view=Frames(k=2)),
                    clip.replace(body=body.replace(volume_blocks=2)),
                ),
                stride=3,
            ),
        ),
        training=tour.training.replace(
            batch=BatchSpec(global_batch=8, micro_batch=8),
            adam=AdamSpec(generator_rate=1e-3, critic_rate=1e-3, beta2=0.99),
            average=AverageSpec(decay=0.995, start=0),
            class_margin=None,
            settle=SettleSpec(batches=8, clips=16),
        ),
    )
