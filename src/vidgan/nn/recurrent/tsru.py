"""Transformation-based spatial recurrent units (Luc et al. 2020, 3.2): warp the past, mix in new content.

The variants differ in what candidate and update gate see:

=========  ============  ===========
unit       candidate     update gate
=========  ============  ===========
TSRUc      [warped; x]   [h; x]
TSRUp      [h; x]        [h; x]
TSRUs      [warped; x]   [warped; c]
PTSRU      as TSRUs, with a kernel of its own at every position
=========  ============  ===========
"""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from vidgan.nn.joined import Gates, JoinedConvolution, join
from vidgan.nn.layers import Conv2d, mix
from vidgan.nn.recurrent.unit import Activation, Output, State, Step, Unit, WarpingUnitSpec
from vidgan.nn.warping import FactorisedWarpSpec, PixelwiseWarpSpec, WarpSpec, warp

Content = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(h, warped h, x) -> (candidate after its activation, update gate before its sigmoid)."""


class TSRUcSpec(WarpingUnitSpec):
    """The unit that follows ConvGRU (Eqs. 6-10)."""

    def build(self, inputs: int, hidden: int) -> Unit:
        return TSRUc(inputs, hidden, kernel=self.kernel, activation=self.activation, warp=self.warp)


class TSRUpSpec(WarpingUnitSpec):
    """Transformation, candidate and update gate in parallel."""

    def build(self, inputs: int, hidden: int) -> Unit:
        return TSRUp(inputs, hidden, kernel=self.kernel, activation=self.activation, warp=self.warp)


class TSRUsSpec(WarpingUnitSpec):
    """Transformation, candidate and update gate in sequence."""

    def build(self, inputs: int, hidden: int) -> Unit:
        return TSRUs(inputs, hidden, kernel=self.kernel, activation=self.activation, warp=self.warp)


class PTSRUSpec(WarpingUnitSpec):
    """TSRUs with pixelwise warping: the paper's PTSRU_s."""

    warp: WarpSpec = PixelwiseWarpSpec()

    def build(self, inputs: int, hidden: int) -> Unit:
        return PTSRU(inputs, hidden, kernel=self.kernel, activation=self.activation, warp=self.warp)


class TSRU(Unit):
    """What the variants share: the warped state, mixed with a candidate. Its state is the last output."""

    def __init__(
        self,
        channels: int,
        hidden: int | None = None,
        *,
        kernel: int = 3,
        activation: Activation = torch.relu,
        warp: WarpSpec = FactorisedWarpSpec(),
    ) -> None:
        super().__init__(channels, hidden)
        self.activation = activation
        self.warp = warp.build(self.hidden + channels)
        self.candidate = Conv2d(self.hidden + channels, self.hidden, kernel)
        self.update = Conv2d(self.hidden + self.second(), self.hidden, kernel)

    def second(self) -> int:
        """Channels of the update gate's second input."""
        return self.inputs

    @abstractmethod
    def content(self, dtype: torch.dtype) -> Content:
        """Candidate and update gate, their weights normalised and cast once."""

    def bind(self, dtype: torch.dtype) -> Step:
        predict, content = self.warp.bind(dtype), self.content(dtype)

        def step(x: Tensor, state: State) -> Output:
            (h,) = state
            kernels = predict(join(h, x))  # Luc et al. 2020, Eq. 6
            warped = warp(h, kernels)  # Eq. 7
            c, u = content(h, warped, x)  # Eqs. 8-9
            h = mix(torch.sigmoid(u), warped, c)  # Eq. 10
            return Output(h, (h,), kernels)

        return step


class TSRUc(TSRU):
    """The candidate sees the warped state."""

    def content(self, dtype: torch.dtype) -> Content:
        candidate, update = JoinedConvolution(dtype, self.candidate), JoinedConvolution(dtype, self.update)

        def compute(h: Tensor, warped: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.activation(candidate(warped, x)), update(h, x)

        return compute


class TSRUp(TSRU):
    """Neither sees the warped state."""

    def content(self, dtype: torch.dtype) -> Content:
        gates = Gates(dtype, self.candidate, self.update)

        def compute(h: Tensor, warped: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            c, u = gates(h, x)
            return self.activation(c), u

        return compute


class TSRUs(TSRU):
    """The candidate sees the warped state, the update gate sees both."""

    def second(self) -> int:
        return self.hidden

    def content(self, dtype: torch.dtype) -> Content:
        candidate, update = JoinedConvolution(dtype, self.candidate), JoinedConvolution(dtype, self.update)

        def compute(h: Tensor, warped: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            c = self.activation(candidate(warped, x))
            return c, update(warped, c)

        return compute


class PTSRU(TSRUs):
    """TSRUs with pixelwise warping."""

    def __init__(
        self,
        channels: int,
        hidden: int | None = None,
        *,
        kernel: int = 3,
        activation: Activation = torch.relu,
        warp: WarpSpec = PixelwiseWarpSpec(),
    ) -> None:
        super().__init__(channels, hidden, kernel=kernel, activation=activation, warp=warp)
