"""Strips of frames: for each class a real clip, and samples of a run, or of a saved model, under it.

``python experiments/beside_real.py runs/weizmann --data data/weizmann --out strips.png`` takes the first latents of the
seed in their order, and the real clip of each class that has this number in it. A saved model, such as
``zoo/driving-12x64``, needs ``--data``.
"""

import argparse
from pathlib import Path

import numpy as np

from vidgan.data.dataset import Dataset
from vidgan.data.window import centre_item
from vidgan.errors import UserError
from vidgan.run.data import data_of_run, data_of_saved
from vidgan.run.directory import RunDirectory
from vidgan.run.distributed import choose_device
from vidgan.run.experiment import whole_window
from vidgan.sample.load import is_saved, load, load_run
from vidgan.sample.model import Model
from vidgan.sample.standing import given_frames
from vidgan.sample.video_io import strip, to_bytes, write_image


class Given(argparse.Namespace):
    """The command line."""

    run: Path
    data: str | None
    out: Path
    samples: int
    real: int
    seed: int


def opened(given: Given) -> tuple[Model, Dataset]:
    """The model and its data; raises :class:`UserError` where one of them is not there."""
    if is_saved(given.run):
        model = load(given.run)
        return model, data_of_saved(given.run, given.data, model.experiment)
    run = RunDirectory.open(given.run)
    dataset = data_of_run(run, given.data)
    data = given_frames(run, dataset)
    return load_run(run, device=choose_device(), cache=run.statistics, data=data), dataset


def main(given: Given) -> None:
    """Sample, and write the picture."""
    model, dataset = opened(given)
    if model.experiment.conditional and dataset.classes != model.class_names:
        raise UserError(f"--data has other classes than {given.run}")
    classes = len(model.class_names)
    made = to_bytes(model.sample(classes * given.samples, seed=given.seed)).numpy()
    rows = []
    for label in range(classes):
        own = [i for i in range(len(dataset)) if dataset.info(i).label == label]
        rows.append(centre_item(dataset, whole_window(model.experiment), own[given.real]).frames)
        rows.extend(made[label::classes])
    write_image(given.out, strip(np.stack(rows)))
    print(f"wrote {given.out}: step {model.step}; {', '.join(model.class_names)}, a real clip first in each")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run or saved model, with classes")
    parser.add_argument("--data", help="its data: of a run, if they are elsewhere now")
    parser.add_argument("--out", type=Path, required=True, help="file for the picture (PNG)")
    parser.add_argument("--samples", type=int, default=2, help="samples of each class (2)")
    parser.add_argument("--real", type=int, default=3, help="which real clip of each class, from 0 (3)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the noise (1)")
    try:
        main(parser.parse_args(namespace=Given()))
    except UserError as error:
        raise SystemExit(str(error)) from error
