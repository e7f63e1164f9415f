"""The convolutional gated recurrent unit (Ballas et al. 2016; Luc et al. 2020, Eqs. 1-5)."""

import torch
from torch import Tensor

from vidgan.nn.activation import Activation, ReLU
from vidgan.nn.gates import Gates, join, mix, require_odd
from vidgan.nn.layers import Conv2d
from vidgan.nn.recurrent.unit import Output, State, Step, Unit
from vidgan.spec import Spec


class ConvGRU(Spec):
    """The plain unit; Clark et al. 2019 (A.2) use it for 48 frames."""

    kernel: int = 3
    """size of the gates' convolutions (odd)"""
    activation: Activation = ReLU()
    """of the candidate"""

    def validate(self) -> None:
        require_odd(self.kernel)

    def build(self, inputs: int, hidden: int) -> Unit:
        return ConvGRUCell(self, inputs, hidden)


class ConvGRUCell(Unit):
    """Its state is the last output."""

    def __init__(self, spec: ConvGRU, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden)
        self.activation = spec.activation
        self.reset = Conv2d(hidden + inputs, hidden, spec.kernel)
        self.update = Conv2d(hidden + inputs, hidden, spec.kernel)
        self.candidate = Conv2d(hidden + inputs, hidden, spec.kernel)

    def start(self, encoding: Tensor) -> State:
        return (encoding,)

    def bind(self, dtype: torch.dtype) -> Step:
        gates = Gates(dtype, self.reset, self.update)
        candidate = self.candidate.bind(dtype)

        def step(x: Tensor, state: State) -> Output:
            (h,) = state
            r, u = gates(join(h, x))
            # Luc et al. 2020, Eqs. 1-5
            c = self.activation(candidate(join(torch.sigmoid(r) * h, x)))
            h = mix(torch.sigmoid(u), h, c)
            return Output(h, (h,), None)

        return step
