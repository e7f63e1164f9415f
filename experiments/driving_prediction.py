"""Small predictors of real clips, 8 frames of 64x64 given 4, whose futures are drawn to what really followed.

``vidgan train experiments/driving_prediction.py:tsru_p --data data/driving-all --out runs/tsru-p --minutes 25``, then
``conv_gru`` for as long: all but the recurrent units is the same (after Luc et al. 2020, Table 2).
``experiments/copying.py`` measures both beside copying the last given frame.
"""

from vidgan.models import VarietySpec
from vidgan.nn.recurrent import ConvGRUSpec, TSRUpSpec, UnitSpec
from vidgan.nn.temporal import RecurrentSpec
from vidgan.presets import preset
from vidgan.run.experiment import Experiment

RESOLUTIONS = 3
"""stages with a unit: at 4x4, 8x8 and 16x16, each with the encoder's features as its first state"""


def dvd_gan_fp() -> Experiment:
    """``dvd-gan-fp-12x64-cpu`` with a variety loss: the nearer of two futures is drawn to the truth.

    Neither paper has that loss. Without it 1,247 steps of 16 clips, 20 minutes, stay below copying in every frame.
    """
    plain = preset("dvd-gan-fp-12x64-cpu")
    return plain.replace(
        name="driving-dvd-gan-fp",
        training=plain.training.replace(variety=VarietySpec(weight=20.0, futures=2)),
    )


def with_units(unit: UnitSpec, name: str) -> Experiment:
    """That network with ``unit`` at several resolutions, as TrIVD-GAN-FP has it (Luc et al. 2020, A)."""
    single = dvd_gan_fp()
    (level,) = single.levels
    stages = level.generator.stages
    recurrent = RecurrentSpec(unit=unit)
    lower = tuple(stage.replace(temporal=(recurrent, *stage.temporal[1:])) for stage in stages[:RESOLUTIONS])
    generator = level.generator.replace(stages=(*lower, *stages[RESOLUTIONS:]))
    return single.replace(name=name, levels=(level.replace(generator=generator),))


def tsru_p() -> Experiment:
    """Transformation, candidate and update gate in parallel (Luc et al. 2020, 3.2)."""
    return with_units(TSRUpSpec(), "driving-tsru-p")


def conv_gru() -> Experiment:
    """No transformation: the state stays in its place."""
    return with_units(ConvGRUSpec(), "driving-conv-gru")
