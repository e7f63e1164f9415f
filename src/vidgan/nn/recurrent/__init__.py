"""Recurrent units: one file each, drop-in for each other."""

from vidgan.nn.recurrent.conv_gru import ConvGRU, KTrajGRU, MultiplicativeConvGRU
from vidgan.nn.recurrent.conv_lstm import ConvLSTM
from vidgan.nn.recurrent.dynamic_conv_lstm import DynamicConvLSTM
from vidgan.nn.recurrent.tsru import PTSRU, TSRUc, TSRUp, TSRUs
from vidgan.nn.recurrent.unit import Output, State, Step, Unit, unroll

WarpingUnit = TSRUc | TSRUp | TSRUs | PTSRU | KTrajGRU
"""Units that move their state by kernels, which motion fields are made of."""

UnitSpec = ConvGRU | MultiplicativeConvGRU | ConvLSTM | WarpingUnit | DynamicConvLSTM

__all__ = [
    "PTSRU",
    "ConvGRU",
    "ConvLSTM",
    "DynamicConvLSTM",
    "KTrajGRU",
    "MultiplicativeConvGRU",
    "Output",
    "State",
    "Step",
    "TSRUc",
    "TSRUp",
    "TSRUs",
    "Unit",
    "UnitSpec",
    "WarpingUnit",
    "unroll",
]
