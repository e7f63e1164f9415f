"""The multiplicative convolutional gated recurrent unit (Clark et al. 2019, A.2)."""

import torch
from torch import Tensor

from vidgan.nn.activation import Activation, ReLU
from vidgan.nn.gates import Gates, join, mix, require_odd
from vidgan.nn.layers import Conv2d
from vidgan.nn.recurrent.unit import Output, State, Step, Unit
from vidgan.spec import Spec


class MultiplicativeConvGRU(Spec):
    """DVD-GAN's unit for fewer than 48 frames: a product of state and input takes the state's place."""

    kernel: int = 3
    """size of the gates' convolutions (odd)"""
    activation: Activation = ReLU()
    """of the candidate"""

    def validate(self) -> None:
        require_odd(self.kernel)

    def build(self, inputs: int, hidden: int) -> Unit:
        return MultiplicativeConvGRUCell(self, inputs, hidden)


class MultiplicativeConvGRUCell(Unit):
    """Its state is the last output."""

    def __init__(self, spec: MultiplicativeConvGRU, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden)
        self.activation = spec.activation
        self.from_state = Conv2d(hidden, hidden, 1)
        self.from_input = Conv2d(inputs, hidden, 1)
        self.reset = Conv2d(hidden + inputs, hidden, spec.kernel)
        self.update = Conv2d(hidden + inputs, hidden, spec.kernel)
        self.candidate = Conv2d(inputs + hidden, hidden, spec.kernel)

    def start(self, encoding: Tensor) -> State:
        return (encoding,)

    def bind(self, dtype: torch.dtype) -> Step:
        from_state, from_input = self.from_state.bind(dtype), self.from_input.bind(dtype)
        gates = Gates(dtype, self.reset, self.update)
        candidate = self.candidate.bind(dtype)

        def step(x: Tensor, state: State) -> Output:
            (h,) = state
            # Clark et al. 2019, A.2
            g = from_state(h) * from_input(x)
            r, u = gates(join(g, x))
            c = self.activation(candidate(join(x, torch.sigmoid(r) * g)))
            h = mix(torch.sigmoid(u), g, c)
            return Output(h, (h,), None)

        return step
