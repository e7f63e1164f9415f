"""docs/library.md and the README: every block of Python runs, from top to bottom, on tiny models."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

import vidgan
from vidgan.cli import main
from vidgan.evaluation import I3D
from vidgan.evaluation.features import network as formula
from vidgan.presets import preset
from vidgan.run.tiny import tiny
from vidgan.sample.video_io import save_video

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", flags=re.M | re.S)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the page names: two runs, videos, prepared data, weights made by formula."""
    folder = tmp_path_factory.mktemp("library")
    for run, name in (("demo", "demo"), ("prediction", "demo-prediction")):
        train(name, "synthetic", folder / "runs" / run)
    rng = np.random.default_rng(0)
    for number in range(12):
        clip = rng.integers(256, size=(24, 72, 72, 3), dtype=np.uint8)
        for name in ("videos", "my_videos"):
            path = folder / name / ("a" if number % 2 else "b") / f"{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            save_video(clip, path, 12)
    for name in ("mine", "test"):
        command = ["prepare", folder / "videos", folder / "data" / name, "--layout", "folder", "--size", 72]
        assert main([str(word) for word in command]) == 0
    network = I3D()
    network.load_state_dict(formula.i3d_state(network))
    torch.save(network.state_dict(), folder / "i3d.pt")
    return folder


def train(name: str, data: str, out: Path) -> None:
    command = ["train", name, "--data", data, "--out", str(out), "--tiny", "--steps", "2", "--workers", "0"]
    assert main(command) == 0


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(vidgan, "preset", lambda name: tiny(preset(name)))


def blocks(page: str) -> list[tuple[str, str]]:
    """(language, code) of a page's blocks of Python and shell."""
    return BLOCK.findall((ROOT / page).read_text("utf-8"))


def run(page: str) -> dict[str, object]:
    """What the page's blocks leave; a block whose first line is a file's name is that file."""
    names: dict[str, object] = {}
    for language, code in blocks(page):
        if language == "sh":
            for line in code.splitlines():
                words = shlex.split(line)[1:]
                tiny_too = ["--tiny", "--steps", "2"] if words[0] == "train" else []
                assert main([*words, *tiny_too]) == 0
        elif found := re.match(r"# (\w+\.py)\n", code):
            Path(found[1]).write_text(code)
        else:
            exec(compile(code, page, "exec"), names)
    return names


def test_every_block_of_the_library_page_runs(place: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (place / "runs" / "demo").rglob("*")}
    names = run("docs/library.md")
    assert {path: path.stat().st_mtime_ns for path in (place / "runs" / "demo").rglob("*")} == before
    assert len(names["noise"]) == 16
    for name in ("path", "futures", "video", "scores", "h"):
        value = names[name]
        assert isinstance(value, torch.Tensor)
        assert value.isfinite().all()
    assert names["score"] > 0
    assert (place / "disc.mp4").stat().st_size > 0
    assert type(names["again"]) is vidgan.Model


def test_the_block_of_the_readme_runs() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    (code,) = [code for language, code in BLOCK.findall(text) if language == "python"]
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    video = names["video"]
    assert isinstance(video, torch.Tensor)
    assert video.shape[0] == 8
