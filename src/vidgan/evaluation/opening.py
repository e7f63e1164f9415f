"""What is evaluated and what it is compared with, however they are named: models, runs, folders, files, arrays."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from vidgan.data.dataset import Dataset
from vidgan.data.open import is_named, open_dataset
from vidgan.data.raw_videos import ArrayClips, RawVideos, open_videos
from vidgan.data.store import INDEX, PreparedDataset, open_prepared
from vidgan.errors import UserError
from vidgan.evaluation.evaluated import Evaluated, FinishedVideos, ModelSamples
from vidgan.run.data import data_of_run
from vidgan.run.directory import RunDirectory
from vidgan.sample.load import load, load_run
from vidgan.sample.model import RECORD, Model
from vidgan.sample.standing import given_frames
from vidgan.sample.video_io import Videos

Fake = Model | str | Path | Videos
"""what may be evaluated: a model, a run directory, videos as they lie, a uint8 array (N, T, H, W, 3)"""
Real = Dataset | str | Path | Videos
"""what it may be compared with: a dataset, a prepared folder, ``my_data.py:name``, videos as they lie, a uint8 array
(N, T, H, W, 3)"""


class Opening(NamedTuple):
    """How a model is opened."""

    checkpoint: str | int = "last"
    """``last``, ``best`` by what the run evaluated while it trained, or the step of one"""
    raw: bool = False
    """raw weights instead of their moving average"""
    device: torch.device = torch.device("cpu")
    cache: Path | None = None
    """folder for standing statistics that are taken anew; None: in memory"""


def open_sides(
    fake: Fake, real: Real | None, size: int | None, opening: Opening
) -> tuple[Evaluated, Dataset | None]:
    """Both sides; where ``real`` is None, a run is compared with its own data.

    Args:
        size: shorter side to which videos are resized (pixels); None keeps that of the first.

    Raises:
        UserError: where nothing is there, or the two do not fit together.
    """
    if isinstance(fake, np.ndarray):
        return open_beside(ArrayClips(fake, size), real, opening)
    if isinstance(fake, Model):
        if opening.checkpoint != "last":
            raise UserError("a model is evaluated as it is: leave out checkpoint")
        return _samples(fake, None, real)
    path = Path(fake)
    if (path / "experiment.json").is_file():
        return open_run(RunDirectory.open(path), real, opening)
    if (path / RECORD).is_file():
        return _samples(load(path, None, opening.checkpoint, opening.raw, opening.device), path, real)
    return open_beside(open_videos(path, size), real, opening)


def _samples(model: Model, place: Path | None, real: Real | None) -> tuple[Evaluated, Dataset | None]:
    samples = ModelSamples.of(model, place)
    return samples, None if real is None else open_real(real, model.experiment.size)


def open_beside(
    videos: RawVideos, real: Real | None, opening: Opening = Opening()
) -> tuple[FinishedVideos, Dataset | None]:
    """Finished videos, and real ones of their size.

    Raises:
        UserError: where prepared ones are of another size, which are not cropped in silence.
    """
    if opening.checkpoint != "last" or opening.raw:
        raise UserError("checkpoint and raw say which weights a run has; finished videos have none")
    dataset = None if real is None else open_real(real, videos.size)
    if isinstance(dataset, PreparedDataset) and dataset.index.spec.size != videos.size:
        own = dataset.index.spec.size
        raise UserError(
            f"{dataset.folder} is prepared at {own} pixels and the evaluated videos have {videos.size}: give --size "
            f"{own}, or prepare it at {videos.size}"
        )
    return FinishedVideos(videos), dataset


def open_run(run: RunDirectory, real: Real | None, opening: Opening) -> tuple[ModelSamples, Dataset]:
    """The model of a run, which is loaded when it is needed, and the run's own data or ``real``."""
    dataset = data_of_run(run, None) if real is None else open_real(real, run.experiment.size)
    # Standing statistics are of the data that it was trained on, whatever it is compared with.
    given = given_frames(run, dataset if dataset.fingerprint == run.data.fingerprint else None)

    def model() -> Model:
        return load_run(run, opening.checkpoint, opening.raw, opening.device, opening.cache, given)

    return ModelSamples(run.experiment, run.class_names, model, run.path), dataset


def open_real(real: Real, size: int) -> Dataset:
    """Real videos; files that are not prepared are resized to ``size`` pixels.

    Raises:
        UserError: where there are none.
    """
    if isinstance(real, Dataset):
        return real
    if isinstance(real, np.ndarray):
        return ArrayClips(real, size)
    if isinstance(real, str) and is_named(real):
        return open_dataset(real)
    path = Path(real)
    return open_prepared(path) if (path / INDEX).is_file() else open_videos(path, size)
