"""SSW-GAN on BDD100K: two and three levels, without classes."""

from vidgan.models.level import LevelSpec
from vidgan.nn.temporal import SeparableConvolution
from vidgan.presets.ssw_gan import (
    ALL_FRAMES,
    DEVIATIONS,
    generator,
    shorter,
    ssw_gan_k600_48x128,
    upsampling_critics,
    without_matching,
)
from vidgan.run.experiment import Experiment

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
