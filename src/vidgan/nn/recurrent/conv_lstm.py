"""The convolutional long short-term memory (Shi et al. 2015; Luc et al. 2020, F.3)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vidgan.nn.layers import Conv2d, Gates, join
from vidgan.nn.recurrent.unit import (
    Activation,
    ActivationSpec,
    GatedUnitSpec,
    Output,
    ReLUSpec,
    State,
    Step,
    Unit,
)
from vidgan.spec import require


class ConvLSTMSpec(GatedUnitSpec):
    """Half of the channels are the hidden state, half the memory cell."""

    activation: ActivationSpec = ReLUSpec()
    """of the new content and of the cell on its way out; ReLU beat tanh (Luc et al. 2020, F.1)"""

    def build(self, inputs: int, hidden: int) -> Unit:
        return ConvLSTM(inputs, hidden, kernel=self.kernel, activation=self.activation)


class ConvLSTM(Unit):
    """Its state is the hidden state and the cell, (B hidden/2 H W) each; its output joins them.

    Our choice: no peephole connections; the paper prints no equations.

    Raises:
        SpecError: if ``hidden`` is odd.
    """

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
        half = half_of(self.hidden)
        self.input = Conv2d(half + channels, half, kernel)
        self.forget = Conv2d(half + channels, half, kernel)
        self.output = Conv2d(half + channels, half, kernel)
        self.candidate = Conv2d(half + channels, half, kernel)

    def start(self, encoding: Tensor) -> State:
        return encoding.chunk(2, dim=1)

    def bind(self, dtype: torch.dtype) -> Step:
        gates = Gates(dtype, self.input, self.forget, self.output, self.candidate)

        def step(x: Tensor, state: State) -> Output:
            h, cell = state
            h, cell = remember(gates(join(h, x)), cell, self.activation)
            return Output(join(h, cell), (h, cell))

        return step


def remember(gates: Sequence[Tensor], cell: Tensor, activation: Activation) -> tuple[Tensor, Tensor]:
    """The next hidden state and cell from the four gates before their activations.

    Args:
        gates: input, forget and output gate, candidate; each as ``cell`` (B C H W).
    """
    i, f, o, c = gates
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * activation(c)
    return torch.sigmoid(o) * activation(cell), cell


def half_of(hidden: int) -> int:
    """Channels of the hidden state and of the cell; raises :class:`vidgan.spec.SpecError` if it is odd."""
    require(hidden % 2 == 0, f"an LSTM splits its channels in two halves, so they must be even, got {hidden}")
    return hidden // 2
