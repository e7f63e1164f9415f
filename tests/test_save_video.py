"""``vidgan.save_video``: what it takes, and what a file then holds."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

import vidgan
from vidgan.errors import UserError
from vidgan.sample.video_io import grid

GREYS = (-1.0, -0.5, 0.0, 0.25, 1.0)
BYTES = (0, 64, 128, 159, 255)
"""(x + 1) 127.5 to the nearest: 63.75, 127.5 (to even) and 159.375"""


def floats() -> torch.Tensor:
    """Five grey frames of 16 rows and 24 columns."""
    return torch.tensor(GREYS).view(5, 1, 1, 1).expand(5, 3, 16, 24)


def bytes_of(path: Path) -> np.ndarray:
    """The frames (T, H, W, 3) that a file holds."""
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    with Image.open(path) as image:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
    if path.suffix == ".png":
        return np.stack(np.split(frames[0], 5, axis=1))
    return np.stack(frames)


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp", ".png", ".npy"])
def test_both_kinds_of_video_are_the_same_file(tmp_path: Path, suffix: str) -> None:
    whole = np.broadcast_to(np.array(BYTES, np.uint8)[:, None, None, None], (5, 16, 24, 3))
    for name, video in (("float", floats()), ("byte", whole), ("tensor", torch.tensor(whole.copy()))):
        vidgan.save_video(video, str(tmp_path / f"{name}{suffix}"), fps=12)
    found = bytes_of(tmp_path / f"float{suffix}")
    assert found.shape == (5, 16, 24, 3)
    assert np.abs(found.astype(int) - whole).max() <= (3 if suffix == ".mp4" else 0)
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    assert len(files) == 3
    assert len(set(files)) == 1


def test_channels_rows_and_columns_keep_their_places(tmp_path: Path) -> None:
    video = torch.full((2, 3, 4, 6), -1.0)
    video[1, 0, 2, 5] = 1  # red
    video[0, 2, 3, 0] = 3  # blue; beyond the range is cut
    vidgan.save_video(video.requires_grad_(True), tmp_path / "a.npy")
    found = np.load(tmp_path / "a.npy")
    assert np.argwhere(found).tolist() == [[0, 3, 0, 2], [1, 2, 5, 0]]
    assert set(found.flat) == {0, 255}


@pytest.mark.parametrize(
    ("video", "name", "words"),
    [
        (torch.zeros(5, 16, 24, 3), "a.mp4", r"float \(T, 3, H, W\).* got torch.float32 \(5, 16, 24, 3\)"),
        (torch.zeros(5, 3, 16, 24, dtype=torch.uint8), "a.mp4", r"uint8 \(T, H, W, 3\), got torch.uint8"),
        (torch.zeros(1, 5, 3, 16, 24), "a.mp4", r"got torch.float32 \(1, 5, 3, 16, 24\)"),
        (torch.zeros(5, 16, 24, 3, dtype=torch.int64), "a.mp4", "got torch.int64"),
        (torch.zeros(0, 3, 16, 24), "a.mp4", r"\(0, 3, 16, 24\)"),
        (torch.full((5, 3, 16, 24), float("nan")), "a.mp4", "not finite"),
        (floats(), "a.avi", "known formats are .mp4, .gif, .webp, .png, .npy"),
        (floats(), "a", "known formats"),
    ],
)
def test_what_is_no_video_is_one_line(tmp_path: Path, video: torch.Tensor, name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        vidgan.save_video(video, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_halves_are_written_as_floats_are(tmp_path: Path) -> None:
    """Every byte's value, rounded to bfloat16: adding 1 to it there would lose the last bits once more."""
    video = (torch.arange(255.0) / 127.5 - 1).bfloat16().view(5, 1, 3, 17).expand(5, 3, 3, 17)
    vidgan.save_video(video, tmp_path / "a.npy")
    expected = ((video.double() + 1) * 127.5).round().permute(0, 2, 3, 1)
    assert np.array_equal(np.load(tmp_path / "a.npy"), expected)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no folder .*none"):
        vidgan.save_video(floats(), tmp_path / "none" / "x.mp4")


def test_impossible_rates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="frames per second"):
        vidgan.save_video(floats(), tmp_path / "a.mp4", fps=0)


def test_the_same_video_is_the_same_file(tmp_path: Path) -> None:
    """Also by encoders that look at memory which they have not written, as x264 did for small videos."""
    rng = np.random.default_rng(3)
    scene = rng.normal(size=(9, 9, 3)).repeat(16, axis=0).repeat(16, axis=1)
    for axis in (0, 1):  # edges nine pixels wide
        scene = np.apply_along_axis(np.convolve, axis, scene, np.full(9, 1 / 9), mode="same")
    video = np.stack([scene[10 + t : 74 + t, 10 + 2 * t : 74 + 2 * t] for t in range(12)])
    video = (128 + 60 * video + 2 * rng.normal(size=video.shape)).clip(0, 255).astype(np.uint8)
    files = set()
    for _ in range(12):
        others = [rng.integers(0, 255, int(rng.integers(1000, 300_000)), dtype=np.uint8) for _ in range(6)]
        del others  # so that memory which is taken next has other contents
        vidgan.save_video(video, tmp_path / "a.mp4")
        files.add((tmp_path / "a.mp4").read_bytes())
    assert len(files) == 1


@pytest.mark.parametrize("fps", [0.5, 12.5, 23.976, 60])
def test_a_file_keeps_the_frame_rate(tmp_path: Path, fps: float) -> None:
    for suffix in (".mp4", ".gif", ".webp"):
        vidgan.save_video(floats(), tmp_path / f"a{suffix}", fps=fps)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(fps, rel=1e-4)
    for suffix, unit in ((".gif", 10), (".webp", 1)):  # GIF counts hundredths of a second
        with Image.open(tmp_path / f"a{suffix}") as image:
            image.seek(1)
            image.load()
            assert abs(image.info["duration"] - 1000 / fps) <= unit


def test_an_odd_side_is_made_even_by_its_last_row_or_column(tmp_path: Path) -> None:
    white = np.full((2, 15, 23, 3), 255, np.uint8)
    vidgan.save_video(white, tmp_path / "a.mp4")
    found = bytes_of(tmp_path / "a.mp4")
    assert found.shape == (2, 16, 24, 3)
    assert found.min() > 250


def test_clips_of_any_shape_stand_in_a_grid() -> None:
    """Five clips of two frames, two rows and three columns; two to a row, one black pixel between them, doubled."""
    videos = np.arange(1, 1 + 5 * 2 * 2 * 3 * 3, dtype=np.uint8).reshape(5, 2, 2, 3, 3)
    made = grid(videos, columns=2, gap=1, scale=2)
    expected = np.zeros((2, 3 * 5 - 1, 2 * 7 - 1, 3), np.uint8)
    for clip, frame, row, column in np.ndindex(5, 2, 2, 3):
        top, left = 5 * (clip // 2) + 2 * row, 7 * (clip % 2) + 2 * column
        expected[frame, top : top + 2, left : left + 2] = videos[clip, frame, row, column]
    assert np.array_equal(made, expected)
