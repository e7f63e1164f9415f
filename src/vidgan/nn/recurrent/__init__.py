"""Recurrent units: drop-in for each other."""

from vidgan.nn.recurrent.conv_gru import (
    ConvGRU,
    ConvGRUSpec,
    KTrajGRU,
    KTrajGRUSpec,
    MultiplicativeConvGRU,
    MultiplicativeConvGRUSpec,
)
from vidgan.nn.recurrent.conv_lstm import ConvLSTM, ConvLSTMSpec, DynamicConvLSTM, DynamicConvLSTMSpec
from vidgan.nn.recurrent.tsru import PTSRU, PTSRUSpec, TSRUc, TSRUcSpec, TSRUp, TSRUpSpec, TSRUs, TSRUsSpec
from vidgan.nn.recurrent.unit import (
    ActivationSpec,
    Output,
    ReLUSpec,
    State,
    Step,
    TanhSpec,
    Unit,
    UnitSpec,
    unroll,
)

__all__ = [
    "PTSRU",
    "ActivationSpec",
    "ConvGRU",
    "ConvGRUSpec",
    "ConvLSTM",
    "ConvLSTMSpec",
    "DynamicConvLSTM",
    "DynamicConvLSTMSpec",
    "KTrajGRU",
    "KTrajGRUSpec",
    "MultiplicativeConvGRU",
    "MultiplicativeConvGRUSpec",
    "Output",
    "PTSRUSpec",
    "ReLUSpec",
    "State",
    "Step",
    "TSRUc",
    "TSRUcSpec",
    "TSRUp",
    "TSRUpSpec",
    "TSRUs",
    "TSRUsSpec",
    "TanhSpec",
    "Unit",
    "UnitSpec",
    "unroll",
]
