"""Settled statistics stand in a file beside the checkpoint, named by all that they depend on."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vidgan.run.checkpoints import State, checksum, load, save


def weights_hash(module: nn.Module) -> str:
    """A short hash of all weights and buffers of ``module``."""
    return _hash(module.state_dict())


def parameters_hash(module: nn.Module) -> str:
    """A short hash of the weights of ``module`` alone."""
    return _hash(dict(module.named_parameters()))


def statistics_hash(table: Mapping[str, Tensor]) -> str:
    """A short hash of settled statistics."""
    return _hash(table)


def _hash(table: Mapping[str, Tensor]) -> str:
    tensors = {name: t.detach().cpu().contiguous() for name, t in table.items()}
    digest = hashlib.blake2b(digest_size=10)
    for name in sorted(tensors):
        digest.update(f"{name}:{checksum({name: tensors[name]})};".encode())
    return digest.hexdigest()


def statistics_path(folder: Path, facts: dict[str, Any]) -> Path:
    """The file for statistics that depend on ``facts``: weights hash, average or raw, frames, sigma, passes."""
    text = json.dumps(facts, sort_keys=True)
    return folder / f"{hashlib.blake2b(text.encode(), digest_size=10).hexdigest()}.safetensors"


def save_statistics(folder: Path, facts: dict[str, Any], table: dict[str, Tensor]) -> Path:
    """Write a table of settled statistics; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = statistics_path(folder, facts)
    save(path, State(table, facts))
    return path


def load_statistics(folder: Path, facts: dict[str, Any]) -> dict[str, Tensor] | None:
    """The table that was settled for exactly these ``facts``; None where there is none."""
    path = statistics_path(folder, facts)
    return load(path).tensors if path.exists() else None
