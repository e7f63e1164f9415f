"""The models of zoo/: each is loaded and sampled as it lies there, is small, and says what it is."""

from pathlib import Path

import pytest
import torch

import vidgan
from commands import vidgan as command

ROOT = Path(__file__).parents[1]
MODELS = sorted(path.parent for path in ROOT.glob("zoo/*/model.json"))
LARGEST = 8 * 2**20
"""bytes of a model"""


def test_there_are_some() -> None:
    assert MODELS


@pytest.mark.parametrize("folder", MODELS, ids=lambda path: path.name)
def test_a_model_is_sampled(folder: Path) -> None:
    """Its standing statistics lie beside it: nothing is written, and nothing has to be settled first."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    model = vidgan.load(folder, device="cpu")
    top = model.experiment.levels[-1]
    if top.context_frames:
        given = torch.zeros(top.context_frames, 3, top.size, top.size)
        videos = model.predict(given, count=2, seed=0)
    else:
        videos = model.sample(2, seed=0)
    assert videos.shape[-4:] == (top.frames, 3, top.size, top.size)
    assert videos.isfinite().all()
    assert videos.std(dim=(-4, -2, -1)).min() > 0.01, "every clip moves and has an inside"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("folder", MODELS, ids=lambda path: path.name)
def test_a_model_says_what_it_is(folder: Path) -> None:
    card = (folder / "README.md").read_text("utf-8")
    assert "| protocol | value |" in card
    assert "license:" in card
    assert f'vidgan.load("zoo/{folder.name}")' in card
    assert sum(path.stat().st_size for path in folder.rglob("*")) < LARGEST


def test_a_copy_keeps_the_licence_and_the_card(tmp_path: Path) -> None:
    folder = ROOT / "zoo" / "driving-12x64"
    model = vidgan.load(folder, device="cpu")
    model.save(tmp_path / "one", name="zoo/driving-12x64")
    assert (tmp_path / "one" / "README.md").read_text("utf-8") == (folder / "README.md").read_text("utf-8")
    assert 'license: "apache-2.0"' in (tmp_path / "one" / "README.md").read_text("utf-8")
    vidgan.load(tmp_path / "one", device="cpu").save(tmp_path / "two", licence="cc-by-4.0")
    card = (tmp_path / "two" / "README.md").read_text("utf-8")
    assert 'license: "cc-by-4.0"' in card
    assert "apache" not in card
    assert "less is better" in card


def test_the_command_of_the_readme(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = command(
        capsys, "sample", ROOT / "zoo/driving-12x64", "--out", tmp_path / "driving", "--clips", 3, "--grid"
    )
    assert answer.status == 0, answer.err
    assert (tmp_path / "driving-grid.mp4").stat().st_size > 1000
