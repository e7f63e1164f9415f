"""How many kernels a training step of a checkout starts on a GPU: a process of count_kernels.py.

Counted on the meta device, which goes where a GPU does and computes nothing: operators that are no views, for each
operator of many tensors the launches that CUDA makes of it. What is not seen: that an operator may be several kernels
(a product over large matrices, a convolution with its changes of order) and that a compiler joins some.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

TENSORS: Final = (110, 64, 48, 36, 30)
"""Of each list in a launch of a kernel on lists of tensors, by the number of lists (torch's MultiTensorApply.cuh)."""
BLOCKS: Final = 320
"""in such a launch"""
CHUNK: Final = 65_536
"""values of a block"""
ADAM: Final = 4
"""lists that a step of fused Adam goes through: weights, gradients and both moments"""
NOTHING: Final = ("empty", "new_empty", "lift_fresh", "detach", "_unsafe_view", "_reshape_alias", "set_")
"""operators without a kernel besides views"""


class Kernels(TorchDispatchMode):
    """While it holds, counts the kernels of operators on the meta device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def add(self, count: int) -> None:
        """Count what is not run: Adam, which is a loop over tensors on the meta device."""
        self.count += count

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        name = func._schema.name.removeprefix("aten::")
        on_gpu = any(isinstance(leaf, Tensor) and leaf.is_meta for leaf in tree_leaves((args, made)))
        if on_gpu and not (func.is_view or name.startswith(NOTHING)):
            lists = [each for each in args if isinstance(each, list | tuple) and is_of_tensors(each)]
            self.count += launches(lists[0], len(lists)) if name.startswith("_foreach") else 1
        return made


def is_of_tensors(values: Sequence[object]) -> bool:
    """Whether an operator's list is one of tensors."""
    return len(values) > 0 and isinstance(values[0], Tensor)


def launches(tensors: Sequence[Tensor], lists: int) -> int:
    """Of an operator on so many lists like ``tensors``."""
    blocks = sum(math.ceil(tensor.numel() / CHUNK) for tensor in tensors)
    return max(math.ceil(len(tensors) / TENSORS[lists - 1]), math.ceil(blocks / BLOCKS))


def fused_attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """What CUDA takes where queries and values have different widths; the meta device would take its parts."""
    made = torch.ops.aten._scaled_dot_product_efficient_attention(query, key, value, None, True, scale=scale)
    seen: Tensor = made[0]
    return seen


@contextmanager
def attention_as_on_cuda() -> Iterator[None]:
    """While it holds, attention is :func:`fused_attention`."""
    plain = F.scaled_dot_product_attention
    F.scaled_dot_product_attention = fused_attention  # type: ignore[assignment]
    try:
        yield
    finally:
        F.scaled_dot_product_attention = plain


def count(preset: str, level: int, clips: int, penalty: bool) -> int:
    """Kernels of a step of a preset's level (from 1), with or without its orthogonal penalty."""
    import vidgan.presets
    from training import Trainee, with_batch

    experiment = with_batch(vidgan.presets.preset(preset), clips)
    if not penalty:
        experiment = experiment.replace(training=experiment.training.replace(orthogonal_penalty=0.0))
    trainee = Trainee(experiment, level - 1, torch.device("meta"))
    if hasattr(trainee.state, "below") and level > 1:  # 66b4565's had none there
        trainee.state.below = NoiseBelow(trainee.state.level)  # type: ignore[assignment]
    kernels = Kernels()
    with ExitStack() as replaced:
        for optimiser in trainee.state.optimisers:
            weights = [weight for group in optimiser.param_groups for weight in group["params"]]
            counted = partial(kernels.add, launches(weights, ADAM))
            replaced.enter_context(mock.patch.object(optimiser, "step", counted))
        replaced.enter_context(attention_as_on_cuda())
        trainee.step()
        kernels.count = 0
        with kernels:
            trainee.step()
    return kernels.count


class NoiseBelow:
    """Noise in place of the videos of the levels below, for commits of any age."""

    generators = ()

    def __init__(self, level: Any) -> None:
        self.size = level.spec.trained_frames // level.below.factor, 3, level.below.size, level.below.size

    def __call__(self, label: Tensor, step: int, update: int, first: int) -> Tensor:
        return torch.randn((len(label), *self.size), device=label.device)


def main(checkout: str, preset: str, level: int, clips: int, penalty: bool) -> None:
    sys.path[:0] = [f"{checkout}/benchmarks", f"{checkout}/src"]
    import vidgan

    assert Path(vidgan.__file__).is_relative_to(checkout), f"{vidgan.__file__} is not of {checkout}"
    print(count(preset, level, clips, penalty))


if __name__ == "__main__":
    place, name, number, batch, with_penalty = sys.argv[1:]
    main(place, name, int(number), int(batch), with_penalty == "True")
