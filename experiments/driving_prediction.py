"""Small predictors of real clips, 8 frames of 64x64 given 4, whose futures are drawn to what really followed.

``vidgan train experiments/driving_prediction.py:conv_gru --data data/all --out runs/conv-gru --steps 1295``, then
``tsru_p`` for 1,200 steps, which take as long: all but the recurrent units is the same (after Luc et al. 2020, Table
2). ``near`` and then ``nearer`` are one longer training in two runs, which made zoo/driving-8-after-4.
``experiments/copying.py`` measures all of them beside copying the last given frame;
docs/results/driving-prediction.md.
"""

from vidgan.models import VarietySpec
from vidgan.nn.recurrent import ConvGRUSpec, TSRUpSpec
from vidgan.presets import preset
from vidgan.run.experiment import Experiment

WEIGHT = 20.0
"""of the variety loss, where units are compared"""
RESOLUTIONS = 3
"""stages with a unit: at 4x4, 8x8 and 16x16, each with the encoder's features as its first state"""


def dvd_gan_fp(weight: float = WEIGHT) -> Experiment:
    """``dvd-gan-fp-12x64-cpu`` with a variety loss: the nearer of two futures is drawn to the truth.

    Neither paper has that loss. Without it 1,247 steps of 16 clips, 20 minutes, stay below copying in every frame.
    """
    plain = preset("dvd-gan-fp-12x64-cpu")
    said = (
        f"a variety loss (Gupta et al. 2018) of weight {weight:g}: the nearer of two futures is drawn to what "
        "followed"
    )
    return plain.replace(
        name="driving-dvd-gan-fp",
        deviations=(*plain.deviations, said),
        training=plain.training.replace(variety=VarietySpec(weight=weight, futures=2)),
    )


def at_three_resolutions(weight: float = WEIGHT) -> Experiment:
    """That network with units at several resolutions, as TrIVD-GAN-FP has them (Luc et al. 2020, A)."""
    single = dvd_gan_fp(weight)
    (level,) = single.levels
    first, *others = level.generator.stages
    unit, *_ = first.temporal
    lower = (stage.replace(temporal=(unit,)) for stage in others[: RESOLUTIONS - 1])
    stages = (first, *lower, *others[RESOLUTIONS - 1 :])
    said = f"recurrent units in the first {RESOLUTIONS} stages instead of the first"
    return single.replace(
        levels=(level.replace(generator=level.generator.replace(stages=stages)),),
        deviations=(*single.deviations, said),
    )


def tsru_p() -> Experiment:
    """Transformation, candidate and update gate in parallel (Luc et al. 2020, 3.2)."""
    return at_three_resolutions().with_unit(TSRUpSpec()).replace(name="driving-tsru-p")


def conv_gru(weight: float = WEIGHT) -> Experiment:
    """No transformation: the state stays in its place."""
    return at_three_resolutions(weight).with_unit(ConvGRUSpec()).replace(name="driving-conv-gru")


def near() -> Experiment:
    """With three times the weight, a single future comes nearer to what followed."""
    return conv_gru(60.0)


def nearer() -> Experiment:
    """What ``near`` has learnt, drawn nearer still: ``--init-from runs/near``."""
    return conv_gru(200.0)
