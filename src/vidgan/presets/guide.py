"""Training Large-Scale Video GANs (Du 2020, MSc thesis): its final model, the one that turns dark, and variants."""

from collections.abc import Callable
from functools import partial

from vidgan.data.filters import Area
from vidgan.models.discriminator import BodySpec, DiscriminatorSpec
from vidgan.models.generator import GeneratorSpec, StageSpec
from vidgan.models.level import LevelSpec
from vidgan.models.losses import HingeEachSpec, PixelLossSpec, SumThenHingeSpec
from vidgan.models.views import ClipSpec, FramesSpec
from vidgan.nn.blocks import Plain3dBlocksSpec
from vidgan.nn.layers import NormalSpec
from vidgan.nn.recurrent import ConvGRUSpec
from vidgan.nn.temporal import RecurrentSpec, SelfAttentionSpec, SeparableSelfAttentionSpec
from vidgan.presets.dvd_gan import DISCRIMINATOR_64, UCF_101_CLASSES
from vidgan.run.batch import BatchSpec
from vidgan.run.experiment import AdamSpec, Experiment, TrainingSpec

KINETICS_400_CLASSES = 400
WIDTH = 64
"""Channel multiplier of generator and discriminators (table 4.1)."""
PIXELS = (8, 8, 8, 4, 2, 1)
"""Generator widths at stage boundaries (table 3.1); the last stage keeps 64x64."""
CLIP_DISCRIMINATOR = (1, 2, 4, 8)
"""Clip discriminator widths after each block (table 3.3); those of the frame discriminator (table 3.2) are
DVD-GAN's."""

PIXEL_LOSSES: tuple[tuple[str, float, int], ...] = (
    ("2-at-50k", 2.0, 50_000),
    ("1-at-50k", 1.0, 50_000),
    ("0.5-at-50k", 0.5, 50_000),
    ("0.5-at-0", 0.5, 0),
)
"""Curves of Figure 4.7: the name, the weight alpha and the step from which the pixel loss counts."""

DEVIATIONS = (
    "shortcuts of 3-D blocks stay 1x1 convolutions of each frame; the thesis prints no kernels",
    "the generator's class embedding has no spectral normalisation, as BigGAN's; 3.2 has it on all weight layers",
    "gains and biases of batch normalisation are shared by all steps; 3.2 folds time into its channels, which may give "
    "each step its own",
    "a batch is normalised whole; on the thesis's 8 GPUs each may have had statistics of its own",
)
"""What all presets of this file change or leave open; docs/guide.md has the rest."""


def generator() -> GeneratorSpec:
    """Table 3.1: one ResBlock per resolution and one at the end, from the output of a ConvGRU and attention at 4x4."""
    # "Separable attention is only used in G at resolution 32" (4.2): before the block that sees 32x32.
    temporal = {
        0: (RecurrentSpec(unit=ConvGRUSpec()), SelfAttentionSpec()),
        3: (SeparableSelfAttentionSpec(time_first=True),),
    }
    last = len(PIXELS) - 2
    stages = tuple(
        StageSpec(channels=outputs, blocks=1, upsample=i != last, temporal=temporal.get(i, ()))
        for i, outputs in enumerate(PIXELS[1:])
    )
    return GeneratorSpec(latent=128, embedding=128, width=WIDTH, channels=PIXELS[0], stages=stages)


def discriminators(clip: BodySpec) -> tuple[DiscriminatorSpec, ...]:
    """Tables 3.2 and 3.3: 8 frames at full size, and the clip pooled by 2x2 for the body ``clip``."""
    return (
        DiscriminatorSpec(
            name="frames", view=FramesSpec(k=8), body=BodySpec(width=WIDTH, channels=DISCRIMINATOR_64)
        ),
        DiscriminatorSpec(name="clip", view=ClipSpec(scale=2), body=clip),
    )


CURED = BodySpec(width=WIDTH, channels=CLIP_DISCRIMINATOR, blocks_3d=2, halve_time=True)
"""The clip discriminator of table 3.3, with time in the batch."""


def guide_k400_12x64() -> Experiment:
    """The final model: a hinge per frame, and a clip discriminator with time folded into the batch (4.5, 4.7)."""
    return Experiment(
        name="guide-k400-12x64",
        description="The thesis's final DVD-GAN on Kinetics-400: 12 frames, 64x64.",
        source="Du 2020, tables 3.1-3.3 and 4.1, Eq. 4.3, 4.5-4.7",
        deviations=DEVIATIONS,
        levels=(
            LevelSpec(
                generator=generator(),
                discriminators=discriminators(CURED),
                # Our choice: a hinge per step of the clip discriminator too, as per frame. Eq. 4.3 writes
                # one D_T(x), but with time in the batch each of its 3 steps has a score, and the thesis does
                # not say how they are reduced.
                objective=HingeEachSpec(),
                frames=12,
                stride=2,
            ),
        ),
        classes=KINETICS_400_CLASSES,
        resize=Area(),  # 4.1
        # Our choice: what table 4.1 leaves open is our default: BigGAN's moving average of 0.9999 from step 20,000, no
        # orthogonal penalty, PyTorch's epsilon of Adam, standing statistics of 100 passes of 256 clips. Variants of 4.5
        # and 4.6 train as long as the final model.
        training=TrainingSpec(
            steps=110_000,
            discriminator_updates=2,
            batch=BatchSpec(global_batch=108, micro_batch=108, sync_batch_norm=True),
            adam=AdamSpec(generator_rate=5e-4, discriminator_rate=1e-4, beta1=0.0, beta2=0.999),
            initial=NormalSpec(deviation=0.02),
        ),
    )


def guide_ucf101_12x64() -> Experiment:
    """The same on UCF-101, where the thesis shows memorisation and mode collapse (4.3)."""
    kinetics = guide_k400_12x64()
    return kinetics.replace(
        name="guide-ucf101-12x64",
        description="The thesis's DVD-GAN on UCF-101, to see memorisation: 12 frames, 64x64.",
        source="Du 2020, 4.3",
        deviations=(
            *DEVIATIONS,
            "the final model; 4.3 does not say which one, nor for how long (one figure is of step 43,200)",
        ),
        classes=UCF_101_CLASSES,
    )


def guide_original() -> Experiment:
    """The model that turns dark: hinge on sums, and a clip discriminator with time folded into channels (4.5)."""
    final = guide_k400_12x64()
    (level,) = final.levels
    failing = CURED.replace(time_in_channels=True)
    return final.replace(
        name="guide-original",
        description="The thesis's model whose videos turn dark: hinge on sums, time in channels.",
        source="Du 2020, 4.5, Eq. 4.2, Figures 4.4-4.6",
        levels=(level.replace(discriminators=discriminators(failing), objective=SumThenHingeSpec()),),
    )


def pixel_loss(name: str, weight: float, start: int) -> Experiment:
    """A curve of Figure 4.7."""
    original = guide_original()
    training = original.training.replace(pixel_loss=PixelLossSpec(weight=weight, start=start))
    since = f"from step {start:,} on" if start else "from the beginning"
    return original.replace(
        name=f"guide-pixel-loss-{name}",
        description=f"The model that turns dark, with a pixel loss of weight {weight:g} {since}.",
        source="Du 2020, 4.5, Eq. 4.1, Figures 4.7-4.9",
        training=training,
    )


def guide_per_frame_hinge() -> Experiment:
    """The model that turns dark with a hinge per frame: delayed, not cured (Figures 4.10 and 4.11)."""
    original = guide_original()
    (level,) = original.levels
    return original.replace(
        name="guide-per-frame-hinge",
        description="The model that turns dark, with a hinge per frame and the mean over frames.",
        source="Du 2020, 4.5, Eq. 4.3, Figures 4.10 and 4.11",
        levels=(level.replace(objective=HingeEachSpec()),),
    )


def guide_per_frame_hinge_sum() -> Experiment:
    """The same with the sum over frames, before the thesis took the mean: "almost no movement" (4.5)."""
    mean = guide_per_frame_hinge()
    (level,) = mean.levels
    return mean.replace(
        name="guide-per-frame-hinge-sum",
        description="The model that turns dark, with a hinge per frame and the sum over frames.",
        source="Du 2020, 4.5",
        levels=(level.replace(objective=HingeEachSpec(total=True)),),
    )


def guide_no_clip_discriminator() -> Experiment:
    """The ablation that points to the clip discriminator: without it videos stay bright (Figure 4.12)."""
    (level,) = guide_original().levels
    frames, _ = level.discriminators
    # Our choice: the hinge on sums stays; 4.5 removes modules "with everything else unchanged", but does not say from
    # which of its models.
    kept = level.replace(discriminators=(frames,))
    return without("clip-discriminator", "its clip discriminator", kept, "Du 2020, 4.5, Figure 4.12")


def without(name: str, words: str, kept: LevelSpec, source: str = "Du 2020, 4.5") -> Experiment:
    """The model that turns dark without one of its modules (4.5: "one at a time")."""
    return guide_original().replace(
        name=f"guide-no-{name}",
        description=f"The model that turns dark, without {words}.",
        source=source,
        levels=(kept,),
    )


def without_layer(name: str, stage: int, layer: int, words: str) -> Experiment:
    """The model that turns dark without one of its generator's layers over time."""
    (level,) = guide_original().levels
    stages = list(level.generator.stages)
    temporal = stages[stage].temporal
    stages[stage] = stages[stage].replace(temporal=temporal[:layer] + temporal[layer + 1 :])
    # Our choice: "certain modules" are the discriminators and the generator's layers over time; 4.5 names one.
    return without(name, words, level.replace(generator=level.generator.replace(stages=tuple(stages))))


LAYERS = (
    ("convgru", 0, 0, "its ConvGRU, so that all frames are the same"),
    ("attention", 0, 1, "its attention at 4x4"),
    ("separable-attention", 3, 0, "its separable attention at 32x32"),
)
"""What :func:`without_layer` removes: name, stage, which of its layers, and in words."""


def guide_no_frame_discriminator() -> Experiment:
    """The ablation of 4.5 with its frame discriminator removed."""
    (level,) = guide_original().levels
    _, clip = level.discriminators
    return without("frame-discriminator", "its frame discriminator", level.replace(discriminators=(clip,)))


def guide_conv3d() -> Experiment:
    """The final model with plain 3-D convolutions in the clip discriminator: "no big differences" (4.6)."""
    # Our choice: 4.6 does not say which of its models it changes.
    final = guide_k400_12x64()
    (level,) = final.levels
    return final.replace(
        name="guide-conv3d",
        description="The thesis's final model with plain 3-D convolutions for 3-D blocks.",
        source="Du 2020, 4.6",
        levels=(level.replace(discriminators=discriminators(CURED.replace(residual=Plain3dBlocksSpec()))),),
    )


ALL: tuple[Callable[[], Experiment], ...] = (
    guide_k400_12x64,
    guide_ucf101_12x64,
    guide_original,
    *(partial(pixel_loss, *row) for row in PIXEL_LOSSES),
    guide_per_frame_hinge,
    guide_per_frame_hinge_sum,
    guide_no_clip_discriminator,
    guide_no_frame_discriminator,
    *(partial(without_layer, *row) for row in LAYERS),
    guide_conv3d,
)
"""The thesis's models."""
