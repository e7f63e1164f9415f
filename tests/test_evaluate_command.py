"""``vidgan evaluate``: what goes on record, and which models and numbers it refuses."""

from pathlib import Path

import pytest

from commands import require_one_line, snapshot, vidgan
from vidgan.data.layouts import Folder
from vidgan.data.prepare import prepare
from vidgan.data.prepare_spec import PrepareSpec
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.errors import UserError
from vidgan.evaluate.protocols import protocol
from vidgan.evaluate.record import subject_of
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_lines
from vidgan.sample.files import write_clip

Capture = pytest.CaptureFixture[str]


def train(out: Path, preset: str, *more: str) -> Path:
    from vidgan.cli import main

    command = ["train", preset, "--tiny", "--data", "synthetic", "--workers", "0", "--steps", "1"]
    assert main([*command, "--out", str(out), *more]) == 0
    return out


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("evaluate") / "run", "demo")


def test_the_data_measured_are_on_record(run: Path, tmp_path: Path, capsys: Capture) -> None:
    made = SyntheticDataset(SyntheticSpec(size=30, frames=9, clips=8))
    (tmp_path / "videos").mkdir()
    for i in range(len(made)):
        write_clip(tmp_path / "videos" / f"{i}.mp4", made.read(i, 0, 9), 8.0)
    other = prepare(tmp_path / "videos", tmp_path / "data", PrepareSpec(layout=Folder(), size=30), workers=0)
    trained_on = RunDirectory.open(run).data.fingerprint
    assert other.fingerprint != trained_on
    for data, expected in (((), trained_on), (("--data", tmp_path / "data"), other.fingerprint)):
        answer = vidgan(capsys, "evaluate", run, "--protocol", "pixel-statistics", "--clips", 4, *data)
        assert answer.status == 0, answer.err
        assert read_lines(run / "metrics.jsonl")[-1]["data"] == expected


@pytest.mark.slow
def test_oracle_accuracy_refuses_other_models(run: Path, tmp_path: Path, capsys: Capture) -> None:
    class_free = train(tmp_path / "free", "demo", "--conditional", "False")
    predicting = train(tmp_path / "predicting", "trivd-gan-fp-k600")
    for out, word in ((class_free, "without classes"), (predicting, "continues videos")):
        before = snapshot(out)
        # Refused before the other protocol has measured anything.
        answer = vidgan(
            capsys, "evaluate", out, "--protocol", "pixel-statistics", "oracle-accuracy", "--clips", 2
        )
        require_one_line(answer, "oracle-accuracy", word)
        assert snapshot(out) == before
    answer = vidgan(capsys, "evaluate", run, "--protocol", "oracle-accuracy", "--clips", 2)
    assert answer.status == 0, answer.err


def test_oracle_accuracy_refuses_other_classes(run: Path) -> None:
    opened = RunDirectory.open(run)
    data = SyntheticDataset(SyntheticSpec(shapes=("disc", "triangle")))
    with pytest.raises(UserError, match="triangle-left"):
        protocol("oracle-accuracy").check(subject_of(opened, data))


@pytest.mark.slow
def test_class_free_models_name_no_classes(tmp_path: Path, capsys: Capture) -> None:
    class_free = train(tmp_path / "free", "demo", "--conditional", "False")
    answer = vidgan(capsys, "sample", class_free, "--out", tmp_path / "a", "--clips", 2, "--format", "npy")
    assert answer.status == 0, answer.err
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["00000.npy", "00001.npy"]
    answer = vidgan(capsys, "sample", class_free, "--out", tmp_path / "b", "--classes", "disc-right")
    require_one_line(answer, "without classes", "--classes")
    assert not (tmp_path / "b").exists()
