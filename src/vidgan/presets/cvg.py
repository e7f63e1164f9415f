"""CVG (Castrejon, Ballas and Courville), the successor of SSW-GAN: bilinear views, other lengths, up to 256x256.

Our choice: what its text leaves to an appendix that we do not have is SSW-GAN's at the same resolution, B.1 and B.2;
so is the deviation of the noise, 0.5 for figures and 1 for scores (D).
"""

from vidgan.models.level import LevelSpec
from vidgan.nn.temporal import SeparableConvolutionSpec
from vidgan.presets.dvd_gan import DISCRIMINATOR_64, UCF_101_CLASSES
from vidgan.presets.ssw_gan import (
    ALL_FRAMES,
    BDD_DISCRIMINATOR_128,
    BDD_UNITS_128,
    DEVIATIONS,
    RECURRENT,
    discriminators,
    generator,
    on_bdd100k,
    shorter,
    ssw_gan_k600_48x128,
    upsampling_discriminators,
    without_matching,
)
from vidgan.run.batch import BatchSpec
from vidgan.run.experiment import Experiment

EARLY = (
    "all steps are trained unless --reporting.best.protocol and --reporting.best.patience stop a level early; CVG does "
    'so "if the metrics for a model stop improving"',
)
"""What all presets of this file leave to options."""

# Our choice: 64x64 at the first level is DVD-GAN's list, and 256x256 continues SSW-GAN's 128x128 by a unit, as
# BigGAN's lists do by a block; neither is in the text.
FIRST_64 = (8, 8, 8, 4, 2)
"""Widths of the units of a first level of 64x64."""
BDD_UNITS_256 = (*BDD_UNITS_128, 1)
"""Widths of the units of the level to 256x256 on BDD100K."""
BDD_DISCRIMINATOR_256 = (*BDD_DISCRIMINATOR_128, 16)
"""Discriminator widths after each block of the level to 256x256 on BDD100K."""


def to_64(first: LevelSpec) -> LevelSpec:
    """A first level that makes 64x64 instead of 32x32."""
    return first.replace(
        generator=generator(FIRST_64, 128, 4, RECURRENT), discriminators=discriminators(DISCRIMINATOR_64, 128)
    )


def cvg_k600_48x128() -> Experiment:
    """Two levels on Kinetics-600: 24/32x32 at stride 4, then windows of 12/128x128; 48 frames when unrolled."""
    ssw = ssw_gan_k600_48x128()
    first, second = ssw.levels
    return ssw.replace(
        name="cvg-k600-48x128",
        description="CVG on Kinetics-600: 24/32x32, then windows of 12/128x128, matching discriminator; 48 frames.",
        source="CVG, Kinetics-600, Table 1",
        deviations=(*DEVIATIONS, *EARLY),
        levels=(first.replace(frames=24, stride=4), second.replace(frames=48, stride=2)),
        smooth_views=True,
        training=ssw.training.replace(batch=BatchSpec(sync_batch_norm=True)),
    )


def cvg_k600_48x128_window3() -> Experiment:
    """Windows of 3 frames instead of 6 (Table 4)."""
    paper = cvg_k600_48x128()
    first, second = paper.levels
    return paper.replace(
        name="cvg-k600-48x128-window3",
        description="CVG on Kinetics-600 with windows of 3 frames: 24/32x32, then 6/128x128; 48 frames.",
        source="CVG, temporal window ablation, Table 4",
        deviations=(*DEVIATIONS, *EARLY, ALL_FRAMES),
        levels=(first, shorter(second)),
    )


def cvg_k600_48x128_no_matching() -> Experiment:
    """Windows of 3 frames, without the discriminator of pairs (Table 3)."""
    windows = cvg_k600_48x128_window3()
    first, second = windows.levels
    return windows.replace(
        name="cvg-k600-48x128-no-matching",
        description="CVG on Kinetics-600, windows of 3 frames, without the matching discriminator.",
        source="CVG, matching discriminator ablation, Table 3",
        levels=(first, without_matching(second)),
    )


def cvg_ucf101_16x128() -> Experiment:
    """Two levels on UCF-101: 8/64x64 at stride 2, then whole clips of 16/128x128."""
    kinetics = cvg_k600_48x128()
    first, second = kinetics.levels
    small = to_64(first).replace(frames=8, stride=2)
    return kinetics.replace(
        name="cvg-ucf101-16x128",
        description="CVG on UCF-101: 8/64x64, then 16/128x128 without windows.",
        source="CVG, UCF101, Table 2",
        levels=(small, second.replace(frames=16, stride=1, window=None)),
        classes=UCF_101_CLASSES,
        training=kinetics.training.replace(steps=100_000),
    )


def cvg_bdd100k_6x128() -> Experiment:
    """Two levels on BDD100K without classes, as the ablation on Kinetics-600 (Table 3)."""
    # Our choice: sizes, lengths and stride of the ablation on Kinetics-600; of the models on BDD100K the text has the
    # scores alone, and describes another one, of three levels from 64x64.
    kinetics = cvg_k600_48x128()
    first, second = kinetics.levels
    return kinetics.replace(
        name="cvg-bdd100k-6x128",
        description="CVG on BDD100K, class-free: 24/32x32, then windows of 6/128x128; 48 frames.",
        source="CVG, matching discriminator ablation, Table 3",
        deviations=(*DEVIATIONS, *EARLY, ALL_FRAMES),
        levels=(first, shorter(on_bdd100k(second))),
        classes=1,
        conditional=False,
        # Our choice: 256, which the text prints for the model of 256x256; "all CVG models" have 512 by the same text.
        training=kinetics.training.replace(
            steps=100_000, batch=BatchSpec(global_batch=256, sync_batch_norm=True)
        ),
    )


def cvg_bdd100k_6x128_no_matching() -> Experiment:
    """The same without the discriminator of pairs."""
    paper = cvg_bdd100k_6x128()
    first, second = paper.levels
    return paper.replace(
        name="cvg-bdd100k-6x128-no-matching",
        description="CVG on BDD100K, windows of 6/128x128, without the matching discriminator.",
        levels=(first, without_matching(second)),
    )


def cvg_bdd100k_48x256() -> Experiment:
    """Three levels on BDD100K: 12/64x64 at stride 8, windows of 12/128x128 and of 12/256x256; 48 frames."""
    two = cvg_bdd100k_6x128()
    first, second = two.levels
    small = to_64(first).replace(frames=12, stride=8)
    middle = second.replace(
        frames=24, stride=4, window=12, discriminators=upsampling_discriminators(BDD_DISCRIMINATOR_128, 64)
    )
    top = middle.replace(
        generator=generator(BDD_UNITS_256, 96, 8, SeparableConvolutionSpec()),
        discriminators=upsampling_discriminators(BDD_DISCRIMINATOR_256, 64),
        frames=48,
        stride=2,
    )
    return two.replace(
        name="cvg-bdd100k-48x256",
        description="CVG on BDD100K, three levels: 12/64x64, 24/128x128, 48/256x256, windows of 12.",
        source="CVG, scaling up for BDD100K, Figure 4",
        deviations=(*DEVIATIONS, *EARLY),
        levels=(small, middle, top),
    )
