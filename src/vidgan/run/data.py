"""The data of a run, by the name that it was started with: a prepared dataset, or built-in synthetic clips."""

from pathlib import Path

from vidgan.data.dataset import Dataset
from vidgan.data.store import open_dataset
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec, demo_like
from vidgan.errors import UserError
from vidgan.run.directory import DataRecord, RunDirectory
from vidgan.run.experiment import Experiment, whole_window

SYNTHETIC = "synthetic"
TEXTURED = "synthetic-textured"
"""built-in clips whose shapes are striped and pass behind a second one"""
OPEN = "synthetic-open"
"""built-in clips that begin in the middle and go right, left, down or up: the first frame does not tell which way"""


def open_data(source: str, experiment: Experiment) -> tuple[Dataset, DataRecord]:
    """The dataset called ``source`` and its record for a run.

    ``synthetic``, ``synthetic-textured`` and ``synthetic-open`` make clips as large and as long as ``experiment``
    needs.

    Raises:
        UserError: if there is no usable dataset.
    """
    if (spec := built_in(source, experiment)) is not None:
        made = SyntheticDataset(spec)
        return made, DataRecord(source, made.classes, len(made), made.fingerprint)
    stored = open_dataset(Path(source))
    place = str(Path(source).resolve())
    return stored, DataRecord(place, stored.classes, len(stored), stored.fingerprint)


def built_in(source: str, experiment: Experiment) -> SyntheticSpec | None:
    """The built-in clips called ``source``, as ``experiment`` needs them; None where it is a path."""
    plain = demo_like(experiment.size, whole_window(experiment).span)
    kinds = {
        SYNTHETIC: plain,
        TEXTURED: plain.replace(textured=True),
        OPEN: plain.replace(motions=("right", "left", "down", "up"), middle=True),
    }
    return kinds.get(source)


def open_held_out(source: str, experiment: Experiment) -> Dataset:
    """Clips to evaluate by that are not trained on; of built-in ones, others than :func:`open_data` makes.

    Raises:
        UserError: if there is no usable dataset.
    """
    trained = built_in(source, experiment)
    if trained is None:
        return open_dataset(Path(source))
    return SyntheticDataset(trained.replace(seed=trained.seed + 1))


def data_of_run(run: RunDirectory, source: str | None) -> Dataset:
    """The dataset at ``source``, or else the one that the run was trained on.

    Raises:
        UserError: if it is not there any more.
    """
    try:
        return open_data(source or run.data.source, run.experiment)[0]
    except UserError as error:
        if source is not None:
            raise
        raise UserError(f"the data of this run cannot be opened ({error}); name them by --data") from error
