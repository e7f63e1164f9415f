"""The meta device as a stand-in for a GPU: what a step asks of it, without one.

Tensors on it have no values, so that a step at any size takes no time to speak of, and nothing can be read back. On a
GPU, the processor runs ahead of the kernels that it starts until something has to be read or copied and it waits; and
tensors of both places do not go together. Both are errors here, at the line that asks for them.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GPU = torch.device("meta")
COPIES = {"aten::_to_copy", "aten::copy_", "aten::_foreach_copy_"}
READS = {
    "aten::_local_scalar_dense",
    "aten::equal",
    "aten::is_nonzero",
    "aten::nonzero",
    "aten::masked_select",
    "aten::bincount",
    "aten::_unique2",
    "aten::unique_dim",
    "aten::unique_consecutive",
    "aten::repeat_interleave",
}
"""operators whose value, or the shape of it, the processor has to know"""
FROM_VALUES = {"tensor", "as_tensor", "asarray", "new_tensor"}
"""functions that make a tensor of Python's numbers, and copy it to its device"""


class WaitError(AssertionError):
    """The processor would wait for the GPU."""


class MixedError(AssertionError):
    """Tensors of the GPU and of the CPU in one operator."""


class PretendedGPU(TorchDispatchMode):
    """While it holds, what would wait or mix raises; copies to the GPU are counted.

    Attributes:
        sent: copies from the CPU to the GPU, none of which waited.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0
        self._functions = _FromValues()

    def __enter__(self) -> "PretendedGPU":
        self._functions.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._functions.__exit__(*error)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named, name = kwargs or {}, func._schema.name
        given = list(tensors_in((args, named)))
        there = [tensor for tensor in given if tensor.is_meta]
        here = [tensor for tensor in given if not tensor.is_meta]
        if name in READS and there and "output_size" not in named:
            raise WaitError(f"{name} has to know a value")
        if name == "aten::_to_copy":
            to = named.get("device") or given[0].device
            self._copied(bool(there), torch.device(to).type == "meta", bool(named.get("non_blocking")))
        elif name in COPIES and there and here:
            blocking = not (named.get("non_blocking") or (len(args) > 2 and args[2]))
            self._copied(not next(tensors_in(args[:1])).is_meta, True, not blocking)
        elif there and name in (
            "aten::index",
            "aten::index_put",
            "aten::index_put_",
            "aten::_index_put_impl_",
        ):
            places = [place for place in args[1] if place is not None]
            if any(place.dtype in (torch.bool, torch.uint8) for place in places):
                raise WaitError(f"{name} by a mask has to know how many it holds")
            if any(not place.is_meta for place in places):
                raise WaitError(f"{name} by numbers on the CPU copies them")
        # A number of no axes is passed to the kernel as it is.
        elif there and any(tensor.dim() > 0 for tensor in here):
            raise MixedError(f"{name} of {[(str(t.device), tuple(t.shape)) for t in given]}")
        return func(*args, **named)

    def _copied(self, from_gpu: bool, to_gpu: bool, non_blocking: bool) -> None:
        if from_gpu == to_gpu:
            return
        if from_gpu:
            raise WaitError("a copy from the GPU")
        if not non_blocking:
            raise WaitError("a copy to the GPU without non_blocking")
        self.sent += 1


class _FromValues(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named, name = kwargs or {}, getattr(func, "__name__", "")
        if name in FROM_VALUES:
            values = args[-1] if name == "new_tensor" else args[0]
            there = args[0].is_meta if name == "new_tensor" else is_gpu(named.get("device"))
            if there and not isinstance(values, Tensor):
                raise WaitError(f"{name} of Python's values on the GPU copies them")
        return func(*args, **named)


def is_gpu(device: torch.device | str | None) -> bool:
    """Whether ``device`` is the stand-in."""
    return device is not None and torch.device(device).type == GPU.type


def tensors_in(values: Any) -> Iterator[Tensor]:
    """The tensors among an operator's arguments."""
    return (leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor))
