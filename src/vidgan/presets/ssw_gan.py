"""SSW-GAN: its cascades and its own baselines."""

from vidgan.models.discriminator import BodySpec, DiscriminatorSpec
from vidgan.models.generator import GeneratorSpec, StageSpec
from vidgan.models.level import LevelSpec
from vidgan.models.losses import HingeJoinedSpec
from vidgan.models.views import ClipSpec, FramesSpec, MatchingPairSpec
from vidgan.nn.recurrent import ConvGRUSpec
from vidgan.nn.temporal import RecurrentSpec, SeparableConvolutionSpec, TemporalSpec
from vidgan.presets.dvd_gan import DISCRIMINATOR_64, DISCRIMINATOR_128, KINETICS_600_CLASSES
from vidgan.run.experiment import AdamSpec, Experiment, StandingStatisticsSpec, TrainingSpec

UNITS_32 = (8, 8, 4, 2)
"""Widths of the units of the first stage (B.1)."""
# Our choice for 64x64 on Kinetics-600: the first four of B.2's widths, which are those of B.1.
UNITS_64 = (8, 8, 4, 2)
"""Widths of the units of an upsampling stage to 64x64."""
UNITS_128 = (8, 8, 4, 2, 1)
"""Widths of the units of the upsampling stage (B.2)."""

RECURRENT = RecurrentSpec(unit=ConvGRUSpec())
FRAMES = 8
"""Frames that the frame discriminator sees (B.1)."""

DEVIATIONS = (
    "shortcuts of 2-D and 3-D blocks are 1x1 convolutions of each frame; A names 3x3 and 3x3x3 alone",
    "the first block of a discriminator does not rectify pixels, as BigGAN's; B.1 puts a ReLU before every convolution",
    "the generator's class embedding has no spectral normalisation, as BigGAN's; A has it on all weights",
)
"""Where all presets of this file leave the paper's words; docs/papers.md has what the paper leaves open."""
ALL_FRAMES = "the frame discriminator sees all 6 frames; B.1 draws 8"


def generator(widths: tuple[int, ...], width: int, side: int, temporal: TemporalSpec) -> GeneratorSpec:
    """A stack of units, all but the last upsampling (B.1); the map starts at output / 2^(units - 1)."""
    last = len(widths) - 1
    stages = tuple(
        StageSpec(channels=outputs, temporal=(temporal,), upsample=i != last)
        for i, outputs in enumerate(widths)
    )
    return GeneratorSpec(latent=128, embedding=128, width=width, side=side, channels=widths[0], stages=stages)


def discriminators(widths: tuple[int, ...], width: int, k: int = FRAMES) -> tuple[DiscriminatorSpec, ...]:
    """Frames at full size and the clip pooled by two (B.1)."""
    body = BodySpec(width=width, channels=widths)
    return (
        DiscriminatorSpec(name="frames", view=FramesSpec(k=k), body=body),
        DiscriminatorSpec(name="clip", view=ClipSpec(scale=2), body=body.replace(blocks_3d=2)),
    )


def upsampling_discriminators(
    widths: tuple[int, ...], width: int, k: int = FRAMES
) -> tuple[DiscriminatorSpec, ...]:
    """The two of the first stage and the discriminator of pairs, the clip discriminator's body on both videos (B.2)."""
    body = BodySpec(width=width, channels=widths, blocks_3d=2)
    return (
        *discriminators(widths, width, k),
        DiscriminatorSpec(name="matching", view=MatchingPairSpec(), body=body),
    )


def without_matching(level: LevelSpec) -> LevelSpec:
    """The same level without the discriminator of pairs ("No MD" in Table 2)."""
    return level.replace(
        discriminators=tuple(
            discriminator for discriminator in level.discriminators if discriminator.name != "matching"
        )
    )


def shorter(level: LevelSpec) -> LevelSpec:
    """Windows of 6 frames, so of 3 frames of the level below (5.1)."""
    # Our choice: all frames of such a window are seen; the 8 of B.1 are not there.
    frames, *others = level.discriminators
    return level.replace(window=6, discriminators=(frames.replace(view=FramesSpec(k=6)), *others))


def ssw_gan_k600_48x128() -> Experiment:
    """Two stages on Kinetics-600: 32x32/25, then windows of 128x128/12; 128x128/50 when unrolled (5.1, B)."""
    first = LevelSpec(
        generator=generator(UNITS_32, 128, 4, RECURRENT),
        discriminators=discriminators(DISCRIMINATOR_64, 128),
        objective=HingeJoinedSpec(),
        frames=25,
        stride=8,
    )
    second = LevelSpec(
        generator=generator(UNITS_128, 128, 8, SeparableConvolutionSpec()),
        discriminators=upsampling_discriminators(DISCRIMINATOR_128, 96),
        objective=HingeJoinedSpec(),
        frames=50,
        stride=4,
        window=12,
    )
    return Experiment(
        name="ssw-gan-k600-48x128",
        description="SSW-GAN on Kinetics-600: 32x32/25, windows of 128x128/12; 50 frames.",
        source="SSW-GAN, 5.1 and B, Table 1",
        deviations=DEVIATIONS,
        levels=(first, second),
        classes=KINETICS_600_CLASSES,
        training=TrainingSpec(
            steps=300_000,
            adam=AdamSpec(generator_rate=1e-4, discriminator_rate=5e-4),
            average=None,
            # Our choice: statistics of a batch are of a process's clips, 4 on each of the paper's GPUs, as it does not
            # say that they are shared; its successor CVG shares them.
            # Our choice: 32 clips per pass; A prints 200 passes and no number of clips.
            standing_statistics=StandingStatisticsSpec(batches=200, clips=32),
        ),
    )


def ssw_gan_k600_48x128_window3() -> Experiment:
    """Windows of 3 frames become 128x128/6 (5.1: the impact of the window)."""
    paper = ssw_gan_k600_48x128()
    first, second = paper.levels
    return paper.replace(
        name="ssw-gan-k600-48x128-window3",
        description="SSW-GAN on Kinetics-600 with windows of 3 frames: 32x32/25, then 128x128/6; 50 frames.",
        deviations=(*DEVIATIONS, ALL_FRAMES),
        levels=(first, shorter(second)),
    )


def ssw_gan_k600_48x128_no_matching() -> Experiment:
    """The ablation of Table 2, 128x128/6 for 100,000 steps.

    Its counterpart with the discriminator is ``ssw-gan-k600-48x128-window3 --steps 100000``.
    """
    windows = ssw_gan_k600_48x128_window3()
    first, second = windows.levels
    return windows.replace(
        name="ssw-gan-k600-48x128-no-matching",
        description="SSW-GAN on Kinetics-600, windows of 3 frames, without the matching discriminator; 100,000 steps.",
        source="SSW-GAN, 5.1, Table 2",
        levels=(first, without_matching(second)),
        training=windows.training.replace(steps=100_000),
    )


def ssw_gan_k600_48x128_convgru() -> Experiment:
    """A ConvGRU in every unit of the second stage instead of separable convolutions (C, Figure 6)."""
    paper = ssw_gan_k600_48x128()
    first, second = paper.levels
    return paper.replace(
        name="ssw-gan-k600-48x128-convgru",
        description="SSW-GAN on Kinetics-600, the second level with ConvGRUs; 100,000 steps.",
        source="SSW-GAN, C, Figure 6",
        levels=(first, second.replace(generator=generator(UNITS_128, 128, 8, RECURRENT))),
        # Our choice: as long as the ablations of 5.1, and with their main model's windows; C prints neither.
        training=paper.training.replace(steps=100_000),
    )


def ssw_dvd_gan_k600_6x128() -> Experiment:
    """The paper's own DVD-GAN, a ConvGRU in every unit, on 6 frames (Figure 3, Table 2)."""
    cascade = ssw_gan_k600_48x128_no_matching()
    _, second = cascade.levels
    # Our choice: widths, frames' distance and starting map of the second stage, whose clips it is compared on.
    level = second.replace(generator=generator(UNITS_128, 128, 8, RECURRENT), frames=6, window=None)
    return cascade.replace(
        name="ssw-dvd-gan-k600-6x128",
        description="SSW-GAN's re-implementation of DVD-GAN on Kinetics-600: 6 frames of 128x128, one level.",
        source="SSW-GAN, 5.1, Figure 3, Table 2",
        levels=(level,),
    )


def ssw_dvd_gan_k600_50x128() -> Experiment:
    """The same on 50 frames: what Table 3 measures."""
    short = ssw_dvd_gan_k600_6x128()
    (level,) = short.levels
    return short.replace(
        name="ssw-dvd-gan-k600-50x128",
        description="SSW-GAN's own DVD-GAN on Kinetics-600: 50 frames of 128x128.",
        source="SSW-GAN, 5.1, Table 3",
        deviations=DEVIATIONS,
        levels=(level.replace(frames=50, discriminators=discriminators(DISCRIMINATOR_128, 96)),),
        # "41 days" at 4 x 2.975 s per step are 300,000 steps (Table 3).
        training=short.training.replace(steps=300_000),
    )


def ssw_gan_joint_12x64() -> Experiment:
    """Both stages trained together, end to end, on the second one's output alone (H): 32x32/6, then 64x64/6.

    With discriminators on both levels and on pairs, which H suggests, any cascade trains so by ``--joint True``.
    """
    paper = ssw_gan_k600_48x128()
    first, second = paper.levels
    # Our choice: frames' distance and training of the main model, and the widths that its discriminators have at 64x64.
    top = shorter(second).replace(
        generator=generator(UNITS_64, 128, 8, SeparableConvolutionSpec()),
        discriminators=discriminators(DISCRIMINATOR_64, 96, k=6),
        frames=12,
    )
    return paper.replace(
        name="ssw-gan-joint-12x64",
        description="SSW-GAN on Kinetics-600, levels end to end: 32x32/6, windows of 64x64/6.",
        source="SSW-GAN, H, Figure 13",
        deviations=(*DEVIATIONS, ALL_FRAMES),
        levels=(first.replace(discriminators=(), frames=6), top),
        joint=True,
    )


BDD_UNITS_128 = (8, 4, 4, 2, 2)
"""Widths of the units of the upsampling stage on BDD100K (B.2)."""
BDD_DISCRIMINATOR_128 = (1, 2, 4, 8, 8, 16)
"""Discriminator widths after each block on BDD100K (B.2)."""
# Our choice: the stage to 64x64 takes the first units, and all but the discriminators' first block; B.2
# prints none for it.
BDD_UNITS_64 = BDD_UNITS_128[:-1]
BDD_DISCRIMINATOR_64 = BDD_DISCRIMINATOR_128[1:]


def on_bdd100k(level: LevelSpec) -> LevelSpec:
    """The upsampling stage to 128x128 as BDD100K has it (B.2)."""
    return level.replace(
        generator=generator(BDD_UNITS_128, 96, 8, SeparableConvolutionSpec()),
        discriminators=upsampling_discriminators(BDD_DISCRIMINATOR_128, 64),
    )


def ssw_gan_bdd100k_6x128() -> Experiment:
    """Two stages: 32x32/25, then windows of 128x128/6 (Table 2)."""
    # Our choice: sizes and lengths of 5.1, which speaks of "all experiments" and makes the 50 frames of Table 2.
    # B.2 says that the models of BDD100K upsample 64x64, as the last of three stages does; its widths are taken.
    kinetics = ssw_gan_k600_48x128()
    first, second = kinetics.levels
    return kinetics.replace(
        name="ssw-gan-bdd100k-6x128",
        description="SSW-GAN on BDD100K, class-free: 32x32/25, then windows of 128x128/6; 50 frames.",
        source="SSW-GAN, Table 2; sizes of 5.1, widths of B.2",
        deviations=(
            *DEVIATIONS,
            ALL_FRAMES,
            "the second level upsamples 32x32, by 5.1; B.2's models of BDD100K upsample 64x64",
        ),
        levels=(first, shorter(on_bdd100k(second))),
        classes=1,
        conditional=False,
        training=kinetics.training.replace(steps=35_000),
    )


def ssw_gan_bdd100k_6x128_no_matching() -> Experiment:
    """The same without the discriminator of pairs."""
    paper = ssw_gan_bdd100k_6x128()
    first, second = paper.levels
    return paper.replace(
        name="ssw-gan-bdd100k-6x128-no-matching",
        description="SSW-GAN on BDD100K, windows of 128x128/6, without the matching discriminator.",
        levels=(first, without_matching(second)),
    )


def ssw_gan_bdd100k_100x128() -> Experiment:
    """Three stages: 32x32/25, windows of 64x64/12, windows of 128x128/12; 128x128/100 when unrolled (5.2)."""
    two = ssw_gan_bdd100k_6x128()
    first, last = two.levels
    middle = LevelSpec(
        generator=generator(BDD_UNITS_64, 96, 8, SeparableConvolutionSpec()),
        discriminators=upsampling_discriminators(BDD_DISCRIMINATOR_64, 64),
        objective=last.objective,
        frames=50,
        stride=4,
        window=12,
    )
    top = last.replace(
        frames=100, stride=2, window=12, discriminators=upsampling_discriminators(BDD_DISCRIMINATOR_128, 64)
    )
    return two.replace(
        name="ssw-gan-bdd100k-100x128",
        description="SSW-GAN on BDD100K, three levels: 32x32/25, 64x64/50, 128x128/100, windows of 12.",
        source="SSW-GAN, 5.2 and B, Figure 5",
        deviations=DEVIATIONS,
        levels=(first, middle, top),
    )
