"""Recurrent units: one file each, drop-in for each other."""

from vidgan.nn.recurrent.conv_gru import ConvGRU
from vidgan.nn.recurrent.multiplicative_conv_gru import MultiplicativeConvGRU
from vidgan.nn.recurrent.unit import Output, State, Step, Unit, unroll

UnitSpec = ConvGRU | MultiplicativeConvGRU

__all__ = [
    "ConvGRU",
    "MultiplicativeConvGRU",
    "Output",
    "State",
    "Step",
    "Unit",
    "UnitSpec",
    "unroll",
]
