"""K-TrajGRU: a ConvGRU whose gates see a warped state (Luc et al. 2020, F.2)."""

import torch
from torch import Tensor

from vidgan.nn.activation import Activation, Tanh
from vidgan.nn.gates import Gates, join, mix, require_odd
from vidgan.nn.layers import Conv2d
from vidgan.nn.recurrent.unit import Output, State, Step, Unit
from vidgan.nn.warp import Factorised, warp
from vidgan.spec import Spec


class KTrajGRU(Spec):
    """TrajGRU with kernels in place of flow vectors, and one warp."""

    kernel: int = 3
    """size of the gates' convolutions (odd)"""
    activation: Activation = Tanh()
    """of the candidate"""
    warp: Factorised = Factorised()

    def validate(self) -> None:
        require_odd(self.kernel)

    def build(self, inputs: int, hidden: int) -> Unit:
        return KTrajGRUCell(self, inputs, hidden)


class KTrajGRUCell(Unit):
    """Its state is the last output."""

    def __init__(self, spec: KTrajGRU, inputs: int, hidden: int) -> None:
        super().__init__(inputs, hidden)
        self.activation = spec.activation
        self.warp = spec.warp.build(hidden + inputs)
        self.reset = Conv2d(hidden + inputs, hidden, spec.kernel)
        self.update = Conv2d(hidden + inputs, hidden, spec.kernel)
        self.candidate = Conv2d(hidden + inputs, hidden, spec.kernel)

    def start(self, encoding: Tensor) -> State:
        return (encoding,)

    def bind(self, dtype: torch.dtype) -> Step:
        predict = self.warp.bind(dtype)
        gates = Gates(dtype, self.reset, self.update)
        candidate = self.candidate.bind(dtype)

        def step(x: Tensor, state: State) -> Output:
            (h,) = state
            kernels = predict(join(h, x))  # Luc et al. 2020, Eq. 16
            warped = warp(h, kernels)  # Eq. 17
            r, u = gates(join(warped, x))  # Eqs. 18, 21
            c = self.activation(candidate(join(torch.sigmoid(r) * warped, x)))  # Eqs. 19-20
            h = mix(torch.sigmoid(u), h, c)  # Eq. 22: the state itself, not the warped one
            return Output(h, (h,), kernels)

        return step
