"""The models of zoo/: each is loaded and sampled as it lies there, is small, and says what it is."""

import hashlib
import re
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import vidgan
from commands import vidgan as command
from vidgan.sample.video_io import write_clip

ROOT = Path(__file__).parents[1]
MODELS = sorted(path.parent for path in ROOT.glob("zoo/*/model.json"))
OURS = ("driving-12x64", "driving-8-after-4")
LARGEST = 8 * 2**20
"""bytes of a model"""


def test_there_are_some() -> None:
    assert [folder.name for folder in MODELS] == [*OURS]


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
    recorded = folder.name == "driving-12x64"  # what real clips its figures were measured against
    assert ("not recorded" not in card) == ("model-index:" in card) == recorded
    assert 'license: "apache-2.0"' in card
    assert (
        "- source of the data: clips of the recordings of a small car in https://github.com/criscola" in card
    )
    assert "- licence of the data: MIT" in card
    assert f'vidgan.load("zoo/{folder.name}")' in card
    limits = card.partition("\n## Limits\n")[2]
    assert "](" not in limits, "a link within the repository leads nowhere from a copy"
    (page,) = re.findall(r"\(([^)]+\.md) in the repository of vidgan\)", limits)
    assert (ROOT / page).is_file()
    assert sum(path.stat().st_size for path in folder.rglob("*")) < LARGEST
    for line in (folder / "SHA256SUMS").read_text("utf-8").splitlines():
        known, name = line.split("  ", 1)
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == known, name


@pytest.mark.parametrize("folder", MODELS, ids=lambda path: path.name)
def test_what_a_card_says_to_try_is_possible(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check for copies takes a model that makes videos from noise, and asks for the data alone."""
    answer = command(capsys, "evaluate", folder, "--memorisation", "--out", tmp_path / "out")
    assert answer.status == 2
    said = answer.err.splitlines()[-1]
    if "--memorisation" in (folder / "README.md").read_text("utf-8"):
        assert "name those that it was trained on by --data" in said
    else:
        assert "this model continues videos" in said


@pytest.mark.slow
def test_a_clip_is_continued(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A made-up square moves to the right for four frames; two futures of eight frames follow them."""
    clip = np.full((12, 64, 64, 3), 60, np.uint8)
    for time in range(len(clip)):
        clip[time, 24:40, 4 + 3 * time : 20 + 3 * time] = 200
    write_clip(tmp_path / "square.mp4", clip, 12.0)
    out, folder = tmp_path / "futures", ROOT / "zoo" / "driving-8-after-4"
    answer = command(capsys, "predict", folder, tmp_path / "square.mp4", "--out", out, "--futures", 2)
    assert answer.status == 0, answer.err
    assert {path.name for path in out.iterdir()} == {
        "truth.mp4",
        "future-000.mp4",
        "future-001.mp4",
        "futures.mp4",
    }
    given = decoded(tmp_path / "square.mp4")[:4].astype(int)
    videos = [decoded(out / f"future-{number:03d}.mp4") for number in range(2)]
    for video in videos:
        assert video.shape == (12, 64, 64, 3)
        assert abs(video[:4] - given).mean() < 4, "the given frames stand in front; both files are lossy"
        assert video[4:].std() > 10
    assert (videos[0][4:] != videos[1][4:]).any(), "other noise, another future"


def decoded(path: Path) -> NDArray[np.uint8]:
    """The frames of a video (T H W C)."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_both_say_what_is_their_own() -> None:
    by_class, predictor = ((ROOT / "zoo" / name / "README.md").read_text("utf-8") for name in OURS)
    for words in (
        "6,251 steps of 16 clips",
        "0.883",
        "0.916",
        "0.78 (left), 0.83 (right)",
        "5 of the first 32",
    ):
        assert words in by_class
    assert "pipeline_tag" not in by_class, "the Hub has no task for videos from noise and a class"
    assert "begun from" not in by_class
    for words in (
        "700 steps of 16 clips, begun from weights that were trained before",
        "- begun from: weights of 2,688 steps of 16 clips with a variety loss of weight 60",
        "chosen while looking at the same 110 test clips",
        "Two futures of a clip differ in details, and seldom in where they go",
        "pipeline_tag: video-to-video",
    ):
        assert words in predictor


@pytest.mark.filterwarnings("ignore:.*standing statistics are the saved ones")
@pytest.mark.parametrize("folder", MODELS, ids=lambda path: path.name)
def test_a_copy_keeps_what_the_card_says(folder: Path, tmp_path: Path) -> None:
    model = vidgan.load(folder, device="cpu")
    model.save(tmp_path / "one", name=f"zoo/{folder.name}")
    assert (tmp_path / "one" / "README.md").read_text("utf-8") == (folder / "README.md").read_text("utf-8")
    again = vidgan.load(tmp_path / "one", device="cpu")
    assert again.origin == model.origin
    assert None not in (again.origin.data_source, again.origin.data_licence, again.origin.limits)
    assert (again.origin.begun_from is None) == (folder.name == "driving-12x64")
    again.save(tmp_path / "two", licence="cc-by-4.0", data_licence="other terms")
    card = (tmp_path / "two" / "README.md").read_text("utf-8")
    assert 'license: "cc-by-4.0"' in card
    assert "apache" not in card
    assert "- licence of the data: other terms" in card
    assert "MIT" not in card
    assert "less is better" in card
    told = vidgan.load(tmp_path / "two", device="cpu").origin
    assert told == model.origin.told("cc-by-4.0", data_licence="other terms")


def test_the_command_of_the_readme(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = command(
        capsys, "sample", ROOT / "zoo/driving-12x64", "--out", tmp_path / "driving", "--clips", 3, "--grid"
    )
    assert answer.status == 0, answer.err
    assert (tmp_path / "driving-grid.mp4").stat().st_size > 1000
