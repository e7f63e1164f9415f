"""Clips of video: what they are prepared to, opened as and read by.

The names are loaded when first used, so that importing this package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidgan.data.dataset import ClipInfo, Dataset
    from vidgan.data.loader import Batch, Loader, to_float
    from vidgan.data.store import PreparedDataset
    from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
    from vidgan.data.torch_dataset import TorchDataset
    from vidgan.data.window import WindowSpec

__all__ = [
    "Batch",
    "ClipInfo",
    "Dataset",
    "Loader",
    "PreparedDataset",
    "SyntheticDataset",
    "SyntheticSpec",
    "TorchDataset",
    "WindowSpec",
    "to_float",
]

_HOMES = {
    "Batch": "loader",
    "ClipInfo": "dataset",
    "Dataset": "dataset",
    "Loader": "loader",
    "PreparedDataset": "store",
    "SyntheticDataset": "synthetic",
    "SyntheticSpec": "synthetic",
    "TorchDataset": "torch_dataset",
    "WindowSpec": "window",
    "to_float": "loader",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
