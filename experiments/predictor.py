"""A trained predictor and clips to try it on, for the scripts that look at what it does with motion."""

from pathlib import Path

from vidgan.data.synthetic import SyntheticDataset
from vidgan.errors import UserError
from vidgan.run.data import open_held_out
from vidgan.run.directory import RunDirectory
from vidgan.run.distributed import choose_device
from vidgan.sample.load import load_run
from vidgan.sample.model import Model
from vidgan.sample.standing import given_frames


def open_predictor(path: Path) -> tuple[Model, SyntheticDataset]:
    """The model of a run, and built-in clips of its kind that it was not trained on.

    Raises:
        UserError: where there is no such run, or it was not trained on built-in clips.
    """
    run = RunDirectory.open(path)
    model = load_run(run, device=choose_device(), cache=run.statistics, data=given_frames(run, None))
    held_out = open_held_out(run.data.source, run.experiment)
    if not isinstance(held_out, SyntheticDataset):
        raise UserError("the true motion is known of built-in clips only")
    return model, held_out
