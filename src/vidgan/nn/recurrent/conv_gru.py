"""Convolutional gated recurrent units: plain, multiplicative and K-TrajGRU."""

import torch
from torch import Tensor

from vidgan.nn.layers import Conv2d, Gates, join, mix
from vidgan.nn.recurrent.unit import (
    ActivationSpec,
    GatedUnitSpec,
    Output,
    State,
    Step,
    TanhSpec,
    Unit,
)
from vidgan.nn.warp import FactorisedWarpSpec, warp


class ConvGRUSpec(GatedUnitSpec):
    """The plain unit; Clark et al. 2019 (A.2) use it for 48 frames."""

    def build(self, inputs: int, hidden: int) -> Unit:
        return ConvGRU(self, inputs, hidden)


class ConvGRU(Unit):
    """Its state is the last output."""

    def __init__(self, spec: ConvGRUSpec, inputs: int, hidden: int) -> None:
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


class MultiplicativeConvGRUSpec(GatedUnitSpec):
    """DVD-GAN's unit for fewer than 48 frames: a product of state and input takes the state's place."""

    def build(self, inputs: int, hidden: int) -> Unit:
        return MultiplicativeConvGRU(self, inputs, hidden)


class MultiplicativeConvGRU(Unit):
    """Its state is the last output."""

    def __init__(self, spec: MultiplicativeConvGRUSpec, inputs: int, hidden: int) -> None:
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


class KTrajGRUSpec(GatedUnitSpec):
    """TrajGRU with kernels in place of flow vectors, and one warp."""

    activation: ActivationSpec = TanhSpec()
    """of the candidate"""
    warp: FactorisedWarpSpec = FactorisedWarpSpec()

    def build(self, inputs: int, hidden: int) -> Unit:
        return KTrajGRU(self, inputs, hidden)

    @property
    def warps(self) -> bool:
        return True


class KTrajGRU(Unit):
    """Its state is the last output."""

    def __init__(self, spec: KTrajGRUSpec, inputs: int, hidden: int) -> None:
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
