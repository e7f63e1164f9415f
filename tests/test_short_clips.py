"""Clips that are too short are left out where that is asked for: in training, and in whatever the run does later."""

import pickle
from pathlib import Path

import numpy as np
import pytest

import vidgan as package
from commands import require_one_line, vidgan
from videos import write_video
from vidgan.data.dataset import long_clips
from vidgan.data.prepare import prepare_by
from vidgan.data.store import PrepareSpec, open_prepared
from vidgan.errors import UserError
from vidgan.evaluation.clips import codec_of, split_of, stamp
from vidgan.evaluation.memorisation import group_of
from vidgan.run.directory import RunDirectory

LENGTHS = {"run/a": 9, "run/b": 3, "walk/c": 7, "walk/d": 9, "walk/e": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name, frames in LENGTHS.items():
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(folder / "source" / f"{name}.mp4", frames=frames)
    prepare_by(folder / "source", folder / "made", PrepareSpec(size=24))
    return folder / "made"


def test_long_clips_are_those_of_the_dataset(data: Path) -> None:
    whole = open_prepared(data)
    for least in range(1, 8):
        part = long_clips(whole, least)
        expected = [index for index in range(5) if whole.info(index).frames >= least]
        assert [part.name(index) for index in range(len(part))] == [whole.name(index) for index in expected]
        assert part.labels().tolist() == [whole.info(index).label for index in expected]
        assert part.sizes().tolist() == [list(whole.info(index)[1:]) for index in expected]
        assert (part is whole) == (least <= 2)
    again = pickle.loads(pickle.dumps(part))
    for index, number in enumerate(expected):
        assert part.info(index) == again.info(index) == whole.info(number)
        assert (again.read(index, 1, 3, 2) == whole.read(number, 1, 3, 2)).all()
        assert group_of(part, index) == whole.group(number)
    with pytest.raises(IndexError):
        part.info(len(part))
    assert len({whole.fingerprint, part.fingerprint, long_clips(whole, 6).fingerprint}) == 3
    assert (codec_of(part), split_of(part), stamp(part)) == (codec_of(whole), split_of(whole), stamp(whole))
    with pytest.raises(UserError, match="no clip of run, walk has 10 frames"):
        long_clips(whole, 10)
    with pytest.raises(UserError, match="no clip has 2 frames"):
        long_clips(package.open_dataset([(np.zeros((1, 8, 8, 3), np.uint8), 0)]), 2)


def test_inspect_and_train_say_the_same_of_short_clips(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "2 of 5 clips hold no window of 6 frames at stride 1 and 24x24 pixels"
    answer = vidgan(capsys, "inspect", data, "--frames", 6, "--size", 24)
    assert answer.status == 2
    assert said in answer.out
    train = ("train", "demo", "--data", data, "--out", tmp_path / "run", "--levels.0.frames", 6)
    require_one_line(vidgan(capsys, *train), said, "run/b.mp4 (3 frames, needs 6)", "prepare the data again")


@pytest.mark.slow
def test_a_run_leaves_short_clips_out_from_beginning_to_end(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    tiny = ("train", "demo", "--tiny", "--data", data, "--out", run, "--workers", 0, "--levels.0.frames", 7)
    short = "2 of 5 clips hold no window of 7 frames"
    require_one_line(vidgan(capsys, *tiny, "--steps", 1), short, "leave short ones out (train --skip-short)")
    answer = vidgan(capsys, *tiny, "--skip-short", "--held-out", data, "--steps", 1)
    assert answer.status == 0, answer.err
    assert "left out 2 of 5 clips: they have fewer than 7 frames" in answer.out
    record = RunDirectory.open(run).data
    assert (record.clips, record.least_frames) == (3, 7)
    refused = vidgan(capsys, *tiny, "--steps", 2, "--resume")
    require_one_line(refused, short)
    answer = vidgan(capsys, *tiny, "--steps", 2, "--resume", "--skip-short")
    assert answer.status == 0, answer.err
    answer = vidgan(capsys, "evaluate", run, "--protocol", "pixel-statistics", "--clips", 4)
    assert answer.status == 0, answer.err
