"""The contract of a recurrent unit, its activations, and the loop over time that runs any of them.

A unit of one's own is a module and the spec that builds it::

    class Leaky(Unit):
        def __init__(self, inputs, hidden):
            super().__init__(inputs, hidden)
            self.content = Conv2d(hidden + inputs, hidden)

        def bind(self, dtype):
            content = self.content.bind(dtype)

            def step(x, state):
                (h,) = state
                h = 0.9 * h + 0.1 * torch.tanh(content(join(h, x)))
                return Output(h, (h,))

            return step

    class LeakySpec(UnitSpec):
        def build(self, inputs, hidden):
            return Leaky(inputs, hidden)
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from vidgan.bounds import Length
from vidgan.nn.layers import require_odd
from vidgan.nn.warping import FactorisedWarpSpec, WarpSpec
from vidgan.shapes import stack_time
from vidgan.spec import Spec

State = tuple[Tensor, ...]
"""What a unit carries from step to step, each (B, ?, H, W): one tensor for a GRU, two for an LSTM."""

Activation = Callable[[Tensor], Tensor]
"""The activation of each value."""


class Output(NamedTuple):
    """What a unit gives at one step."""

    y: Tensor
    """features (B, hidden, H, W)"""
    state: State
    """the state for the next step"""
    kernels: Tensor | None = None
    """the warp's weights per position (B, k*k, H, W) where the unit warps; else None. They make motion fields."""


class Step(Protocol):
    """One time step with weights that are already normalised and cast."""

    def __call__(self, x: Tensor, state: State) -> Output: ...


class ActivationSpec(Spec, ABC):
    """An activation that a network's spec may choose."""

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """The activation of each value."""


class ReLUSpec(ActivationSpec):
    """max(x, 0)."""

    def __call__(self, x: Tensor) -> Tensor:
        return torch.relu(x)


class TanhSpec(ActivationSpec):
    """The hyperbolic tangent."""

    def __call__(self, x: Tensor) -> Tensor:
        return torch.tanh(x)


class Unit(nn.Module, ABC):
    """A convolutional recurrent unit: ``inputs`` channels in, ``hidden`` channels out, size kept.

    Layers inside :meth:`bind` are called with weights that are normalised once for all steps, so that hooks on them
    do not run; those on the unit do.

    Args:
        hidden: None: as many as ``inputs``.
    """

    def __init__(self, inputs: int, hidden: int | None = None) -> None:
        super().__init__()
        self.inputs = inputs
        self.hidden = inputs if hidden is None else hidden

    @abstractmethod
    def bind(self, dtype: torch.dtype) -> Step:
        """The step function, its weights normalised and cast to ``dtype`` once for the whole loop."""

    def start(self, encoding: Tensor) -> State:
        """The first state from an encoding (B, hidden, H, W); a unit with another state than its last output says how.

        Args:
            encoding: all zeros where nothing conditions the unit.
        """
        return (encoding,)

    def forward(self, x: Tensor, encoding: Tensor | None = None) -> Tensor:
        """Features (B T hidden H W) of inputs (B T inputs H W).

        Args:
            encoding: what the first state is made from (B hidden H W); None: zeros.
        """
        return stack_time([y for y, _ in outputs(self, x, encoding)])


class UnitSpec(Spec, ABC):
    """What describes a recurrent unit."""

    @property
    def warps(self) -> bool:
        """Whether the unit moves its state by kernels, which motion fields are made of."""
        return False

    @abstractmethod
    def build(self, inputs: int, hidden: int) -> Unit:
        """The unit: ``inputs`` channels in, ``hidden`` channels out."""


class GatedUnitSpec(UnitSpec, ABC):
    """A unit of gates and a candidate, each a convolution of input and state."""

    kernel: Length = 3
    """size of the convolutions of gates and candidate (odd)"""
    activation: ActivationSpec = ReLUSpec()
    """of the candidate"""

    def validate(self) -> None:
        require_odd(self.kernel)


class WarpingUnitSpec(GatedUnitSpec, ABC):
    """A gated unit that moves its state by predicted kernels."""

    warp: WarpSpec = FactorisedWarpSpec()

    @property
    def warps(self) -> bool:
        return True


def unroll(unit: Unit, x: Tensor, encoding: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """What :meth:`Unit.forward` gives, with the kernels of the unit's warps.

    Args:
        x: inputs (B T inputs H W).
        encoding: what the first state is made from (B hidden H W); None: zeros.

    Returns:
        features (B T hidden H W), and the warp's weights (B T k*k H W) where the unit warps, else None.
    """
    made = outputs(unit, x, encoding)
    kernels = [kernel for _, kernel in made if kernel is not None]
    return stack_time([y for y, _ in made]), stack_time(kernels) if kernels else None


def outputs(unit: Unit, x: Tensor, encoding: Tensor | None) -> list[tuple[Tensor, Tensor | None]]:
    """Features (B hidden H W) and kernels of every step."""
    step = unit.bind(x.dtype)
    if encoding is None:
        # Our choice: without an encoder the first state is zero; Clark et al. 2019 do not say.
        encoding = x.new_zeros((x.shape[0], unit.hidden, *x.shape[3:]))
    state = unit.start(encoding)
    made = []
    for x_t in steps_of(x):
        y, state, kernels = step(x_t, state)
        made.append((y, kernels))
    return made


_anew: ContextVar[bool] = ContextVar(
    "units see every step of a repeated frame as a tensor of its own", default=False
)


@contextmanager
def every_step_anew() -> Iterator[None]:
    """Units within compute all of every step, as the papers' do, for those who count what these take."""
    before = _anew.set(True)
    try:
        yield
    finally:
        _anew.reset(before)


def steps_of(x: Tensor) -> Sequence[Tensor]:
    """Every step (B C H W) of a video (B T C H W); one and the same tensor where the video repeats its first step."""
    once = x.stride(1) == 0 and (torch.compiler.is_compiling() or not _anew.get())
    return [x[:, 0]] * x.shape[1] if once else x.unbind(dim=1)
