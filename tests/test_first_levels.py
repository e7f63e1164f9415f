"""The first levels of a cascade on their own: sampled, drawn and measured before those above them are trained."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cascades import GRU, SEPARABLE, level_spec
from commands import require_one_line, vidgan
from test_levels_command import save_run
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError
from vidgan.evaluation.clips import DataClips, View, view_of
from vidgan.evaluation.protocols.base import Draw
from vidgan.models.level import Level
from vidgan.presets import preset
from vidgan.run.checkpoints import checkpoint_path
from vidgan.run.directory import RunDirectory
from vidgan.run.experiment import window_of
from vidgan.run.logs import read_lines
from vidgan.run.networks import adversarial_level
from vidgan.sample.load import load

LEVELS = (level_spec(4, 2, 2, GRU), level_spec(8, 4, 1, SEPARABLE))
"""4 frames of 4x4, 8 frames of 8x8"""
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose second level has not been trained."""
    path = save_run(tmp_path / "run", LEVELS)
    checkpoint_path(RunDirectory.open(path).checkpoints, 2, 1).unlink()
    return path


@pytest.mark.slow
def test_a_finished_level_is_sampled_and_measured(run: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "clips"
    call = ("sample", run, "--clips", 2, "--format", "npy", "--device", "cpu", "--out", out)
    require_one_line(vidgan(capsys, *call), "no checkpoint of level 2", "--level 1")
    assert not out.exists()
    assert vidgan(capsys, *call, "--level", 1, "--grid").status == 0
    assert [np.load(path).shape for path in sorted(out.iterdir())] == [(4, 4, 4, 3)] * 2
    measured = ("evaluate", run, "--protocol", "pixel-statistics", "--clips", 3, "--device", "cpu")
    require_one_line(vidgan(capsys, *measured), "--level 1")
    answer = vidgan(capsys, *measured, "--level", 1)
    assert answer.status == 0, answer.err
    (line,) = read_lines(run / "metrics.jsonl")
    source = line["settings"]["source"]
    assert (line["level"], source["view"]) == (1, "nearest")
    assert (source["frames"], source["stride"], source["size"]) == (4, 2, 4)
    figure = tmp_path / "curve.svg"
    curve = ("plot", "curves", run, "--protocol", "pixel-statistics", "--out", figure)
    require_one_line(vidgan(capsys, *curve), "no run has a result")
    assert vidgan(capsys, *curve, "--level", 1).status == 0
    for wrong in (0, 3):
        require_one_line(vidgan(capsys, *call, "--level", wrong), "it has 1, 2", str(wrong))


def test_its_clips_are_those_of_the_whole_cascade(tmp_path: Path) -> None:
    path = save_run(tmp_path / "run", LEVELS)
    low, _ = load(path, device="cpu").levels(3)
    alone = load(path, device="cpu", level=1)
    assert torch.equal(alone.sample(3), low)
    alone.save(tmp_path / "saved")
    again = load(tmp_path / "saved", device="cpu")
    assert torch.equal(again.sample(3), low)
    assert again.experiment.above == (8,)
    with pytest.raises(UserError, match="leave out"):
        load(tmp_path / "saved", level=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ssw-gan-bdd100k-100x128", "cvg-bdd100k-48x256"])
@pytest.mark.parametrize("level", [1, 2])
def test_real_clips_are_seen_as_in_the_cascade(name: str, level: int) -> None:
    """Training's own views, and one by one by hand: nearest or bilinear, through every size."""
    experiment = preset(name)
    alone = experiment.up_to(level)
    assert window_of(alone, level - 1) == window_of(experiment, level - 1)
    view = view_of(alone)
    assert view is not None
    sizes = [each.size for each in reversed(experiment.levels[level - 1 : -1])]
    assert list(view.sizes) == sizes
    clip = (
        torch.rand((1, 2, 3, experiment.size, experiment.size), generator=torch.Generator().manual_seed(0))
        * 2
        - 1
    )
    expected = clip[0]
    for size in sizes:
        if experiment.smooth_views:
            expected = F.interpolate(expected, (size, size), mode="bilinear", antialias=True)
        else:
            step = expected.shape[-1] // size
            expected = expected[..., ::step, ::step]
    clip_bytes = ((clip[0] + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    made = view.of(clip_bytes)
    assert np.abs(made.astype(float) - (expected.permute(0, 2, 3, 1).numpy() + 1) * 127.5).max() < 1.1
    with torch.device("meta"):
        found, whole = (adversarial_level(each, level - 1) for each in (alone, experiment))
    assert isinstance(found, Level)
    assert isinstance(whole, Level)
    assert found.above == whole.above


def test_views_are_told_apart_in_caches() -> None:
    data = SyntheticDataset(SyntheticSpec(size=16, frames=4, clips=3))
    window, draw = WindowSpec(size=16, frames=4), Draw()
    plain = DataClips(data, window, draw, 0)
    nearest, smooth = (DataClips(data, window, draw, 0, view=View((8,), kind)) for kind in (False, True))
    assert plain.identity != nearest.identity != smooth.identity
    assert nearest.read(range(2)).videos.shape == (2, 4, 8, 8, 3)
    assert np.array_equal(nearest.read(range(2)).videos, plain.read(range(2)).videos[:, :, ::2, ::2])


def test_levels_that_are_trained_together_are_no_models_of_their_own() -> None:
    with pytest.raises(UserError, match="together"):
        preset("ssw-gan-joint-12x64").up_to(1)
