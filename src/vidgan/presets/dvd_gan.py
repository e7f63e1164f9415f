"""DVD-GAN (Clark et al. 2019): its models and its ablations."""

from collections.abc import Callable
from functools import partial

from vidgan.models.discriminator import BodySpec, DiscriminatorSpec
from vidgan.models.generator import EncoderSpec, GeneratorSpec, StageSpec
from vidgan.models.level import LevelSpec
from vidgan.models.losses import SumThenHingeSpec
from vidgan.models.views import ClipSpec, CropSpec, FramesSpec, ViewSpec
from vidgan.nn.blocks import BigGANDeepBlocksSpec
from vidgan.nn.norm import (
    BatchNormAllFramesSpec,
    BatchNormSpec,
    GroupNormSpec,
    InstanceNormSpec,
    NoNormSpec,
    NormSpec,
)
from vidgan.nn.recurrent import ConvGRUSpec, MultiplicativeConvGRUSpec, UnitSpec
from vidgan.nn.temporal import RecurrentSpec, SelfAttentionSpec, SeparableSelfAttentionSpec
from vidgan.run.batch import BatchSpec
from vidgan.run.experiment import AverageSpec, Experiment, StandingStatisticsSpec, TrainingSpec

KINETICS_600_CLASSES = 600
UCF_101_CLASSES = 101

PIXELS_64 = (8, 8, 8, 4, 2)
"""Generator widths at stage boundaries for 64x64 (A.2)."""
DISCRIMINATOR_64 = (2, 4, 8, 16, 16)
"""Discriminator widths after each block for 64x64 (A.2)."""
PIXELS_128 = (16, 16, 8, 4, 2, 1)
DISCRIMINATOR_128 = (1, 2, 4, 8, 16, 16)
# Our choice: the lists for 256x256 are BigGAN's, as those for 128x128 are; the paper prints none. Attention does
# not follow BigGAN there: A.2 puts it before the last block, at 128x128, where BigGAN's stays at 64x64.
PIXELS_256 = (16, 16, 8, 8, 4, 2, 1)
"""Generator widths at stage boundaries for 256x256."""
DISCRIMINATOR_256 = (1, 2, 4, 8, 8, 16, 16)
"""Discriminator widths after each block for 256x256."""

DEVIATIONS = (
    "shortcuts of 3-D blocks stay 1x1 convolutions of each frame; A.2 replaces every convolution",
    "discriminators have no attention; A.2 follows BigGAN's discriminator, which has one layer of it",
    "the generator's class embedding has no spectral norm, as in BigGAN; A.3 asks for it in all weight layers",
    "replicas share one order of the data, so that their number changes nothing; A.1 shuffles for each apart",
)
"""Where all presets of this file leave the paper's words; docs/papers.md has what the paper leaves open."""


def generator(
    widths: tuple[int, ...], width: int, unit: UnitSpec = MultiplicativeConvGRUSpec()
) -> GeneratorSpec:
    """The generator of A.2: a recurrent unit at 4x4, attention over T x 4 x 4, then the tower.

    Args:
        widths: multipliers at stage boundaries, as BigGAN prints them: n + 1 numbers for n stages.
        width: base number of channels.
        unit: multiplicative below 48 frames, plain ConvGRU at 48 (A.2).
    """
    last = len(widths) - 2
    first_layers = (RecurrentSpec(unit=unit), SelfAttentionSpec())
    stages = tuple(
        StageSpec(
            channels=outputs,
            # Our choice: attention "before the final residual block" (A.2) stands before the last stage, as in
            # BigGAN, whose blocks are single; here blocks come in pairs.
            temporal=first_layers if i == 0 else (SeparableSelfAttentionSpec(),) if i == last else (),
        )
        for i, outputs in enumerate(widths[1:])
    )
    return GeneratorSpec(width=width, channels=widths[0], stages=stages)


def discriminators(
    widths: tuple[int, ...], width: int, k: int = 8, scale: int = 2
) -> tuple[DiscriminatorSpec, ...]:
    """The two discriminators of 3.1: ``k`` frames at full size, and the clip pooled by ``scale`` with two
    3-D blocks."""
    # Our choice: plain projection, as A.3 says "projection-based". Luc et al. 2020, E.1 has mixed projection "following
    # DVD-GAN", whose authors told them of it privately.
    body = BodySpec(width=width, channels=widths)
    return (
        DiscriminatorSpec(name="frames", view=FramesSpec(k=k), body=body),
        DiscriminatorSpec(name="clip", view=ClipSpec(scale=scale), body=body.replace(blocks_3d=2)),
    )


def dvd_gan_k600_12x64() -> Experiment:
    """12 frames of 64x64 Kinetics-600, every second frame: the paper's main ablation setting."""
    return Experiment(
        name="dvd-gan-k600-12x64",
        description="DVD-GAN on Kinetics-600: 12 frames, 64x64, every second frame, 600 classes.",
        source="Clark et al. 2019, A.1-A.3, Table 1",
        deviations=DEVIATIONS,
        levels=(
            LevelSpec(
                generator=generator(PIXELS_64, 128),
                discriminators=discriminators(DISCRIMINATOR_64, 128),
                objective=SumThenHingeSpec(),
                frames=12,
                stride=2,
            ),
        ),
        classes=KINETICS_600_CLASSES,
        # Our choice: BigGAN's penalty, with the weight of Luc et al. 2020, E.2. The paper does not name one;
        # SSW-GAN's appendix A does: "Different from DVD-GAN, we do not use [...] orthogonal penalties".
        training=TrainingSpec(orthogonal_penalty=1e-4),
    )


def dvd_gan_k600_48x64() -> Experiment:
    """48 frames: a plain ConvGRU does better, and the generator is half as wide (A.2)."""
    short = dvd_gan_k600_12x64()
    (level,) = short.levels
    return short.replace(
        name="dvd-gan-k600-48x64",
        description="DVD-GAN on Kinetics-600: 48 frames, 64x64, every second frame, 600 classes.",
        levels=(level.replace(generator=generator(PIXELS_64, 64, ConvGRUSpec()), frames=48),),
    )


def dvd_gan_k600_12x128() -> Experiment:
    """128x128: wider lists, a generator half as wide (A.2)."""
    small = dvd_gan_k600_12x64()
    (level,) = small.levels
    large = level.replace(
        generator=generator(PIXELS_128, 64), discriminators=discriminators(DISCRIMINATOR_128, 128)
    )
    return small.replace(
        name="dvd-gan-k600-12x128",
        description="DVD-GAN on Kinetics-600: 12 frames, 128x128, every second frame, 600 classes.",
        levels=(large,),
    )


def dvd_gan_k600_48x128() -> Experiment:
    """48 frames of 128x128."""
    short = dvd_gan_k600_12x128()
    (level,) = short.levels
    return short.replace(
        name="dvd-gan-k600-48x128",
        description="DVD-GAN on Kinetics-600: 48 frames, 128x128, every second frame, 600 classes.",
        levels=(level.replace(generator=generator(PIXELS_128, 64, ConvGRUSpec()), frames=48),),
    )


def dvd_gan_k600_12x256() -> Experiment:
    """256x256: the largest of Table 1; the lists of channels are not printed."""
    small = dvd_gan_k600_12x128()
    (level,) = small.levels
    large = level.replace(
        generator=generator(PIXELS_256, 64), discriminators=discriminators(DISCRIMINATOR_256, 128)
    )
    return small.replace(
        name="dvd-gan-k600-12x256",
        description="DVD-GAN on Kinetics-600: 12 frames, 256x256, every second frame, 600 classes.",
        deviations=(*DEVIATIONS, "lists of channels are BigGAN's for 256x256; the paper prints none"),
        levels=(large,),
    )


def dvd_gan_k600_16x64_noskip() -> Experiment:
    """16 consecutive frames, nothing given: what DVD-GAN-FP is compared with (Table 3, last row)."""
    short = dvd_gan_k600_12x64()
    (level,) = short.levels
    return short.replace(
        name="dvd-gan-k600-16x64-noskip",
        description="DVD-GAN on Kinetics-600: 16 frames, 64x64, no frame skipping, 600 classes.",
        source="Clark et al. 2019, 4.2.1, Table 3",
        levels=(level.replace(frames=16, stride=1),),
    )


def dvd_gan_ucf101_16x128() -> Experiment:
    """UCF-101: the Kinetics model on 16 frames of 128x128 (B.2)."""
    kinetics = dvd_gan_k600_12x128()
    (level,) = kinetics.levels
    # Our choice: "consecutive frames" (A.1); by 2.4, stride 2 is the default, and B.2 names none.
    return kinetics.replace(
        name="dvd-gan-ucf101-16x128",
        description="DVD-GAN on UCF-101: 16 frames, 128x128, 101 classes.",
        source="Clark et al. 2019, 4.1.2 and B.2, Table 2",
        deviations=(
            *DEVIATIONS,
            "consecutive frames (A.1) instead of every second one, the default of 2.4; B.2 does not say",
        ),
        levels=(level.replace(frames=16, stride=1),),
        classes=UCF_101_CLASSES,
    )


def dvd_gan_ucf101_16x64_1gpu() -> Experiment:
    """Not the paper's: UCF-101 at a size that one GPU of 16 GB trains in days; tensors take 14 GB."""
    paper = dvd_gan_k600_12x64()
    (level,) = paper.levels
    training = paper.training.replace(
        steps=100_000,
        batch=BatchSpec(global_batch=64, micro_batch=32),
        average=AverageSpec(decay=0.999, start=5_000),
        standing_statistics=StandingStatisticsSpec(batches=50, clips=64),
    )
    return paper.replace(
        name="dvd-gan-ucf101-16x64-1gpu",
        description="Not the paper's: UCF-101 on one GPU (14 GB): 16 frames, 64x64, half the width.",
        source="Clark et al. 2019, A.1-A.3 and B.2; sizes are ours",
        deviations=(
            "64x64 instead of 128x128; consecutive frames (A.1)",
            "width 64 in generator and discriminators instead of 128",
            "batch 64 instead of 512, in passes of 32 whose batch statistics are their own; 100,000 steps instead of "
            "up to 300,000",
            "moving average with decay 0.999 from step 5,000 instead of 0.9999 from step 20,000",
            "standing statistics are of 50 batches of 64 instead of 100 of 256",
            *paper.deviations,
        ),
        levels=(
            level.replace(
                generator=level.generator.replace(width=64),
                discriminators=discriminators(DISCRIMINATOR_64, 64),
                frames=16,
                stride=1,
            ),
        ),
        classes=UCF_101_CLASSES,
        training=training,
    )


def dvd_gan_fp_k600_16x64() -> Experiment:
    """DVD-GAN-FP: 11 frames of Kinetics-600 given 5, without frame skipping (4.2.1, A.4)."""
    synthesis = dvd_gan_k600_12x64()
    (level,) = synthesis.levels
    encoder = EncoderSpec(body=level.discriminators[0].body, kernel=1, relu=False, skips=True)
    # Our choice: width 64. The encoding has 512 channels and "exactly matches" the recurrent state (A.4), which has
    # 8 * width; A.2 gives width 128 to models of 64x64 and fewer than 48 frames. Both cannot hold.
    given = generator(PIXELS_64, 64).replace(encoder=encoder)
    return synthesis.replace(
        name="dvd-gan-fp-k600-16x64",
        description="DVD-GAN-FP on Kinetics-600: 11 frames given 5, 64x64, no frame skipping, class-free.",
        source="Clark et al. 2019, 4.2.1 and A.4, Table 3",
        deviations=(
            *DEVIATIONS,
            "generator width 64 instead of 128 (A.2), so that the state has the 512 channels of A.4",
            "skip connections join once per stage, paired by resolution; A.4 pairs the i-th blocks",
        ),
        levels=(level.replace(generator=given, frames=11, stride=1, context_frames=5),),
        classes=1,
        conditional=False,
    )


def dvd_gan_fp_bair_16x64() -> Experiment:
    """DVD-GAN-FP on BAIR: 15 frames given one (B.1)."""
    kinetics = dvd_gan_fp_k600_16x64()
    (level,) = kinetics.levels
    # Our choice: stride 1, "consecutive frames" (A.1), as in prediction on Kinetics; B.1 names none.
    return kinetics.replace(
        name="dvd-gan-fp-bair-16x64",
        description="DVD-GAN-FP on BAIR robot pushing: 15 frames given 1, 64x64, class-free.",
        source="Clark et al. 2019, 4.2.2 and B.1, Table 4",
        deviations=(
            *kinetics.deviations,
            "consecutive frames instead of every second one, the default of 2.4; B.1 does not say",
        ),
        levels=(level.replace(frames=15, context_frames=1),),
    )


PHI: tuple[tuple[str, ViewSpec, str], ...] = (
    ("avg2", ClipSpec(scale=2), "pooled by 2x2, as elsewhere"),
    ("avg4", ClipSpec(scale=4), "pooled by 4x4"),
    ("none", ClipSpec(scale=1), "at full size"),
    ("crop", CropSpec(scale=2), "in a random half-sized crop"),
)
"""phi of 4.3: the name, what the clip discriminator sees, and how that is said."""

FRAMES = (1, 2, 8, 10)
"""k of 4.3: frames that the frame discriminator sees."""

NORMS: tuple[tuple[str, NormSpec, NormSpec, str], ...] = (
    ("group", GroupNormSpec(), GroupNormSpec(), "group normalisation everywhere"),
    ("layer", GroupNormSpec(groups=1), GroupNormSpec(groups=1), "layer normalisation everywhere"),
    ("instance", InstanceNormSpec(), InstanceNormSpec(), "instance normalisation everywhere"),
    ("none", NoNormSpec(), NoNormSpec(), "no normalisation at all"),
    (
        "all-frames",
        BatchNormAllFramesSpec(),
        BatchNormAllFramesSpec(),
        "batch normalisation over all frames of all clips",
    ),
    ("none-in-blocks", NoNormSpec(), BatchNormSpec(), "no normalisation in the blocks"),
    ("no-final", BatchNormSpec(), NoNormSpec(), "no last normalisation; fails, says the paper"),
)
"""Normalisations of C: the name, that of the blocks, the last one, and how that is said."""

ABLATION_STEPS = 100_000
"""Length of the runs of 4.3."""


def variant(name: str, description: str, level: LevelSpec, deviations: tuple[str, ...] = ()) -> Experiment:
    """The model for 12 frames of 64x64 with another level."""
    paper = dvd_gan_k600_12x64()
    return paper.replace(
        name=name,
        description=f"DVD-GAN, 12 frames of 64x64: {description}.",
        source="Clark et al. 2019, C",
        deviations=(*paper.deviations, *deviations),
        levels=(level,),
    )


def ablation(name: str, description: str, level: LevelSpec) -> Experiment:
    """One curve of Figure 7: 100,000 steps. The paper trains three of each; give them the seeds 0, 1 and 2."""
    experiment = variant(name, description, level)
    training = experiment.training.replace(steps=ABLATION_STEPS)
    return experiment.replace(source="Clark et al. 2019, 4.3, Figure 7", training=training)


def phi(name: str, view: ViewSpec, words: str) -> Experiment:
    """Another downsampling for the clip discriminator (4.3)."""
    (level,) = dvd_gan_k600_12x64().levels
    frames, clip = level.discriminators
    changed = level.replace(discriminators=(frames, clip.replace(view=view)))
    return ablation(f"dvd-gan-phi-{name}", f"the clip discriminator sees the clip {words}", changed)


def k(count: int) -> Experiment:
    """Another number of frames for the frame discriminator (4.3)."""
    (level,) = dvd_gan_k600_12x64().levels
    frames, clip = level.discriminators
    changed = level.replace(discriminators=(frames.replace(view=FramesSpec(k=count)), clip))
    return ablation(f"dvd-gan-k{count}", f"the frame discriminator sees k = {count} of them", changed)


def norm(name: str, blocks: NormSpec, final: NormSpec, words: str) -> Experiment:
    """Another normalisation in the generator (C).

    Our choice: what replaces batch normalisation replaces the last one too, unless C says otherwise, and gains and
    biases stay where nothing is normalised: they are how noise and class reach a block. C prints no number of steps, so
    it is that of the main models.
    """
    (level,) = dvd_gan_k600_12x64().levels
    generator = level.generator.replace(norm=blocks, final_norm=final)
    return variant(f"dvd-gan-norm-{name}", words, level.replace(generator=generator))


UNITS: tuple[tuple[str, UnitSpec, str], ...] = (
    ("multiplicative", MultiplicativeConvGRUSpec(), "a multiplicative ConvGRU"),
    ("convgru", ConvGRUSpec(), "a plain ConvGRU"),
)
"""Recurrent units that A.2 compares: the name, the unit, and how it is said."""

UNIT_MODELS: tuple[Callable[[], Experiment], ...] = (dvd_gan_k600_12x64, dvd_gan_k600_48x64)
"""The models of A.2's comparison: fewer than 48 frames, and 48."""


def unit_of(paper: Callable[[], Experiment], name: str, unit: UnitSpec, words: str) -> Experiment:
    """A recurrent unit at a number of frames (A.2); all else, the steps too, as in the main model of that length."""
    main = paper()
    (level,) = main.levels
    first, *others = level.generator.stages
    _, *after = first.temporal
    stages = (first.replace(temporal=(RecurrentSpec(unit=unit), *after)), *others)
    size = f"{level.frames}x{level.size}"
    return main.replace(
        name=f"dvd-gan-unit-{name}-{size}",
        description=f"DVD-GAN, {level.frames} frames of 64x64: the recurrent unit is {words}.",
        source="Clark et al. 2019, A.2",
        levels=(level.replace(generator=level.generator.replace(stages=stages)),),
    )


def deep_blocks() -> Experiment:
    """The residual blocks of BigGAN-deep (C)."""
    (level,) = dvd_gan_k600_12x64().levels
    kind = BigGANDeepBlocksSpec()
    stages = tuple(stage.replace(residual=kind) for stage in level.generator.stages)
    discriminators = tuple(
        discriminator.replace(body=discriminator.body.replace(residual=kind))
        for discriminator in level.discriminators
    )
    return variant(
        "dvd-gan-deep-blocks",
        "residual blocks of BigGAN-deep in generator and discriminators",
        level.replace(generator=level.generator.replace(stages=stages), discriminators=discriminators),
        (
            "numbers of blocks and widths stay those of A.2, and discriminators have no convolution of "
            "pixels before their "
            "first block; C names the blocks alone",
        ),
    )


ALL: tuple[Callable[[], Experiment], ...] = (
    *(partial(phi, *row) for row in PHI),
    *(partial(k, count) for count in FRAMES),
    *(partial(norm, *row) for row in NORMS),
    deep_blocks,
    *(partial(unit_of, paper, *row) for paper in UNIT_MODELS for row in UNITS),
)
"""Every variant."""
