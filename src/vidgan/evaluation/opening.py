"""What is evaluated and what it is compared with, however they are named: models, runs, folders, files, arrays."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from vidgan.data.dataset import Dataset
from vidgan.data.fetched import open_stored
from vidgan.data.open import is_named, open_dataset, open_fitting
from vidgan.data.raw_videos import ArrayClips, RawVideos, open_videos
from vidgan.data.remote import is_url
from vidgan.data.store import INDEX, PreparedDataset
from vidgan.data.synthetic import BUILT_IN
from vidgan.errors import UserError
from vidgan.evaluation.evaluated import Evaluated, FinishedVideos, ModelSamples
from vidgan.evaluation.protocols.base import ClipForm
from vidgan.run.data import Data, data_of_run
from vidgan.run.directory import RunDirectory
from vidgan.run.experiment import whole_window
from vidgan.sample.load import load, load_run
from vidgan.sample.model import RECORD, Model
from vidgan.sample.standing import given_frames
from vidgan.sample.video_io import Videos

Fake = Model | str | Path | Videos
"""what may be evaluated: a model, a run directory, raw videos, a uint8 array (N, T, H, W, 3)"""
Real = Data | Videos
"""what it may be compared with: whatever :func:`vidgan.open_dataset` opens, raw videos, a uint8 array
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
    statistics_sigma: float | None = None
    """deviation of the noise of standing statistics; None: as the experiment says"""
    level: int | None = None
    """of a cascade, its first levels alone, up to this one (from 1); None: all"""
    micro_batch: int | None = None
    """videos made at a time; None: as many as fit where training fits"""


def open_sides(
    fake: Fake, real: Real | None, opening: Opening, form: ClipForm = ClipForm()
) -> tuple[Evaluated, Dataset | None]:
    """Both sides; where ``real`` is None, a run is compared with its own data.

    Args:
        form: of the clips; it says to which size videos are resized, and how long built-in clips have to be.

    Raises:
        UserError: where nothing is there, or the two do not fit together.
    """
    if isinstance(fake, np.ndarray):
        return open_beside(ArrayClips(fake, form.size), real, opening, form)
    if isinstance(fake, Model):
        if opening.checkpoint != "last":
            raise UserError("a model is evaluated as it is: leave out checkpoint")
        if opening.statistics_sigma is not None:
            raise UserError("a model has its standing statistics: say statistics_sigma when you load it")
        if opening.micro_batch is not None:
            raise UserError("a model knows how many videos it makes at a time: set its micro_batch")
        return _samples(fake, None, real)
    if not isinstance(fake, str | Path):
        raise UserError(
            f"give a model, a run, a folder of videos or a uint8 array (N, T, H, W, 3), not a {type(fake).__name__}"
        )
    path = Path(fake)
    if (path / "experiment.json").is_file():
        return open_run(RunDirectory.open(path), real, opening)
    if (path / RECORD).is_file():
        model = load(
            path,
            None,
            opening.checkpoint,
            opening.raw,
            opening.device,
            statistics_sigma=opening.statistics_sigma,
            micro_batch=opening.micro_batch,
        )
        return _samples(model, path, real)
    return open_beside(open_videos(path, form.size), real, opening, form)


def _samples(model: Model, place: Path | None, real: Real | None) -> tuple[Evaluated, Dataset | None]:
    size, span = model.experiment.data_size, whole_window(model.experiment).span
    return ModelSamples.of(model, place), None if real is None else open_real(real, size, span)


def open_beside(
    videos: RawVideos, real: Real | None, opening: Opening = Opening(), form: ClipForm = ClipForm()
) -> tuple[FinishedVideos, Dataset | None]:
    """Finished videos, and real ones of their size.

    Raises:
        UserError: where prepared ones are smaller; larger ones are resized, which a warning says.
    """
    if opening.checkpoint != "last" or opening.raw or opening.statistics_sigma is not None:
        raise UserError(
            "checkpoint, raw and statistics-sigma say how a run is sampled; finished videos are not"
        )
    frames = (form.frames or videos.info(0).frames) * (form.stride or 1)
    dataset = None if real is None else open_real(real, videos.size, frames)
    if isinstance(dataset, PreparedDataset) and dataset.index.spec.size < videos.size:
        own = dataset.index.spec.size
        raise UserError(
            f"{dataset.place} is prepared at {own} pixels and the evaluated videos have {videos.size}: give --size "
            f"{own}, or prepare it at {videos.size}"
        )
    return FinishedVideos(videos), dataset


def open_run(run: RunDirectory, real: Real | None, opening: Opening) -> tuple[ModelSamples, Dataset]:
    """The model of a run, which is loaded when it is needed, and the run's own data or ``real``."""
    whole = whole_window(run.experiment)
    dataset = data_of_run(run, None) if real is None else open_real(real, whole.size, whole.span)
    # Standing statistics are of the data that it was trained on, whatever it is compared with.
    given = given_frames(run, dataset if dataset.fingerprint == run.data.fingerprint else None)

    def model() -> Model:
        _, raw, device, cache, sigma, level, micro_batch = opening
        model = load_run(run, opening.checkpoint, raw, device, cache, given, sigma, level)
        model.micro_batch = micro_batch
        return model

    experiment = run.experiment.up_to(opening.level or len(run.experiment.levels))
    experiment = experiment.with_statistics(opening.statistics_sigma)
    return ModelSamples(experiment, run.class_names, model, run.path), dataset


def open_real(real: Real, size: int, frames: int) -> Dataset:
    """Real videos; files are resized to ``size`` pixels, built-in clips have it and are ``frames`` frames long.

    Raises:
        UserError: where there are none.
    """
    if isinstance(real, np.ndarray):
        return ArrayClips(real, size)
    if not isinstance(real, str | Path):
        return open_dataset(real)
    if str(real) in BUILT_IN or is_named(str(real)):
        return open_fitting(str(real), size, frames)
    path = Path(real)
    if is_url(str(real)) or (path / INDEX).is_file():
        return open_stored(real)
    return open_videos(path, size)
