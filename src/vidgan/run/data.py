"""The data of a run: prepared, built in, or of the user's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from vidgan.data.dataset import Dataset, long_clips
from vidgan.data.held import Cache, HeldClips
from vidgan.data.loader import Loader
from vidgan.data.open import is_named, open_dataset, open_fitting
from vidgan.data.rates import mixed_rates
from vidgan.data.window import check_usable, other_filter, resizing
from vidgan.errors import UserError
from vidgan.run.directory import RunDirectory
from vidgan.run.experiment import Experiment, longest_span, together_of, whole_window, window_of
from vidgan.seeds import derive

SYNTHETIC = "synthetic"

Data = str | Path | Dataset | torch.utils.data.Dataset[Any] | Sequence[tuple[Any, int]]
"""What :func:`vidgan.open_dataset` opens."""


def open_data(source: Data, experiment: Experiment, seed: int = 0) -> Dataset:
    """The dataset that ``source`` stands for; built-in clips are as large and as long as ``experiment`` needs.

    Args:
        seed: of built-in clips.

    Raises:
        UserError: if there is no usable dataset.
    """
    if isinstance(source, str):
        return open_fitting(source, experiment.data_size, whole_window(experiment).span, seed)
    return open_dataset(source)


def training_loader(
    dataset: Dataset, experiment: Experiment, index: int, workers: int, device: torch.device
) -> Loader:
    """Reads what the training of level ``index`` is fed with, for ``device``, by so many processes."""
    seed, pin = derive(experiment.training.seed, "data", index), device.type == "cuda"
    window, together = window_of(experiment, index), together_of(experiment, index)
    return Loader(dataset, window, seed, workers, pin, together)


def open_held_out(source: Data, experiment: Experiment) -> Dataset:
    """Clips to evaluate by that are not trained on; of built-in ones, others than :func:`open_data` makes.

    Raises:
        UserError: if there is no usable dataset.
    """
    return open_data(source, experiment, seed=1)


def data_of_run(run: RunDirectory, source: str | None) -> Dataset:
    """The dataset at ``source``, or else the one that the run was trained on.

    Raises:
        UserError: if it is not there any more, or stands in a Python file, which only its user may name.
    """
    if source is None and is_named(run.data.source):
        raise UserError(
            f"this run was trained on data of a file of yours: name them by --data {run.data.source}"
        )
    try:
        dataset = open_data(source or run.data.source, run.experiment)
        least = run.data.least_frames
        return dataset if least is None or source is not None else long_clips(dataset, least)
    except UserError as error:
        if source is not None:
            raise
        raise UserError(f"the data of this run cannot be opened ({error}); name them by --data") from error


def data_of_saved(path: Path, source: str | None, experiment: Experiment) -> Dataset:
    """The dataset at ``source``, which a saved model at ``path`` of this ``experiment`` was trained on.

    Raises:
        UserError: if none is named, as a saved model does not hold where its data are, or it cannot be used.
    """
    if source is None:
        raise UserError(
            f"{path} is a saved model, which does not say where its data are: name those that it was trained on by "
            "--data"
        )
    return open_data(source, experiment)


def hold(
    dataset: Dataset, experiment: Experiment, cache: Cache, device: torch.device, skip_short: bool = False
) -> HeldClips:
    """The clips of ``dataset`` as large as ``experiment`` sees them, held where ``cache`` says.

    Args:
        device: where networks are computed.
        skip_short: clips with too few frames are held too, as training will leave them out.

    Raises:
        UserError: where training could not use the data, or there is no room for them.
    """
    used = long_clips(dataset, longest_span(experiment)) if skip_short else dataset
    for index in experiment.rounds:
        check_usable(used, window_of(experiment, index))
    return HeldClips(dataset, window_of(experiment, 0), cache.place(device))


def remarks_on_data(dataset: Dataset, experiment: Experiment, resumes: bool) -> list[str]:
    """What to know of the data where training starts: sentences on resizing, unless it ``resumes``, and on rates."""
    on_size = [resizing(dataset, window_of(experiment, 0)), other_filter(dataset, experiment.resize)]
    rates = mixed_rates(dataset)
    told = [*([] if resumes else on_size), None if rates is None else str(rates)]
    return [sentence for sentence in told if sentence]
