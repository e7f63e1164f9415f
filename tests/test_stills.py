"""Pictures of samples as the papers print them, and samples by the batch's own statistics."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from commands import require_one_line, vidgan
from runs import untrained
from vidgan.nn.norm import BatchStatistics
from vidgan.presets import preset
from vidgan.run.tiny import tiny
from vidgan.sample.load import load
from vidgan.sample.noise import Scaled, latents
from vidgan.sample.video_io import raster, raster_columns

Capture = pytest.CaptureFixture[str]


def test_a_raster_reads_as_text_does() -> None:
    clip = np.random.default_rng(0).integers(0, 256, (8, 3, 5, 3), dtype=np.uint8)
    picture = raster(clip)
    assert picture.shape == (2 * 5 - 2, 4 * 7 - 2, 3)
    for t in range(8):
        top, left = 5 * (t // 4), 7 * (t % 4)
        assert (picture[top : top + 3, left : left + 5] == clip[t]).all()


@pytest.mark.parametrize(("frames", "columns"), [(1, 1), (4, 2), (12, 4), (16, 4), (48, 8), (7, 3), (13, 4)])
def test_rows_of_a_raster_are_full_where_they_can_be(frames: int, columns: int) -> None:
    assert raster_columns(frames) == columns


def test_first_frames_and_all_frames_are_those_of_the_clips(tmp_path: Path, capsys: Capture) -> None:
    untrained(tmp_path / "run", tiny(preset("demo")), ("a", "b"))
    out = tmp_path / "out"
    pictures = ["--stills", "--rasters", "--columns", 3, "--format", "npy"]
    answer = vidgan(capsys, "sample", tmp_path / "run", "--out", out, "--clips", 5, *pictures)
    assert answer.status == 0, answer.err
    clips = [np.load(path) for path in sorted(out.glob("*.npy"))]
    side = clips[0].shape[1]
    stills = np.asarray(Image.open(tmp_path / "out-stills.png"))
    assert stills.shape == (2 * (side + 2) - 2, 3 * (side + 2) - 2, 3)
    for i, clip in enumerate(clips):
        top, left = (side + 2) * (i // 3), (side + 2) * (i % 3)
        assert (stills[top : top + side, left : left + side] == clip[0]).all()
    shown = np.asarray(Image.open(tmp_path / "out-rasters" / "00003-b.png"))
    assert (shown == raster(clips[3])).all()
    assert {path.suffix for path in out.iterdir()} == {".npy"}  # clips alone, for whoever measures them


@pytest.mark.slow
def test_classes_stand_in_blocks_and_time_in_a_row_per_clip(tmp_path: Path, capsys: Capture) -> None:
    """Clark et al. 2019, Figure 4: a quadrant per class; SSW-GAN, Figure 2: a row per sample."""
    untrained(tmp_path / "run", tiny(preset("demo")), ("a", "b", "c", "d"))
    out = tmp_path / "out"
    sample = ["sample", tmp_path / "run", "--format", "npy", "--clips", 24]
    pictures = ["--stills", "--by-class", "--columns", 3, "--strip", 2]
    answer = vidgan(capsys, *sample, "--out", out, *pictures, "--classes", "d", "b", "a", "c")
    assert answer.status == 0, answer.err
    clips = [np.load(path) for path in sorted(out.glob("*.npy"))]
    side = clips[0].shape[1] + 2
    stills = np.asarray(Image.open(tmp_path / "out-stills.png"))
    blocks = [(0, 0), (0, 3 * side + 6), (2 * side + 6, 0), (2 * side + 6, 3 * side + 6)]
    assert stills.shape == (4 * side + 6 - 2, 6 * side + 6 - 2, 3)
    for i, clip in enumerate(clips):
        (top, left), place = blocks[i % 4], i // 4
        top, left = top + side * (place // 3), left + side * (place % 3)
        assert (stills[top : top + side - 2, left : left + side - 2] == clip[0]).all()
    rows = np.asarray(Image.open(tmp_path / "out-strip.png"))
    assert rows.shape == (24 * side - 2, 2 * side - 2, 3)
    for i, clip in enumerate(clips):
        for column, frame in enumerate((clip[0], clip[-1])):
            top, left = side * i, side * column
            assert (rows[top : top + side - 2, left : left + side - 2] == frame).all()
    none = ["--out", tmp_path / "none"]
    require_one_line(vidgan(capsys, *sample, *none, "--by-class"), "--by-class", "--stills")
    odd = ["--grid", "--by-class", "--classes", "a", "b", "c", "d", "a"]
    require_one_line(vidgan(capsys, *sample, *none, *odd), "--by-class", "--clips 24")
    require_one_line(vidgan(capsys, *sample, *none, "--strip", 0), "--strip")
    assert not (tmp_path / "none").exists()


def test_batch_statistics_are_those_of_training(tmp_path: Path) -> None:
    """One pass of the generator as a training step makes it; with standing statistics other videos come out."""
    untrained(tmp_path / "run", tiny(preset("demo")), ("a", "b"))
    model = load(tmp_path / "run", raw=True)
    made = model.with_batch_statistics().sample(3, seed=5)
    (generator,) = model.generators
    z = latents(5, 0, range(3), generator.spec.latent, Scaled())
    with torch.no_grad():
        expected = generator(z, torch.tensor([0, 1, 0]), statistics=BatchStatistics())
    assert torch.allclose(made, expected, rtol=0, atol=1e-6)
    assert not torch.allclose(made, model.sample(3, seed=5), rtol=0, atol=1e-3)


def test_batch_statistics_by_command(tmp_path: Path, capsys: Capture) -> None:
    untrained(tmp_path / "run", tiny(preset("demo")), ("a", "b"))
    sample = ["sample", tmp_path / "run", "--format", "npy", "--clips", 3, "--raw"]
    for name in ("standing", "batch"):
        answer = vidgan(capsys, *sample, "--out", tmp_path / name, "--statistics", name)
        assert answer.status == 0, answer.err
    batch, standing = (np.load(tmp_path / name / "00000-a.npy") for name in ("batch", "standing"))
    assert (batch != standing).any()
    out = ["--out", tmp_path / "none"]
    require_one_line(vidgan(capsys, *sample, *out, "--statistics", "moving"), "standing or batch")
    require_one_line(vidgan(capsys, *sample, *out, "--columns", "2"), "--columns", "--stills")
    both = ["--statistics", "batch", "--statistics-sigma", "1"]
    require_one_line(vidgan(capsys, *sample, *out, *both), "--statistics-sigma")
    assert not (tmp_path / "none").exists()
