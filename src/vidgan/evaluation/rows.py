"""Rows of a set of clips, computed part by part, kept on disk under a key made of all that they depend on.

What was computed before is not computed again: an evaluation that was killed goes on, real clips are looked at
once, and several processes share the parts. Anything that changes the rows changes the key.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import torch
from numpy.typing import NDArray

from vidgan import __version__
from vidgan.evaluation.clips import Clips
from vidgan.evaluation.protocols.extractors import Extractor
from vidgan.evaluation.protocols.metrics import Table
from vidgan.files import write_json, write_whole
from vidgan.spec import to_json

PART = 32
"""clips per part; fixed, so that the batches a network sees never depend on where a run was cut"""
LABELS = "labels"

Advance = Callable[[int], None]
"""called with a number of clips that are done"""
Begin = Callable[[str, int, int], Advance]
"""called with what is looked at, the number of clips, and of those that were done before"""


class Shares(NamedTuple):
    """This process among those that share an evaluation."""

    rank: int = 0
    size: int = 1
    wait: Callable[[], None] = lambda: None
    """returns when all processes have come here"""

    @property
    def is_rank_zero(self) -> bool:
        """Whether this process writes results and talks."""
        return self.rank == 0


def default_cache() -> Path:
    """Where rows are kept unless the user says otherwise: ``vidgan`` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vidgan"


def key_of(clips: Clips, extractor: Extractor) -> dict[str, Any]:
    """All that the rows of ``clips`` depend on."""
    plain = {name: value for name, value in extractor.facts.items() if name != "file"}
    return {
        "clips": clips.identity,
        "classes": list(clips.classes),
        "features": to_json(extractor.spec),
        "facts": plain,
        "vidgan": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "av": av.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "part": PART,
    }


def folder_of(cache: Path, key: dict[str, Any]) -> Path:
    """The folder for rows with this key."""
    text = json.dumps(key, sort_keys=True)
    return cache / hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def compute_rows(
    clips: Clips, extractor: Extractor, cache: Path, shares: Shares, what: str, begin: Begin
) -> tuple[Table, Path]:
    """The rows of all ``clips``, and the folder in which they are kept.

    Raises:
        UserError: where a clip cannot be read or does not fit the network.
    """
    key = key_of(clips, extractor)
    folder = folder_of(cache, key)
    folder.mkdir(parents=True, exist_ok=True)
    if shares.is_rank_zero and not (folder / "key.json").exists():
        write_json(folder / "key.json", key)
    numbers = list(range(0, clips.count, PART))
    mine = [number for place, number in enumerate(numbers) if place % shares.size == shares.rank]
    missing = [n for n in mine if load_part(folder, n, _length(n, clips.count)) is None]
    if missing:
        total = sum(_length(n, clips.count) for n in mine)
        left = sum(_length(n, clips.count) for n in missing)
        advance = begin(what, total, total - left)
        for first in missing:
            length = _length(first, clips.count)
            batch = clips.read(range(first, first + length))
            _save_part(folder, first, {**extractor.rows(batch), LABELS: batch.labels})
            advance(length)
    shares.wait()
    parts = [load_part(folder, n, _length(n, clips.count)) for n in numbers]
    whole = [part for part in parts if part is not None]
    assert len(whole) == len(numbers), f"another process removed rows from {folder}"
    joined = {name: np.concatenate([part[name] for part in whole]) for name in whole[0]}
    labels = joined.pop(LABELS)
    return Table(joined, labels, clips.classes), folder


def forget(folder: Path) -> None:
    """Remove rows that are not needed again."""
    shutil.rmtree(folder, ignore_errors=True)


def load_part(folder: Path, first: int, length: int) -> dict[str, NDArray[Any]] | None:
    """The rows from clip ``first`` on; None where they are missing or damaged."""
    try:
        with np.load(_part_path(folder, first), allow_pickle=False) as arrays:
            part = {name: arrays[name] for name in arrays.files}
    except Exception:  # zip files fail in many ways; whatever is wrong, the part is computed again
        return None
    whole = LABELS in part and all(len(array) == length for array in part.values())
    return part if whole else None


def _save_part(folder: Path, first: int, arrays: dict[str, NDArray[Any]]) -> None:
    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    write_whole(_part_path(folder, first), write)


def _part_path(folder: Path, first: int) -> Path:
    return folder / f"rows-{first:08d}.npz"


def _length(first: int, count: int) -> int:
    return min(PART, count - first)
