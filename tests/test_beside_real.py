"""experiments/beside_real.py: strips of a run and of the same model, saved."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import beside_real
import runs
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.errors import UserError
from vidgan.presets import preset
from vidgan.run.tiny import tiny
from vidgan.sample.load import load


def picture(run: Path, data: str | None, out: Path) -> np.ndarray:
    """The picture (height, width, 3) of two samples and the first real clip of each class."""
    beside_real.main(beside_real.Given(run=run, data=data, out=out, samples=2, real=0, seed=1))
    with Image.open(out) as image:
        return np.asarray(image)


def test_a_saved_model_stands_beside_the_data_that_are_named(tmp_path: Path) -> None:
    run = runs.untrained(
        tmp_path / "run", tiny(preset("demo")), SyntheticDataset(SyntheticSpec()).classes
    ).path
    load(run, device="cpu").save(tmp_path / "saved")
    with pytest.raises(UserError, match=r"saved is a saved model, .* --data"):
        picture(tmp_path / "saved", None, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
    ours = picture(run, None, tmp_path / "run.png")
    theirs = picture(tmp_path / "saved", "synthetic", tmp_path / "saved.png")
    assert np.array_equal(ours, theirs)
    assert len(ours) > 3 * 8 * 8, "three clips of each of eight classes"


def test_data_of_other_classes_are_refused(tmp_path: Path) -> None:
    run = runs.untrained(tmp_path / "run", tiny(preset("demo")), ["one", "other"]).path
    with pytest.raises(UserError, match="other classes"):
        picture(run, "synthetic", tmp_path / "none.png")
