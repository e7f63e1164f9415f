"""Named protocols: everything a number depends on, so that it can be repeated and compared."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidgan.data.dataset import Dataset
from vidgan.data.pipeline import centre_item
from vidgan.data.synthetic import SyntheticDataset
from vidgan.errors import UserError, nearest
from vidgan.evaluate.oracle import score
from vidgan.run.directory import RunDirectory
from vidgan.sample.latents import Scaled
from vidgan.sample.settling import whole_window
from vidgan.sample.trained import Trained, continue_clips, synthesise, to_bytes
from vidgan.spec import Spec, require

Videos = NDArray[np.uint8]
"""Clips (N, T, H, W, 3)."""


class Result(NamedTuple):
    """A number and what belongs to it."""

    value: float
    """the protocol's headline number"""
    values: Mapping[str, Any]
    """further numbers, by name"""
    table: Mapping[str, Any] | None
    """rows, columns and counts, where the protocol has a table"""


class Protocol(Spec, ABC):
    """A complete description of a measurement; its fields go on record with every number."""

    clips: int = 512
    """generated clips"""
    sigma: float = 1.0
    """standard deviation of the noise"""
    averaged: bool = True
    """moving average of the weights instead of the raw ones"""
    seed: int = 0
    """seed of the noise"""

    def validate(self) -> None:
        require(self.clips >= 1, f"clips must be at least 1, got {self.clips}")
        require(self.sigma >= 0, f"sigma must be at least 0, got {self.sigma}")

    def check(self, run: RunDirectory, dataset: Dataset) -> None:
        """Raise :class:`UserError` if the protocol does not apply to this model and these data."""

    @abstractmethod
    def measure(self, model: Trained, dataset: Dataset) -> Result:
        """Measure ``model`` against ``dataset``, which :meth:`check` has allowed.

        Raises:
            UserError: if the data cannot be read.
        """


class OracleAccuracy(Protocol):
    """Share of generated clips in which an oracle sees the class that was asked for; built-in clips only.

    Classes take turns, so each has the same number of clips. The oracle looks at pixels and needs no network.
    """

    def check(self, run: RunDirectory, dataset: Dataset) -> None:
        if not isinstance(dataset, SyntheticDataset):
            raise UserError("oracle-accuracy knows the built-in clips only; use --data synthetic")
        if run.experiment.levels[0].context_frames:
            raise UserError(
                "oracle-accuracy does not apply to a model that continues videos: their first frames show the class"
            )
        if not run.experiment.conditional:
            raise UserError(
                "oracle-accuracy does not apply to a model without classes: none can be asked for"
            )
        if run.class_names != dataset.classes:
            raise UserError(
                f"oracle-accuracy knows {', '.join(dataset.classes)}; "
                f"the model was trained on {', '.join(run.class_names[:8])}"
            )

    def measure(self, model: Trained, dataset: Dataset) -> Result:
        labels = [i % model.experiment.classes for i in range(self.clips)]
        seen = score(generated(self, model, dataset, labels), np.asarray(labels), model.class_names)
        table = {"rows": list(seen.rows), "columns": list(seen.columns), "counts": seen.counts.tolist()}
        return Result(seen.accuracy, {"per_class": dict(seen.per_class)}, table)


class PixelStatistics(Protocol):
    """Mean per colour channel in [-1, 1] and share of dark clips, generated and real.

    The headline is the largest difference between generated and real means. A clip is dark if its mean over
    all pixels is below ``dark``.
    """

    dark: float = -0.9
    """a clip whose mean is below this is dark, in [-1, 1]"""

    def measure(self, model: Trained, dataset: Dataset) -> Result:
        classes = model.experiment.classes
        fake = generated(self, model, dataset, [i % classes for i in range(self.clips)])
        real = real_clips(model, dataset, min(self.clips, len(dataset)))
        values: dict[str, Any] = {"real_clips": len(real)}
        for name, videos in (("fake", fake), ("real", real)):
            scaled = videos.astype(np.float64) / 127.5 - 1
            values[f"{name}_mean"] = scaled.mean((0, 1, 2, 3)).tolist()
            values[f"{name}_dark"] = float((scaled.mean((1, 2, 3, 4)) < self.dark).mean())
        gap = np.abs(np.asarray(values["fake_mean"]) - np.asarray(values["real_mean"])).max()
        return Result(float(gap), values, None)


ALL: Mapping[str, Callable[[], Protocol]] = {
    "oracle-accuracy": OracleAccuracy,
    "pixel-statistics": PixelStatistics,
}
"""Every protocol by the name that results carry."""


def protocol(name: str) -> Protocol:
    """The protocol called ``name``; raises :class:`UserError` that names the nearest one."""
    if name not in ALL:
        raise UserError(
            f"there is no protocol {name!r}{nearest(name, list(ALL))}; there are: {', '.join(ALL)}"
        )
    return ALL[name]()


def generated(chosen: Protocol, model: Trained, dataset: Dataset, labels: Sequence[int]) -> Videos:
    """The clips to be judged, (N T H W 3) uint8; conditioning frames, where there are any, stay in front."""
    truncation = Scaled(sigma=chosen.sigma)
    given = model.levels[0].spec.context_frames
    if given == 0:
        video = synthesise(model, chosen.seed, range(len(labels)), labels, truncation)
        return to_bytes(video).numpy()
    real = real_clips(model, dataset, len(labels))[:, :given]
    import torch

    from vidgan.data.loader import to_float

    video = continue_clips(
        model, to_float(torch.from_numpy(real)), chosen.seed, range(len(labels)), truncation
    )
    return np.concatenate([real, to_bytes(video).numpy()], axis=1)


def real_clips(model: Trained, dataset: Dataset, count: int) -> Videos:
    """The first ``count`` clips of the data, their first windows and central squares; in turns if there are fewer."""
    window = whole_window(model.experiment)
    return np.stack([centre_item(dataset, window, i % len(dataset)).frames for i in range(count)])
