"""Recurrent units: one file each, drop-in for each other."""

from vidgan.nn.recurrent.conv_gru import ConvGRUSpec, KTrajGRUSpec, MultiplicativeConvGRUSpec
from vidgan.nn.recurrent.conv_lstm import ConvLSTMSpec
from vidgan.nn.recurrent.dynamic_conv_lstm import DynamicConvLSTMSpec
from vidgan.nn.recurrent.tsru import PTSRUSpec, TSRUcSpec, TSRUpSpec, TSRUsSpec
from vidgan.nn.recurrent.unit import Output, State, Step, Unit, UnitSpec, unroll

__all__ = [
    "ConvGRUSpec",
    "ConvLSTMSpec",
    "DynamicConvLSTMSpec",
    "KTrajGRUSpec",
    "MultiplicativeConvGRUSpec",
    "Output",
    "PTSRUSpec",
    "State",
    "Step",
    "TSRUcSpec",
    "TSRUpSpec",
    "TSRUsSpec",
    "Unit",
    "UnitSpec",
    "unroll",
]
