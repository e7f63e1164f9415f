"""The small TrIVD-GAN-FP for real clips with other recurrent units, all else the same (Luc et al. 2020, Table 2).

``vidgan train experiments/predictor_units.py:conv_gru --data data/driving-all --out runs/conv-gru --minutes 25``, then
``tsru_p``, which is the preset itself, for as long; ``experiments/copying.py`` measures both.
"""

from vidgan.nn.recurrent import ConvGRUSpec, TSRUpSpec, UnitSpec
from vidgan.nn.temporal import RecurrentSpec
from vidgan.presets import preset
from vidgan.run.experiment import Experiment


def with_units(unit: UnitSpec, name: str) -> Experiment:
    """``trivd-gan-fp-12x64-cpu`` with ``unit`` in every stage."""
    paper = preset("trivd-gan-fp-12x64-cpu")
    (level,) = paper.levels
    stages = tuple(
        stage.replace(temporal=(RecurrentSpec(unit=unit),)) if stage.temporal else stage
        for stage in level.generator.stages
    )
    return paper.replace(name=name, levels=(level.replace(generator=level.generator.replace(stages=stages)),))


def tsru_p() -> Experiment:
    """Transformation, candidate and update gate in parallel."""
    return with_units(TSRUpSpec(), "small-predictor-tsru-p")


def conv_gru() -> Experiment:
    """No transformation: the state stays in its place."""
    return with_units(ConvGRUSpec(), "small-predictor-conv-gru")
