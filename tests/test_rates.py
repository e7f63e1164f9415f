"""Frame rates: resampling while preparing; mixed ones are told by inspect and train."""

from pathlib import Path

import numpy as np
import pytest

import vidgan
from commands import vidgan as command
from videos import number_of, write_video
from vidgan.data.dataset import LongClips
from vidgan.data.rates import in_words, mixed_rates, rate_counts, same_rates
from vidgan.data.store import open_prepared

Capture = pytest.CaptureFixture[str]


def videos(folder: Path) -> Path:
    folder.mkdir()
    for number, rate in enumerate((24, 24, 12)):
        write_video(folder / f"{number}.mp4", frames=16, rate=rate)
    write_video(folder / "3.gif", frames=1)
    return folder


def test_rates_that_a_container_rounds_are_the_same() -> None:
    counts = rate_counts(np.array([24.0, 24000 / 1001, 24.008, 25, np.nan, 25]))
    assert [count.clips for count in counts] == [3, 2]
    assert in_words(counts) == "24/s (3 clips), 25/s (2)"
    assert in_words(counts[1:]) == "25/s (2 clips)"
    assert (
        in_words(rate_counts(np.arange(1.0, 7.0))) == "1/s (1 clip), 2/s (1), 3/s (1), 4/s (1), 5/s (1), ..."
    )
    assert same_rates(rate_counts(np.array([29.97])), rate_counts(np.array([30.0, 30.0])))
    assert not same_rates(rate_counts(np.array([30.0])), rate_counts(np.array([30.0, 25.0])))
    assert same_rates(rate_counts(np.array([np.nan])), rate_counts(np.array([30.0])))


def test_prepare_resamples(tmp_path: Path, capsys: Capture) -> None:
    source = videos(tmp_path / "videos")
    answer = command(capsys, "prepare", source, tmp_path / "made", "--workers", 0, "--size", 32, "--fps", 12)
    assert answer.status == 0, answer.err
    data = open_prepared(tmp_path / "made")
    assert [number_of(frame) for frame in data.read(0, 0, 8)] == list(range(0, 16, 2))
    assert [number_of(frame) for frame in data.read(2, 0, 16)] == list(range(16))
    assert data.sizes()[:, 0].tolist() == [8, 8, 16, 1]
    assert data.rates()[:3].tolist() == [12, 12, 12]
    assert "not resampled, since it says no frame rate: 1 (3.gif)" in answer.out
    assert mixed_rates(data) is None
    answer = command(capsys, "prepare", source, tmp_path / "made", "--workers", 0, "--size", 32)
    assert "fps: 12.0 -> None" in answer.err


def test_mixed_rates_are_told(tmp_path: Path, capsys: Capture) -> None:
    source = videos(tmp_path / "videos")
    (source / "3.gif").unlink()
    command(capsys, "prepare", source, tmp_path / "made", "--workers", 0, "--size", 24)
    told = "frame rates differ, 24/s (2 clips), 12/s (1): `vidgan prepare --fps R` resamples: 1 (2.mp4)"
    shown = command(capsys, "inspect", tmp_path / "made").out
    assert f"remark: {told}" in shown
    assert "mean length: 16 frames, 0.889 s\n" in shown  # two of 16 / 24 s and one of 16 / 12 s
    assert told in map(str, vidgan.inspect(tmp_path / "made").remarks)
    kept = LongClips(open_prepared(tmp_path / "made"), np.array([2, 1]), 8)
    assert kept.rates().tolist() == pytest.approx([12, 24])
    assert kept.rate(1) == pytest.approx(24)
    experiment = vidgan.preset("demo")
    vidgan.Trainer(experiment, tmp_path / "made", workers=0)
    assert told in capsys.readouterr().out
