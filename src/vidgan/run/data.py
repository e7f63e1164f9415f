"""The data of a run, by the name that it was started with: prepared, built in, or in a file of the user's."""

from vidgan.data.dataset import Dataset
from vidgan.data.open import is_named, open_fitting
from vidgan.errors import UserError
from vidgan.run.directory import DataRecord, RunDirectory
from vidgan.run.experiment import Experiment, whole_window

SYNTHETIC = "synthetic"


def open_data(source: str, experiment: Experiment) -> tuple[Dataset, DataRecord]:
    """The dataset called ``source`` and its record; built-in clips are as large and as long as ``experiment`` needs.

    Raises:
        UserError: if there is no usable dataset.
    """
    dataset = open_fitting(source, experiment.size, whole_window(experiment).span)
    return dataset, DataRecord.of(dataset)


def open_held_out(source: str, experiment: Experiment) -> Dataset:
    """Clips to evaluate by that are not trained on; of built-in ones, others than :func:`open_data` makes.

    Raises:
        UserError: if there is no usable dataset.
    """
    return open_fitting(source, experiment.size, whole_window(experiment).span, seed=1)


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
        return open_data(source or run.data.source, run.experiment)[0]
    except UserError as error:
        if source is not None:
            raise
        raise UserError(f"the data of this run cannot be opened ({error}); name them by --data") from error
