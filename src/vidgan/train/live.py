"""Counting the bytes of tensors while they live: what the CPU's allocator does not tell, and the meta device cannot."""

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class LiveTensors(TorchDispatchMode):
    """While it holds, counts the storages of the tensors that are made. What kernels use inside is not seen.

    Attributes:
        now: bytes that live.
        most: the most that lived at a time; may be set back to ``now``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        given = {tensor.untyped_storage()._cdata for tensor in tensors_in((*args, *named.values()))}
        made = func(*args, **named)
        for tensor in tensors_in((made,)):
            if tensor.untyped_storage()._cdata not in given | self._known:
                self._add(tensor.untyped_storage())
        return made

    def _add(self, storage: torch.UntypedStorage) -> None:
        size, name = storage.nbytes(), storage._cdata
        self._known.add(name)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._drop, name, size)

    def _drop(self, name: int, size: int) -> None:
        self._known.discard(name)
        self.now -= size


def tensors_in(values: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among an operator's arguments or results, lists of them included."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors_in(value)
