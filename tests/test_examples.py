"""The scripts in examples/ run as they stand, at tiny size; those that define classes in a process of their own."""

import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import vidgan
from commands import ENVIRONMENT
from vidgan.evaluation import default_distance
from vidgan.sample.video_io import save_video

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[1] / "examples"
Example = Callable[..., str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What examples/train.py makes."""
    out = tmp_path_factory.mktemp("examples") / "run"
    said = process("train.py", "synthetic", "--out", out, "--steps", 1, "--batch", 8)
    assert "loss/generator" in said
    return out


@pytest.fixture
def example(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Example:
    """Runs a script in this process, which has imported what it takes seconds to import; its output."""

    def run(name: str, *args: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, args)])
        capsys.readouterr()
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def process(name: str, *args: object) -> str:
    """The output of a script that is run as a user runs it."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, args)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_has_a_test() -> None:
    text = Path(__file__).read_text("utf-8")
    names = [path.name for path in EXAMPLES.glob("*.py")]
    assert len(names) == 6
    assert [name for name in names if f'("{name}"' not in text] == []


def test_sample(run: Path, tmp_path: Path, example: Example) -> None:
    said = example("sample.py", run, "--out", tmp_path / "samples", "--clips", 2)
    assert said.startswith("Model(demo, step 1")
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        "0000.mp4",
        "0001.mp4",
        "between.webp",
    ]


def test_score_videos(tmp_path: Path, example: Example) -> None:
    rng = np.random.default_rng(0)
    for folder, side in (("fake", 16), ("real", 16)):
        (tmp_path / folder).mkdir()
        for number in range(4):
            clip = rng.integers(256, size=(8, side, side, 3), dtype=np.uint8)
            save_video(clip, tmp_path / folder / f"{number}.mp4", 12)
    said = example("score_videos.py", tmp_path / "fake", "--real", tmp_path / "real")
    assert said.startswith(f"{default_distance()}: ")
    assert "warning: " in said  # four clips are few


def test_own_unit(tmp_path: Path) -> None:
    said = process("own_unit.py", "--out", tmp_path / "own", "--steps", 1)
    assert "MinimalGRUSpec" in said
    assert "torch.Size([4, 8, 3, 24, 24])" in said


def test_own_dataset(tmp_path: Path) -> None:
    said = process("own_dataset.py", "--out", tmp_path / "balls", "--steps", 1)
    assert said.splitlines()[-1] == "('right', 'left')"


def test_fine_tune(run: Path, tmp_path: Path, example: Example) -> None:
    example("fine_tune.py", run, "synthetic-open", "--out", tmp_path / "tuned", "--steps", 1)
    tuned = vidgan.load(tmp_path / "tuned")
    assert tuned.step == 1
    assert tuned.experiment.training.adam.generator_rate == 1e-4
