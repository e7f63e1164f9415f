"""What is computed of every clip: a network with everything that is done to a clip before it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidgan.data.dataset import Dataset
from vidgan.errors import UserError
from vidgan.evaluate.batch import Batch, Videos
from vidgan.evaluate.features.network import exact_float32
from vidgan.evaluate.features.weights import Weights
from vidgan.spec import Spec

Rows = Mapping[str, NDArray[Any]]
"""Arrays by name, a row per clip."""


class Means(NamedTuple):
    """What an extractor is opened with."""

    weights: Path | None
    """the file that the user names"""
    mean: Path | None
    """C3D's mean clip"""
    run_foreign_code: bool
    """whether TorchScript may be run"""
    device: torch.device
    """where networks run"""
    classes: tuple[str, ...]
    """of the clips that are judged"""


class Subject(NamedTuple):
    """What is judged, as far as a protocol may refuse it."""

    classes: tuple[str, ...]
    """that can be asked for, or that the files are sorted by"""
    generated: bool
    """by a run; else files"""
    conditional: bool
    """a class can be asked for"""
    context: int
    """conditioning frames"""
    real: Dataset | None
    """what it is compared with"""
    levels: int = 1
    """of the model"""


class Extractor(NamedTuple):
    """An open extractor."""

    rows: Callable[[Batch], Rows]
    """what is computed of some clips"""
    facts: Mapping[str, Any]
    """what its rows depend on beside the spec: hash of the weights, accuracy of the classifier, ..."""
    spec: "Features"
    """the spec as it came out: another one where the weights' file brings its own preparation"""


class Features(Spec, ABC):
    """A function of clips, described in full."""

    @property
    def weights_of(self) -> str | None:
        """Whose weights have to be named, in words; None where none are needed."""
        return None

    def check(self, subject: Subject) -> None:
        """Raise :class:`UserError` if it does not apply to what is judged."""

    @abstractmethod
    def open(self, means: Means) -> Extractor:
        """Load what it needs.

        Raises:
            UserError: if weights are missing or do not fit.
        """


def to_video(videos: Videos, device: torch.device) -> Tensor:
    """Clips as bytes (N T 3 H W), of type uint8."""
    return torch.from_numpy(np.ascontiguousarray(videos)).to(device).permute(0, 1, 4, 2, 3)


def in_parts(
    network: Callable[[Tensor], Mapping[str, Tensor]], device: torch.device, most: int
) -> Callable[[Batch], Rows]:
    """``network`` on ``most`` clips at a time, in exact float32; its outputs as float32 arrays."""

    def rows(batch: Batch) -> Rows:
        parts = []
        with exact_float32():
            for start in range(0, len(batch.videos), most):
                found = network(to_video(batch.videos[start : start + most], device))
                parts.append({name: value.float().cpu().numpy() for name, value in found.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return rows


def named_weights(means: Means, network: str) -> Path:
    """The weights' file; raises :class:`UserError` that names the option where there is none."""
    if means.weights is None:
        raise UserError(
            f"the weights of {network} are needed: name their file by --weights PATH "
            "(docs/evaluation.md says which files there are)"
        )
    return means.weights


def weights_facts(weights: Weights) -> dict[str, Any]:
    """A weights' file as results record it."""
    return {"file": str(weights.path), "sha256": weights.sha256, "known_as": weights.known_as}
