"""Runs that a script starts, and goes on with when it is called again."""

from pathlib import Path

from vidgan.data.dataset import Dataset
from vidgan.run.data import open_data
from vidgan.run.directory import RunDirectory, command_line
from vidgan.run.distributed import Replicas, choose_device
from vidgan.run.experiment import Experiment
from vidgan.train.session import train_run, with_data


def open_or_start(path: Path, experiment: Experiment, source: str) -> tuple[RunDirectory, Dataset]:
    """A run as it stands, or a new one, on the data called ``source``; and its clips.

    Raises:
        UserError: where ``path`` holds a run of another experiment or other data.
    """
    dataset, record = open_data(source, experiment)
    experiment = with_data(experiment, len(dataset.classes))
    if (path / "experiment.json").exists():
        run = RunDirectory.open(path)
        run.require_same(experiment, record, ("training.steps",))
        return run, dataset
    return RunDirectory.create(path, experiment, record, command_line()), dataset


def train_to(run: RunDirectory, dataset: Dataset, steps: int) -> bool:
    """Train to this step; False if told to stop."""
    experiment = run.experiment
    run.amend(experiment.replace(training=experiment.training.replace(steps=steps)), command_line())
    return train_run(run, dataset, Replicas(), choose_device(), workers=0)
