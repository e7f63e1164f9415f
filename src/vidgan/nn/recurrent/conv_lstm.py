"""The convolutional long short-term memory (Shi et al. 2015; Luc et al. 2020, F.3), and with predicted kernels.

The latter is the dynamic ConvLSTM of Xu et al. 2018 as Luc et al. 2020 (F.4) adapt it, here for comparison. A step
takes memory and time in proportion to the square of its channels times the positions; the paper finds it 22 times
slower than a ConvGRU and too expensive to scale.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.bounds import Length
from vidgan.nn.joined import Gates, join
from vidgan.nn.layers import Conv2d, Linear
from vidgan.nn.recurrent.unit import (
    Activation,
    ActivationSpec,
    GatedUnitSpec,
    Output,
    ReLUSpec,
    State,
    Step,
    TanhSpec,
    Unit,
)
from vidgan.spec import require

GATES = 4
POOLED = 4


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
            h, cell = remember(gates(h, x), cell, self.activation)
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


class DynamicConvLSTMSpec(GatedUnitSpec):
    """A ConvLSTM with eight predicted kernels: four gates, each on the input and on the hidden state."""

    kernel: Length = 3
    """size of the predicted kernels (odd)"""
    # Our choice: F.4 names none. After a softmax over input channels a convolution sums k*k averages, so that
    # with ReLU the state gets about ten times larger at each step.
    activation: ActivationSpec = TanhSpec()
    """of the new content and of the cell on its way out"""
    width: Length = 8
    """hidden channels, and hidden units, of the Kernel CNN"""

    def validate(self) -> None:
        super().validate()

    def build(self, inputs: int, hidden: int) -> Unit:
        return DynamicConvLSTM(
            inputs, hidden, kernel=self.kernel, activation=self.activation, width=self.width
        )


class DynamicConvLSTM(Unit):
    """Its state is the hidden state, the cell and the first channels of the previous input.

    Each has ``ch`` channels, half of the output's. Without the original's fusion of
    past states ("Fus-4"), as in F.4.

    Raises:
        SpecError: if ``hidden`` is odd, or ``channels`` no multiple of its half.
    """

    def __init__(
        self,
        channels: int,
        hidden: int | None = None,
        *,
        kernel: int = 3,
        activation: Activation = torch.tanh,
        width: int = 8,
    ) -> None:
        super().__init__(channels, hidden)
        self.activation = activation
        self.ch = half_of(self.hidden)
        require(
            channels % self.ch == 0,
            f"a dynamic ConvLSTM's inputs must be a multiple of {self.ch}, half its channels; got {channels}",
        )
        # Luc et al. 2020, F.4: each difference of features is mapped to q + 1 kernels (per gate).
        self.kernels = KernelCNN(width, (GATES, 1 + channels // self.ch, kernel, kernel))
        # Our choice: the gates keep biases, which are learnt, not predicted.
        self.bias = nn.Parameter(torch.zeros(GATES * self.ch))

    def start(self, encoding: Tensor) -> State:
        h, cell = encoding.chunk(2, dim=1)
        return h, cell, encoding[:, : self.ch]

    def bind(self, dtype: torch.dtype) -> Step:
        predict = self.kernels.bind(dtype)
        bias = self.bias.to(dtype)[:, None, None]

        def step(x: Tensor, state: State) -> Output:
            h, cell, previous = state
            current = x[:, : self.ch]
            weights = sparsify(predict(current, previous))
            gates = convolve_each(join(h, x), weights) + bias
            h, cell = remember(gates.chunk(GATES, dim=1), cell, self.activation)
            return Output(join(h, cell), (h, cell, current))

        return step


class KernelCNN(nn.Module):
    """Maps every difference of a current and a previous feature map to kernels, with shared weights.

    Our choice, as F.4 names no layers: those of F.1's network for a basis (convolution, 4x4 adaptive maximum
    pooling, perceptron with one hidden layer). Beside its result a step holds (B C C width H W).
    """

    def __init__(self, width: int, kernels: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.shape = kernels
        self.features = Conv2d(1, width)
        self.hidden = Linear(width * POOLED**2, width)
        self.last = Linear(width, kernels[0] * kernels[1] * kernels[2] * kernels[3])

    def bind(self, dtype: torch.dtype) -> Callable[[Tensor, Tensor], Tensor]:
        """The network as a function, its weights normalised and cast once."""
        weight, bias = self.features.effective_weight(dtype), self.features.effective_bias(dtype)
        hidden, last = self.hidden.bind(dtype), self.last.bind(dtype)

        def convolve(x: Tensor, bias: Tensor | None) -> Tensor:
            maps = F.conv2d(x.flatten(0, 1)[:, None], weight, bias, padding=1)
            return torch.unflatten(maps, 0, x.shape[:2])

        def predict(current: Tensor, previous: Tensor) -> Tensor:
            # A convolution of a difference is the difference of two convolutions: of C maps, not of C * C.
            difference = convolve(current, bias)[:, :, None] - convolve(previous, None)[:, None]
            pooled = F.relu(F.adaptive_max_pool2d(difference.flatten(0, 2), POOLED)).flatten(1)
            kernels = last(F.relu(hidden(pooled)))
            return torch.unflatten(torch.unflatten(kernels, 1, self.shape), 0, difference.shape[:3])

        return predict

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        """Kernels (B, i, j, gates, q + 1, k, k) from the differences current[i] - previous[j] of (B C H W)."""
        return self.bind(current.dtype)(current, previous)


def sparsify(kernels: Tensor) -> Tensor:
    """Kernels (B, i, j, gates, q + 1, k, k) -> weights (B, gates*C, (q + 1)*C, k, k) of [h; x] convolutions.

    i is the input channel, j the output channel; the first of the q + 1 is for h, number p + 1 for channel
    p*C + i of x. Each of the eight kernels has a softmax over its own input channels (Luc et al. 2020, F.4).
    """
    weights = kernels.permute(0, 3, 2, 4, 1, 5, 6)  # B, gates, j, q + 1, i, k, k
    for_h, for_x = weights[:, :, :, :1], weights[:, :, :, 1:]
    parts = [part.flatten(3, 4).softmax(dim=3) for part in (for_h, for_x)]
    return torch.cat(parts, dim=3).flatten(1, 2)


def convolve_each(x: Tensor, weights: Tensor) -> Tensor:
    """Convolve each sample of x (B in H W) with its own weights (B out in k k), size kept by zeros."""
    groups, k = x.shape[0], weights.shape[-1]
    joined = F.conv2d(x.reshape(1, -1, *x.shape[2:]), weights.flatten(0, 1), padding=k // 2, groups=groups)
    return torch.unflatten(joined[0], 0, (groups, -1))
