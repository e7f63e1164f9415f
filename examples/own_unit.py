"""A recurrent unit of one's own, in a published model, without a change to the package.

python examples/own_unit.py --out runs/own --steps 20
vidgan train examples/own_unit.py:experiment --data synthetic --out runs/own
vidgan sample runs/own --out samples --code examples/own_unit.py
"""

import argparse

import torch
from torch import Tensor

import vidgan
from vidgan.nn import Conv2d, Output, State, Step, Unit, UnitSpec


class MinimalGRU(Unit):
    """One gate that sees the input alone: h = (1 - u) h + u relu(c), with u and c convolutions of x."""

    def __init__(self, inputs: int, hidden: int, kernel: int = 3) -> None:
        super().__init__(inputs, hidden)
        self.gate = Conv2d(inputs, hidden, kernel)
        self.candidate = Conv2d(inputs, hidden, kernel)

    def bind(self, dtype: torch.dtype) -> Step:
        gate, candidate = self.gate.bind(dtype), self.candidate.bind(dtype)  # normalised once for all steps

        def step(x: Tensor, state: State) -> Output:
            u = torch.sigmoid(gate(x))
            h = torch.lerp(state[0], torch.relu(candidate(x)), u)
            return Output(h, (h,))

        return step


class MinimalGRUSpec(UnitSpec):
    """What is written into experiments: its fields are checked, and can be set on the command line."""

    kernel: int = 3
    """size of the convolutions (odd)"""

    def build(self, inputs: int, hidden: int) -> Unit:
        return MinimalGRU(inputs, hidden, self.kernel)


def experiment() -> vidgan.Experiment:
    return vidgan.preset("demo").with_unit(MinimalGRUSpec())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--out", default="runs/own")
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    vidgan.Trainer(experiment(), vidgan.open_dataset(args.data), out=args.out).fit(steps=args.steps)
    model = vidgan.load(args.out, code=__file__)
    print(model.experiment.deviations[-1])
    print(model.sample(4).shape)
