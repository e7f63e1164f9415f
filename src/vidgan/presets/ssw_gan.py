"""SSW-GAN: its cascades and its own baselines."""

from vidgan.models.discriminator import BodySpec, CriticSpec
from vidgan.models.generator import GeneratorSpec, StageSpec
from vidgan.models.level import LevelSpec
from vidgan.models.losses import HingeJoined
from vidgan.models.views import Clip, Frames, MatchingPair
from vidgan.nn.recurrent import ConvGRU
from vidgan.nn.temporal import Recurrent, SeparableConvolution, TemporalSpec
from vidgan.presets.dvd_gan import CRITIC_64, CRITIC_128, KINETICS_600_CLASSES
from vidgan.run.experiment import AdamSpec, Experiment, SettleSpec, TrainingSpec

UNITS_32 = (8, 8, 4, 2)
"""Widths of the units of the first stage (B.1)."""
# Our choice for 64x64 on Kinetics-600: the first four of B.2's widths, which are those of B.1.
UNITS_64 = (8, 8, 4, 2)
"""Widths of the units of an upsampling stage to 64x64."""
UNITS_128 = (8, 8, 4, 2, 1)
"""Widths of the units of the upsampling stage (B.2)."""

RECURRENT = Recurrent(unit=ConvGRU())
FRAMES = 8
"""Frames that the frame critic sees (B.1)."""

DEVIATIONS = (
    "shortcuts of 3-D blocks in critics are 1x1 convolutions of each frame; A names 3x3 and 3x3x3 alone",
    "the first block of a critic does not rectify pixels, as BigGAN's; B.1 puts a ReLU before every convolution",
    "the generator's class embedding has no spectral normalisation, as BigGAN's; A has it on all weights",
)
"""Where all presets of this file leave the paper's words; docs/papers.md has what the paper leaves open."""
ALL_FRAMES = "the frame critic sees all 6 frames; B.1 draws 8"


def generator(widths: tuple[int, ...], width: int, side: int, temporal: TemporalSpec) -> GeneratorSpec:
    """A stack of units, all but the last upsampling (B.1); the map starts at output / 2^(units - 1)."""
    last = len(widths) - 1
    stages = tuple(
        StageSpec(channels=outputs, temporal=(temporal,), upsample=i != last)
        for i, outputs in enumerate(widths)
    )
    return GeneratorSpec(latent=128, embedding=128, width=width, side=side, channels=widths[0], stages=stages)


def critics(widths: tuple[int, ...], width: int, k: int = FRAMES) -> tuple[CriticSpec, ...]:
    """Frames at full size and the clip pooled by two (B.1)."""
    body = BodySpec(width=width, channels=widths)
    return (
        CriticSpec(name="frames", view=Frames(k=k), body=body),
        CriticSpec(name="clip", view=Clip(scale=2), body=body.replace(volume_blocks=2)),
    )


def upsampling_critics(widths: tuple[int, ...], width: int, k: int = FRAMES) -> tuple[CriticSpec, ...]:
    """The two of the first stage and the critic of pairs, the clip critic's body on both videos (B.2)."""
    body = BodySpec(width=width, channels=widths, volume_blocks=2)
    return (*critics(widths, width, k), CriticSpec(name="matching", view=MatchingPair(), body=body))


def without_matching(level: LevelSpec) -> LevelSpec:
    """The same level without the critic of pairs ("No MD" in Table 2)."""
    return level.replace(critics=tuple(critic for critic in level.critics if critic.name != "matching"))


def shorter(level: LevelSpec) -> LevelSpec:
    """Windows of 6 frames, so of 3 frames of the level below (5.1)."""
    # Our choice: all frames of such a window are seen; the 8 of B.1 are not there.
    frames, *others = level.critics
    return level.replace(window=6, critics=(frames.replace(view=Frames(k=6)), *others))


def ssw_gan_k600_48x128() -> Experiment:
    """Two stages on Kinetics-600: 32x32/25, then windows of 128x128/12; 128x128/50 when unrolled (5.1, B)."""
    first = LevelSpec(
        generator=generator(UNITS_32, 128, 4, RECURRENT),
        critics=critics(CRITIC_64, 128),
        objective=HingeJoined(),
        frames=25,
        stride=8,
    )
    second = LevelSpec(
        generator=generator(UNITS_128, 128, 8, SeparableConvolution()),
        critics=upsampling_critics(CRITIC_128, 96),
        objective=HingeJoined(),
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
            adam=AdamSpec(generator_rate=1e-4, critic_rate=5e-4),
            average=None,
            # Our choice: 32 clips per pass; A prints 200 passes and no number of clips.
            settle=SettleSpec(batches=200, clips=32),
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

    Its counterpart with the critic is ``ssw-gan-k600-48x128-window3 --steps 100000``.
    """
    windows = ssw_gan_k600_48x128_window3()
    first, second = windows.levels
    return windows.replace(
        name="ssw-gan-k600-48x128-no-matching",
        description="SSW-GAN on Kinetics-600, windows of 3 frames, without the matching critic; 100,000 steps.",
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
        levels=(level.replace(frames=50, critics=critics(CRITIC_128, 96)),),
        # "41 days" at 4 x 2.975 s per step are 300,000 steps (Table 3).
        training=short.training.replace(steps=300_000),
    )


def ssw_gan_joint_12x64() -> Experiment:
    """Both stages trained together, end to end, on the second one's output alone (H): 32x32/6, then 64x64/6.

    With critics on both levels and on pairs, which H suggests, any cascade trains so by ``--joint True``.
    """
    paper = ssw_gan_k600_48x128()
    first, second = paper.levels
    # Our choice: frames' distance and training of the main model, and the widths that its critics have at 64x64.
    top = shorter(second).replace(
        generator=generator(UNITS_64, 128, 8, SeparableConvolution()),
        critics=critics(CRITIC_64, 96, k=6),
        frames=12,
    )
    return paper.replace(
        name="ssw-gan-joint-12x64",
        description="SSW-GAN on Kinetics-600, levels end to end: 32x32/6, windows of 64x64/6.",
        source="SSW-GAN, H, Figure 13",
        deviations=(*DEVIATIONS, ALL_FRAMES),
        levels=(first.replace(critics=(), frames=6), top),
        joint=True,
    )


BDD_UNITS_128 = (8, 4, 4, 2, 2)
"""Widths of the units of the upsampling stage on BDD100K (B.2)."""
BDD_CRITIC_128 = (1, 2, 4, 8, 8, 16)
"""Critic widths after each block on BDD100K (B.2)."""
# Our choice: the stage to 64x64 takes the first units, and all but the critics' first block; B.2 prints none for it.
BDD_UNITS_64 = BDD_UNITS_128[:-1]
BDD_CRITIC_64 = BDD_CRITIC_128[1:]


def on_bdd100k(level: LevelSpec) -> LevelSpec:
    """The upsampling stage to 128x128 as BDD100K has it (B.2)."""
    return level.replace(
        generator=generator(BDD_UNITS_128, 96, 8, SeparableConvolution()),
        critics=upsampling_critics(BDD_CRITIC_128, 64),
    )


def ssw_gan_bdd100k_6x128() -> Experiment:
    """Two stages: 32x32/25, then windows of 128x128/6 (Table 2)."""
    kinetics = ssw_gan_k600_48x128()
    first, second = kinetics.levels
    return kinetics.replace(
        name="ssw-gan-bdd100k-6x128",
        description="SSW-GAN on BDD100K, class-free: 32x32/25, then windows of 128x128/6; 50 frames.",
        source="SSW-GAN, 5.1 and B, Table 2",
        deviations=(*DEVIATIONS, ALL_FRAMES),
        levels=(first, shorter(on_bdd100k(second))),
        classes=1,
        conditional=False,
        training=kinetics.training.replace(steps=35_000),
    )


def ssw_gan_bdd100k_6x128_no_matching() -> Experiment:
    """The same without the critic of pairs."""
    paper = ssw_gan_bdd100k_6x128()
    first, second = paper.levels
    return paper.replace(
        name="ssw-gan-bdd100k-6x128-no-matching",
        description="SSW-GAN on BDD100K, windows of 128x128/6, without the matching critic.",
        levels=(first, without_matching(second)),
    )


def ssw_gan_bdd100k_100x128() -> Experiment:
    """Three stages: 32x32/25, windows of 64x64/12, windows of 128x128/12; 128x128/100 when unrolled (5.2)."""
    two = ssw_gan_bdd100k_6x128()
    first, last = two.levels
    middle = LevelSpec(
        generator=generator(BDD_UNITS_64, 96, 8, SeparableConvolution()),
        critics=upsampling_critics(BDD_CRITIC_64, 64),
        objective=last.objective,
        frames=50,
        stride=4,
        window=12,
    )
    top = last.replace(frames=100, stride=2, window=12, critics=upsampling_critics(BDD_CRITIC_128, 64))
    return two.replace(
        name="ssw-gan-bdd100k-100x128",
        description="SSW-GAN on BDD100K, three levels: 32x32/25, 64x64/50, 128x128/100, windows of 12.",
        source="SSW-GAN, 5.2 and B, Figure 5",
        deviations=DEVIATIONS,
        levels=(first, middle, top),
    )
