"""Convolutional gated recurrent units: plain, multiplicative and K-TrajGRU. The state of each is its last output."""

import torch
from torch import Tensor

from vidgan.nn.joined import Gates, JoinedConvolution, join, kept_while_same
from vidgan.nn.layers import Conv2d, mix
from vidgan.nn.recurrent.unit import (
    Activation,
    ActivationSpec,
    GatedUnitSpec,
    Output,
    State,
    Step,
    TanhSpec,
    Unit,
    WarpingUnitSpec,
)
from vidgan.nn.warping import FactorisedWarpSpec, WarpSpec, warp


class ConvGRUSpec(GatedUnitSpec):
    """The plain unit; Clark et al. 2019 (A.2) use it for 48 frames."""

    def build(self, inputs: int, hidden: int) -> Unit:
        return ConvGRU(inputs, hidden, kernel=self.kernel, activation=self.activation)


class ConvGRU(Unit):
    """The plain unit (Luc et al. 2020, Eqs. 1-5)."""

    def __init__(
        self,
        channels: int,
        hidden: int | None = None,
        *,
        kernel: int = 3,
        activation: Activation = torch.relu,
    ) -> None:
        super().__init__(channels, hidden)
        self.activation = activation
        self.reset = Conv2d(self.hidden + channels, self.hidden, kernel)
        self.update = Conv2d(self.hidden + channels, self.hidden, kernel)
        self.candidate = Conv2d(self.hidden + channels, self.hidden, kernel)

    def bind(self, dtype: torch.dtype) -> Step:
        gates = Gates(dtype, self.reset, self.update)
        candidate = JoinedConvolution(dtype, self.candidate)

        def step(x: Tensor, state: State) -> Output:
            (h,) = state
            r, u = gates.sigmoid(h, x)
            # Luc et al. 2020, Eqs. 1-5
            c = self.activation(candidate(r * h, x))
            h = mix(u, h, c)
            return Output(h, (h,))

        return step


class MultiplicativeConvGRUSpec(GatedUnitSpec):
    """DVD-GAN's unit for fewer than 48 frames: a product of state and input takes the state's place."""

    def build(self, inputs: int, hidden: int) -> Unit:
        return MultiplicativeConvGRU(inputs, hidden, kernel=self.kernel, activation=self.activation)


class MultiplicativeConvGRU(Unit):
    """A product of state and input takes the state's place (Clark et al. 2019, A.2)."""

    def __init__(
        self,
        channels: int,
        hidden: int | None = None,
        *,
        kernel: int = 3,
        activation: Activation = torch.relu,
    ) -> None:
        super().__init__(channels, hidden)
        self.activation = activation
        self.from_state = Conv2d(self.hidden, self.hidden, 1)
        self.from_input = Conv2d(channels, self.hidden, 1)
        self.reset = Conv2d(self.hidden + channels, self.hidden, kernel)
        self.update = Conv2d(self.hidden + channels, self.hidden, kernel)
        self.candidate = Conv2d(channels + self.hidden, self.hidden, kernel)

    def bind(self, dtype: torch.dtype) -> Step:
        from_state, from_input = self.from_state.bind(dtype), kept_while_same(self.from_input.bind(dtype))
        gates = Gates(dtype, self.reset, self.update)
        candidate = JoinedConvolution(dtype, self.candidate)

        def step(x: Tensor, state: State) -> Output:
            (h,) = state
            # Clark et al. 2019, A.2
            g = from_state(h) * from_input(x)
            r, u = gates.sigmoid(g, x)
            c = self.activation(candidate(x, r * g))
            h = mix(u, g, c)
            return Output(h, (h,))

        return step


class KTrajGRUSpec(WarpingUnitSpec):
    """TrajGRU with kernels in place of flow vectors, and one warp."""

    activation: ActivationSpec = TanhSpec()
    """of the candidate"""

    def build(self, inputs: int, hidden: int) -> Unit:
        return KTrajGRU(inputs, hidden, kernel=self.kernel, activation=self.activation, warp=self.warp)


class KTrajGRU(Unit):
    """Gates and candidate see the warped state (Luc et al. 2020, Eqs. 16-22)."""

    def __init__(
        self,
        channels: int,
        hidden: int | None = None,
        *,
        kernel: int = 3,
        activation: Activation = torch.tanh,
        warp: WarpSpec = FactorisedWarpSpec(),
    ) -> None:
        super().__init__(channels, hidden)
        self.activation = activation
        self.warp = warp.build(self.hidden + channels)
        self.reset = Conv2d(self.hidden + channels, self.hidden, kernel)
        self.update = Conv2d(self.hidden + channels, self.hidden, kernel)
        self.candidate = Conv2d(self.hidden + channels, self.hidden, kernel)

    def bind(self, dtype: torch.dtype) -> Step:
        predict = self.warp.bind(dtype)
        gates = Gates(dtype, self.reset, self.update)
        candidate = JoinedConvolution(dtype, self.candidate)

        def step(x: Tensor, state: State) -> Output:
            (h,) = state
            kernels = predict(join(h, x))  # Luc et al. 2020, Eq. 16
            warped = warp(h, kernels)  # Eq. 17
            r, u = gates.sigmoid(warped, x)  # Eqs. 18, 21
            c = self.activation(candidate(r * warped, x))  # Eqs. 19-20
            h = mix(u, h, c)  # Eq. 22: the state itself, not the warped one
            return Output(h, (h,), kernels)

        return step
