"""Pictures of what discriminators see: parts of the very clip that stands above them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import require_one_line, vidgan
from runs import untrained
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.presets import preset
from vidgan.report.page import write_report
from vidgan.run.tiny import tiny
from vidgan.sample.previews import write_views
from vidgan.sample.views import left_aligned, picture_of, seen_by_discriminators, side_by_side

Capture = pytest.CaptureFixture[str]
DATA = SyntheticDataset(SyntheticSpec(size=32, frames=40, clips=6, textured=True))


def test_frames_crops_and_smaller_clips_are_of_the_clip() -> None:
    """Luc et al. 2020, Figure 1: k frames by half, a window of half the size, the clip by half."""
    experiment = tiny(preset("trivd-gan-fp-k600-16x64"))
    whole, frames, crop, clip = seen_by_discriminators(experiment, DATA, 2, seed=1)
    assert [each.name for each in (whole, frames, crop, clip)] == [
        "clip of the data",
        "frames",
        "crop",
        "clip",
    ]
    count = experiment.levels[0].seen_frames
    assert (whole.size, clip.size, crop.size) == (f"{count}x32x32", f"{count}x16x16", f"{count}x16x16")
    for n in range(2):
        real = whole.videos[n].astype(np.float64)
        pooled = np.zeros((count, 16, 16, 3))
        for row in range(16):
            for column in range(16):
                part = real[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                pooled[:, row, column] = part.mean((1, 2))
        assert abs(clip.videos[n] - pooled).max() <= 0.51
        places = [t for seen in frames.videos[n] for t in range(count) if abs(seen - pooled[t]).max() <= 0.51]
        assert places == sorted(set(places))
        assert len(places) == len(frames.videos[n]) < count
        windows = [
            (top, left)
            for top in range(17)
            for left in range(17)
            if (crop.videos[n] == real[:, top : top + 16, left : left + 16]).all()
        ]
        assert windows


def test_a_pair_of_levels_is_two_rows() -> None:
    experiment = tiny(preset("ssw-gan-k600-48x128"))
    names = [each.name for each in seen_by_discriminators(experiment, DATA, 1, seed=0)]
    assert names[-2:] == ["level 2, matching, below", "level 2, matching, above"]
    below, above = seen_by_discriminators(experiment, DATA, 1, seed=0)[-2:]
    assert below.videos.shape == above.videos.shape
    joint = seen_by_discriminators(tiny(preset("ssw-gan-joint-12x64")), DATA, 1, seed=0)
    assert all("level2_" in each.name or each.name == "clip of the data" for each in joint)


def test_rows_stand_below_each_other_and_blocks_beside() -> None:
    one, two = np.full((2, 3, 3), 1, np.uint8), np.full((4, 5, 3), 2, np.uint8)
    column = left_aligned([one, two])
    assert column.shape == (2 + 6 + 4, 5, 3)
    assert (column[:2, :3] == 1).all()
    assert (column[:2, 3:] == 128).all()
    assert (column[8:] == 2).all()
    row = side_by_side([one, two])
    assert row.shape == (4, 3 + 6 + 5, 3)
    assert (row[:2, :3] == 1).all()
    assert (row[:, 9:] == 2).all()


@pytest.mark.slow
def test_the_command_and_the_report(tmp_path: Path, capsys: Capture) -> None:
    experiment = tiny(preset("trivd-gan-fp-k600-16x64"))
    run = untrained(tmp_path / "run", experiment, ("all",))
    out = tmp_path / "views.png"
    plot = ["plot", "views", run.path, run.path, "--data", "synthetic-textured", "--out", out]
    answer = vidgan(capsys, *plot, "--columns", 3)
    assert answer.status == 0, answer.err
    rows = [line.split(" (")[0].strip() for line in answer.out.splitlines() if line.startswith("  ")]
    assert rows == ["clip of the data", "frames", "crop", "clip"] * 2
    picture = np.asarray(Image.open(out))
    half = (picture.shape[1] - 6) // 2
    assert (picture[:, :half] == picture[:, half + 6 :]).all()
    missing = ["plot", "views", "demo", "--out", out]
    require_one_line(vidgan(capsys, *missing), "demo", "--data")
    assert "What the discriminators see" not in write_report(run.path).read_text()
    write_views(run, DATA)
    seen = seen_by_discriminators(experiment, DATA, 1, seed=0)
    assert np.asarray(Image.open(run.samples / "views.png")).shape == picture_of(seen, 0, 12).shape
    page = write_report(run.path).read_text()
    assert "What the discriminators see" in page
    assert "crop (" in page
