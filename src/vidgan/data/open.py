"""Opening data, whatever they are: a prepared folder, built-in clips, or a torch ``Dataset`` of the user's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from vidgan.data.dataset import Dataset
from vidgan.data.fetched import open_stored
from vidgan.data.remote import is_url
from vidgan.data.synthetic import BUILT_IN, SyntheticDataset
from vidgan.data.torch_dataset import TorchDataset, open_named
from vidgan.errors import UserError, did_you_mean


def open_dataset(
    source: "str | Path | Dataset | torch.utils.data.Dataset[Any] | Sequence[tuple[Any, int]]",
    *,
    size: int | None = None,
    frames: int | None = None,
    clips: int | None = None,
    seed: int | None = None,
    cache: str | Path | None = None,
) -> Dataset:
    """The clips that ``source`` stands for.

    Args:
        source: the folder of a prepared dataset, or its URL in an object store, such as ``"s3://bucket/folder"``, whose
            shards are kept on this machine's disk as they are read; ``"synthetic"``, ``"synthetic-textured"`` (striped
            shapes that pass behind another) or ``"synthetic-open"`` (shapes that begin in the middle and go one of four
            ways); ``"my_data.py:clips"``, a torch ``Dataset`` in a file of one's own, or a function that makes it; such
            a dataset itself (:class:`~vidgan.data.torch_dataset.TorchDataset` says what it may tell); or a dataset that
            is open already.
        size: of built-in clips: height and width (pixels); 24 without it.
        frames: of built-in clips: frames per clip; 8 without it.
        clips: of built-in clips: their number; 10,000 without it.
        seed: of built-in clips: everything in them derives from it; 0 without it.
        cache: folder for data of object stores; without it ``$VIDGAN_DATA_CACHE``, or ``vidgan/data`` in the user's
            cache folder.

    Raises:
        UserError: where there is no such dataset.
    """
    given = {"size": size, "frames": frames, "clips": clips, "seed": seed}
    given = {name: value for name, value in given.items() if value is not None}
    if isinstance(source, str) and source in BUILT_IN:
        return SyntheticDataset(BUILT_IN[source].replace(**given))
    if given:
        raise UserError(f"{', '.join(given)} can be chosen for built-in clips alone, not for {source}")
    if isinstance(source, Dataset):
        return source
    if isinstance(source, Path) or (isinstance(source, str) and not is_named(source)):
        _require_place(str(source))
        return open_stored(source, None if cache is None else Path(cache))
    return open_named(source) if isinstance(source, str) else TorchDataset(source)


def _require_place(source: str) -> None:
    """Raise :class:`UserError` where ``source`` is no folder, but a Python file or nearly a name of built-in clips."""
    if is_url(source) or Path(source).is_dir():
        return
    if source.endswith(".py"):
        raise UserError(f"name the dataset in the file, too: {source}:NAME")
    if hint := did_you_mean(source, sorted(BUILT_IN)):
        raise UserError(f"there is no folder {source}, nor are there built-in clips of this name{hint}")


def open_fitting(source: str, size: int, frames: int, seed: int = 0) -> Dataset:
    """The clips called ``source``; built-in ones of this size and length.

    Raises:
        UserError: as :func:`open_dataset`.
    """
    if source in BUILT_IN:
        return open_dataset(source, size=size, frames=frames, seed=seed)
    return open_dataset(source)


def is_named(source: str) -> bool:
    """Whether ``source`` is ``file.py:name``: data whose opening runs a file of the user's."""
    return source.rpartition(":")[0].endswith(".py")
