"""TrIVD-GAN-FP (Luc et al. 2020): its models and its tables."""

from collections.abc import Callable
from functools import partial

from vidgan.models.discriminator import (
    BodySpec,
    DiscriminatorSpec,
    HeadSpec,
    MixedProjectionSpec,
    ProjectionSpec,
)
from vidgan.models.generator import EncoderSpec, GeneratorSpec, StageSpec
from vidgan.models.level import LevelSpec
from vidgan.models.losses import HingeEachSpec, ObjectiveSpec, SumThenHingeSpec
from vidgan.models.views import ClipSpec, CropSpec, FramesSpec, ViewSpec
from vidgan.nn.recurrent import (
    ConvGRUSpec,
    ConvLSTMSpec,
    DynamicConvLSTMSpec,
    KTrajGRUSpec,
    PTSRUSpec,
    TSRUcSpec,
    TSRUpSpec,
    TSRUsSpec,
    UnitSpec,
)
from vidgan.nn.recurrent.unit import TanhSpec
from vidgan.nn.temporal import RecurrentSpec
from vidgan.presets.dvd_gan import DEVIATIONS, DISCRIMINATOR_64, dvd_gan_fp_k600_16x64
from vidgan.run.batch import BatchSpec
from vidgan.run.experiment import AdamSpec, Experiment, TrainingSpec

# Our choice: DVD-GAN's list for 64x64 (000, A.2) from 8x8 on; the paper prints none for its 8x8 start.
STAGES = (8, 4, 2)
"""Widths after the stages at 8x8, 16x16 and 32x32."""

GENERATOR_OF_A = (
    "the generator has no attention and no skip connections from the encoder; A goes through its layers without them, "
    "and calls the model identical to DVD-GAN-FP, whose own paper has both (A.2, A.4)"
)
"""What A leaves open of every generator here."""

TRIVD_DEVIATIONS = (
    "shortcuts of 3-D blocks stay 1x1 convolutions of each frame; A replaces all convolutions",
    "discriminators have no attention; A follows BigGAN's discriminator, which has one layer of it",
    "the generator's class embedding has no spectral normalisation; A leaves out the first linear layer alone",
    GENERATOR_OF_A,
    "nothing is evaluated while training unless --reporting.best.protocol names it; 4.1 takes the model that does best "
    "on the training set",
)
"""Where all TrIVD-GAN presets leave the paper's words; docs/papers.md has what the paper leaves open."""


def generator(width: int, discriminator_width: int, unit: UnitSpec) -> GeneratorSpec:
    """The generator of appendix A: a recurrent unit, a convolution and two blocks per stage, from 8x8."""
    # Our choice: what A names and no more. DVD-GAN-FP, to which "our model is identical" but for the paper's
    # improvements, has attention behind its unit and before its last block (Clark et al. 2019, A.2) and the encoder's
    # skip connections (A.4); A's account of the layers has neither, and its states at every resolution bring the
    # conditioning frames' detail to the generator.
    stages = tuple(
        StageSpec(channels=outputs, temporal=(RecurrentSpec(unit=unit),), convolution=True)
        for outputs in STAGES
    )
    encoder = EncoderSpec(
        body=BodySpec(width=discriminator_width, channels=DISCRIMINATOR_64), kernel=3, relu=True
    )
    return GeneratorSpec(
        latent=128,
        embedding=128,
        width=width,
        side=8,
        channels=8,
        stages=stages,
        spectral_start=False,
        encoder=encoder,
    )


def frames(width: int, k: int = 8, scale: int = 1) -> DiscriminatorSpec:
    """A discriminator of ``k`` frames: all five blocks are 2-D (A)."""
    body = BodySpec(width=width, channels=DISCRIMINATOR_64)
    return DiscriminatorSpec(
        name="frames", view=FramesSpec(k=k, scale=scale), body=body, head=MixedProjectionSpec()
    )


def video(name: str, width: int, view: ViewSpec) -> DiscriminatorSpec:
    """A spatio-temporal discriminator: the first two of its five blocks are 3-D (A)."""
    body = BodySpec(width=width, channels=DISCRIMINATOR_64, blocks_3d=2)
    return DiscriminatorSpec(name=name, view=view, body=body, head=MixedProjectionSpec())


def faster(width: int) -> tuple[DiscriminatorSpec, ...]:
    """The "faster" decomposition (3.1): downsampled frames and a cropped clip."""
    return frames(width, scale=2), video("crop", width, CropSpec(scale=2))


def stronger(width: int) -> tuple[DiscriminatorSpec, ...]:
    """The "stronger" decomposition (3.1): the faster one and a downsampled clip."""
    return *faster(width), video("clip", width, ClipSpec(scale=2))


def dvd_gan_fp_k600_16x64_states() -> Experiment:
    """DVD-GAN-FP as Luc et al. 2020 describe it: a ConvGRU and a state of its own at every resolution."""
    paper = dvd_gan_fp_k600_16x64()
    (level,) = paper.levels
    # Our choice: the widths of dvd-gan-fp-k600-16x64, so that the two generators can be compared; 001 trains others.
    return paper.replace(
        name="dvd-gan-fp-k600-16x64-states",
        description="DVD-GAN-FP as TrIVD-GAN's paper has it: a ConvGRU and a state per resolution.",
        source="Luc et al. 2020, A; discriminators and training: Clark et al. 2019, A",
        deviations=(
            "generator width 64, discriminators 128; 001's own have one number for both",
            GENERATOR_OF_A,
            *DEVIATIONS,
        ),
        levels=(level.replace(generator=generator(64, 128, ConvGRUSpec())),),
    )


def trivd_gan_fp_k600_16x64() -> Experiment:
    """The paper's final model on Kinetics-600 (4.4)."""
    level = LevelSpec(
        generator=generator(120, 120, TSRUpSpec()),
        discriminators=stronger(120),
        objective=HingeEachSpec(),
        frames=11,
        context_frames=5,
    )
    return Experiment(
        name="trivd-gan-fp-k600-16x64",
        description="TrIVD-GAN-FP on Kinetics-600: 11 frames given 5, 64x64, no frame skipping.",
        source="Luc et al. 2020, 4.4 and A-F, Table 3",
        deviations=TRIVD_DEVIATIONS,
        levels=(level,),
        conditional=False,
        training=TrainingSpec(
            steps=700_000,
            batch=BatchSpec(sync_batch_norm=True),
            adam=AdamSpec(generator_rate=1e-4, discriminator_rate=5e-4),
            orthogonal_penalty=1e-4,
        ),
    )


def resized(width: int, discriminator_width: int) -> LevelSpec:
    """The final model's level at other widths; the encoder is as wide as the discriminators."""
    (level,) = trivd_gan_fp_k600_16x64().levels
    return level.replace(
        generator=generator(width, discriminator_width, TSRUpSpec()),
        discriminators=stronger(discriminator_width),
    )


def trivd_gan_fp_k600_16x64_w48() -> Experiment:
    """The final model at width 48, trained for 1M steps (C.2)."""
    large = trivd_gan_fp_k600_16x64()
    return large.replace(
        name="trivd-gan-fp-k600-16x64-w48",
        description="TrIVD-GAN-FP on Kinetics-600 at width 48: 11 frames given 5, 64x64, class-free.",
        source="Luc et al. 2020, C.2",
        levels=(resized(48, 48),),
        training=large.training.replace(steps=1_000_000),
    )


def trivd_gan_fp_ucf101_16x64() -> Experiment:
    """UCF-101 "using the same hyperparameters as on Kinetics" (C.2)."""
    large = trivd_gan_fp_k600_16x64()
    # Our choice: 11 consecutive frames given 5 and no classes, all as on Kinetics; C.2 names none of them.
    return large.replace(
        name="trivd-gan-fp-ucf101-16x64",
        description="TrIVD-GAN-FP on UCF-101 at width 92: 11 frames given 5, 64x64, class-free.",
        source="Luc et al. 2020, C.2",
        levels=(resized(92, 92),),
        training=large.training.replace(steps=1_000_000),
    )


def trivd_gan_fp_bair_16x64() -> Experiment:
    """BAIR robot pushing: 15 frames given one, discriminators wider than the generator, low rates (C.1)."""
    large = trivd_gan_fp_k600_16x64()
    adam = large.training.adam.replace(generator_rate=2e-5, discriminator_rate=3e-5)
    # Our choice: the 700,000 steps of Kinetics and consecutive frames; C.1 names neither.
    return large.replace(
        name="trivd-gan-fp-bair-16x64",
        description="TrIVD-GAN-FP on BAIR robot pushing: 15 frames given 1, 64x64, class-free.",
        source="Luc et al. 2020, C.1, Table 4",
        levels=(resized(48, 92).replace(frames=15, context_frames=1),),
        training=large.training.replace(adam=adam),
    )


WIDTH = 48
"""Channel multiplier of the medium-sized models (4.4, D.1)."""

CLIP, SMALL = video("clip", WIDTH, ClipSpec(scale=1)), video("clip", WIDTH, ClipSpec(scale=2))
CROP = video("crop", WIDTH, CropSpec(scale=2))

DECOMPOSITIONS: tuple[tuple[str, tuple[DiscriminatorSpec, ...], int, str], ...] = (
    ("clip", (CLIP,), 758_000, "the whole clip"),
    ("downsampled", (SMALL,), 1_000_000, "the downsampled clip"),
    ("cropped", (CROP,), 997_000, "a cropped clip"),
    ("cropped-downsampled", (CROP, SMALL), 792_000, "a cropped and the downsampled clip"),
    ("mocogan-k1", (frames(WIDTH, k=1), CLIP), 651_000, "one frame and the whole clip"),
    ("mocogan-k8", (frames(WIDTH), CLIP), 561_000, "8 frames and the whole clip"),
    ("dvd-gan-fp", (frames(WIDTH), SMALL), 689_000, "8 frames and the downsampled clip"),
    ("faster", faster(WIDTH), 817_000, "8 downsampled frames and a cropped clip"),
    ("stronger", stronger(WIDTH), 675_000, "small frames, a cropped and a small clip"),
)
"""Rows of Table 1: the name, the discriminators, the printed budget in steps (equal times), and what the
discriminators see."""

UNITS: tuple[tuple[str, UnitSpec, str], ...] = (
    ("convlstm", ConvLSTMSpec(), "ConvLSTM"),
    ("convlstm-tanh", ConvLSTMSpec(activation=TanhSpec()), "ConvLSTM with tanh"),
    ("convgru", ConvGRUSpec(), "ConvGRU"),
    ("k-trajgru", KTrajGRUSpec(), "K-TrajGRU"),
    ("tsru-c", TSRUcSpec(), "TSRU_c"),
    ("tsru-p", TSRUpSpec(), "TSRU_p"),
    ("tsru-s", TSRUsSpec(), "TSRU_s"),
    ("ptsru-s", PTSRUSpec(), "PTSRU_s"),
    ("dynamic-convlstm", DynamicConvLSTMSpec(), "the dynamic ConvLSTM"),
)
"""Rows of Table 2, and the two units that the appendix speaks of: the name, the unit, and how it is said."""

UNIT_STEPS = 500_000
"""Length of the runs of Table 2 (4.3)."""

HEADS: tuple[tuple[str, HeadSpec, ObjectiveSpec], ...] = (
    ("plain", ProjectionSpec(), SumThenHingeSpec()),
    ("mixed", MixedProjectionSpec(), HingeEachSpec()),
)
"""Heads of E.1: "a single scalar per sample", DVD-GAN's, and B x B x T outputs; each goes into a hinge of its own."""

HEAD_STEPS = 700_000
"""Length of the runs of E.1."""


MEDIUM_STEPS = 1_000_000
"""Length of the runs of C.2 and D.1."""


def medium(
    name: str, description: str, discriminators: tuple[DiscriminatorSpec, ...], unit: UnitSpec, steps: int
) -> Experiment:
    """The final model at width 48 with other discriminators, unit and length."""
    final = trivd_gan_fp_k600_16x64()
    (level,) = final.levels
    return final.replace(
        name=name,
        description=f"Prediction, width {WIDTH}: {description}.",
        levels=(level.replace(generator=generator(WIDTH, WIDTH, unit), discriminators=discriminators),),
        training=final.training.replace(steps=steps),
    )


def dvd_gan_fp_k600_16x64_w48() -> Experiment:
    """DVD-GAN-FP at width 48, trained for 1M steps: what C.2 compares the final model with."""
    experiment = medium(
        "dvd-gan-fp-k600-16x64-w48",
        "DVD-GAN-FP, 8 frames and the downsampled clip",
        (frames(WIDTH), SMALL),
        ConvGRUSpec(),
        MEDIUM_STEPS,
    )
    return experiment.replace(source="Luc et al. 2020, C.2")


def medium_unit(name: str, unit: UnitSpec, words: str) -> Experiment:
    """A medium-sized model of 4.3, trained for 1M steps (D.1)."""
    experiment = medium(f"trivd-medium-{name}", f"{words} for 1M steps", faster(WIDTH), unit, MEDIUM_STEPS)
    return experiment.replace(source="Luc et al. 2020, 4.3 and D.1")


def decomposition(
    name: str, discriminators: tuple[DiscriminatorSpec, ...], steps: int, words: str
) -> Experiment:
    """A row of Table 1, with DVD-GAN-FP's unit, ConvGRU."""
    experiment = medium(
        f"trivd-table1-{name}", f"discriminators see {words}", discriminators, ConvGRUSpec(), steps
    )
    return experiment.replace(source="Luc et al. 2020, 4.2, Table 1")


def recurrent_unit(name: str, unit: UnitSpec, words: str) -> Experiment:
    """A row of Table 2, on the faster decomposition.

    The paper trains the tanh variant too, and compares after 180,000 steps (F.1); the dynamic ConvLSTM it only
    measures (F.4). Our choice: both get the length of the others.
    """
    experiment = medium(
        f"trivd-table2-{name}", f"the recurrent unit is {words}", faster(WIDTH), unit, UNIT_STEPS
    )
    sections = {"convlstm-tanh": "F.1", "dynamic-convlstm": "F.4"}
    return experiment.replace(source=f"Luc et al. 2020, {sections.get(name, '4.3, Table 2')}")


def projection(name: str, head: HeadSpec, objective: ObjectiveSpec) -> Experiment:
    """Plain or mixed projection (E.1).

    Our choice: DVD-GAN-FP's discriminators and unit. E.1 names none; the FVD of 55.0 that it prints for
    mixed projection is that of DVD-GAN-FP in Table 1, after nearly as many steps.
    """
    discriminators = tuple(discriminator.replace(head=head) for discriminator in (frames(WIDTH), SMALL))
    experiment = medium(
        f"trivd-projection-{name}",
        f"{name} projection in the discriminators",
        discriminators,
        ConvGRUSpec(),
        HEAD_STEPS,
    )
    (level,) = experiment.levels
    return experiment.replace(source="Luc et al. 2020, E.1", levels=(level.replace(objective=objective),))


ALL: tuple[Callable[[], Experiment], ...] = (
    *(partial(decomposition, *row) for row in DECOMPOSITIONS),
    *(partial(recurrent_unit, *row) for row in UNITS),
    *(partial(projection, *row) for row in HEADS),
    *(partial(medium_unit, *row) for row in UNITS if row[0] in ("convgru", "tsru-p")),
    dvd_gan_fp_k600_16x64_w48,
)
"""Every row."""
