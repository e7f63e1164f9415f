"""What Luc et al. 2020 compare: decompositions of the critics (Table 1), recurrent units (Table 2), heads (E.1)."""

from collections.abc import Callable
from functools import partial

from vidgan.models.critic import CriticSpec
from vidgan.models.heads import HeadSpec, MixedProjection, Projection
from vidgan.models.objective import HingeEach, ObjectiveSpec, SumThenHinge
from vidgan.models.views import Clip, Crop
from vidgan.nn.activation import Tanh
from vidgan.nn.recurrent import (
    PTSRU,
    ConvGRU,
    ConvLSTM,
    DynamicConvLSTM,
    KTrajGRU,
    TSRUc,
    TSRUp,
    TSRUs,
    UnitSpec,
)
from vidgan.presets.trivd_gan import faster, frames, generator, stronger, trivd_gan_fp_k600_16x64, video
from vidgan.run.experiment import Experiment

WIDTH = 48
"""Channel multiplier of the medium-sized models (4.4, D.1)."""

CLIP, SMALL = video("clip", WIDTH, Clip(scale=1)), video("clip", WIDTH, Clip(scale=2))
CROP = video("crop", WIDTH, Crop(scale=2))

DECOMPOSITIONS: tuple[tuple[str, tuple[CriticSpec, ...], int, str], ...] = (
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
"""Rows of Table 1: the name, the critics, the printed budget in steps (equal times), and what the critics see."""

UNITS: tuple[tuple[str, UnitSpec, str], ...] = (
    ("convlstm", ConvLSTM(), "ConvLSTM"),
    ("convlstm-tanh", ConvLSTM(activation=Tanh()), "ConvLSTM with tanh"),
    ("convgru", ConvGRU(), "ConvGRU"),
    ("k-trajgru", KTrajGRU(), "K-TrajGRU"),
    ("tsru-c", TSRUc(), "TSRU_c"),
    ("tsru-p", TSRUp(), "TSRU_p"),
    ("tsru-s", TSRUs(), "TSRU_s"),
    ("ptsru-s", PTSRU(), "PTSRU_s"),
    ("dynamic-convlstm", DynamicConvLSTM(), "the dynamic ConvLSTM"),
)
"""Rows of Table 2, and the two units that the appendix speaks of: the name, the unit, and how it is said."""

UNIT_STEPS = 500_000
"""Length of the runs of Table 2 (4.3)."""

HEADS: tuple[tuple[str, HeadSpec, ObjectiveSpec], ...] = (
    ("plain", Projection(), SumThenHinge()),
    ("mixed", MixedProjection(), HingeEach()),
)
"""Heads of E.1: "a single scalar per sample", DVD-GAN's, and B x B x T outputs; each goes into a hinge of its own."""

HEAD_STEPS = 700_000
"""Length of the runs of E.1."""


def medium(
    name: str, description: str, critics: tuple[CriticSpec, ...], unit: UnitSpec, steps: int
) -> Experiment:
    """The final model at width 48 with other critics, unit and length."""
    final = trivd_gan_fp_k600_16x64()
    (level,) = final.levels
    return final.replace(
        name=name,
        description=f"Prediction, width {WIDTH}: {description}.",
        levels=(level.replace(generator=generator(WIDTH, WIDTH, unit), critics=critics),),
        training=final.training.replace(steps=steps),
    )


def decomposition(name: str, critics: tuple[CriticSpec, ...], steps: int, words: str) -> Experiment:
    """A row of Table 1, with DVD-GAN-FP's unit, ConvGRU."""
    experiment = medium(f"trivd-table1-{name}", f"critics see {words}", critics, ConvGRU(), steps)
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

    Our choice: DVD-GAN-FP's critics and unit. E.1 names none; the FVD of 55.0 that it prints for mixed projection is
    that of DVD-GAN-FP in Table 1, after nearly as many steps.
    """
    critics = tuple(critic.replace(head=head) for critic in (frames(WIDTH), SMALL))
    experiment = medium(
        f"trivd-projection-{name}", f"{name} projection in the critics", critics, ConvGRU(), HEAD_STEPS
    )
    (level,) = experiment.levels
    return experiment.replace(source="Luc et al. 2020, E.1", levels=(level.replace(objective=objective),))


ALL: tuple[Callable[[], Experiment], ...] = (
    *(partial(decomposition, *row) for row in DECOMPOSITIONS),
    *(partial(recurrent_unit, *row) for row in UNITS),
    *(partial(projection, *row) for row in HEADS),
)
"""Every row."""
