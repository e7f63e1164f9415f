"""Frames that are images: a folder per clip, in the order of their numbers; upright, 16 bits too."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import require_one_line, vidgan
from vidgan.data.codecs import Frame
from vidgan.data.images import in_order, read_image
from vidgan.data.store import open_prepared
from vidgan.data.video import BrokenClipError

Capture = pytest.CaptureFixture[str]


def write_frames(
    folder: Path, count: int, name: str = "frame_{}.png", size: tuple[int, int] = (16, 24)
) -> list[Frame]:
    """Frames of noise, numbered from 1 without leading zeros."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(str(folder)))
    frames = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(count)]
    for number, frame in enumerate(frames, 1):
        Image.fromarray(frame).save(folder / name.format(number))
    return frames


def test_folders_of_frames_are_clips(tmp_path: Path, capsys: Capture) -> None:
    source, made = tmp_path / "source", tmp_path / "made"
    clips = {
        "run/a": write_frames(source / "run" / "a", 12),
        "run/deep/er": write_frames(source / "run" / "deep" / "er", 3, "{}.bmp"),
        "walk/b [x]": write_frames(source / "walk" / "b [x]", 2),
    }
    write_frames(source / "stray", 2)
    write_frames(source, 1, "loose.png")
    write_frames(source / "walk" / "two kinds", 1)
    write_frames(source / "walk" / "two kinds", 1, "{}.bmp")
    write_frames(source / "walk" / "two sizes", 2)
    write_frames(source / "walk" / "two sizes", 1, "frame_3.png", (16, 20))
    write_frames(source / "walk" / "torn", 2)
    (source / "walk" / "torn" / "frame_2.png").write_bytes(b"\x89PNG\r\n")
    (source / "run" / "a" / "times.txt").touch()
    (source / "run" / "a" / ".frame_0.png").touch()
    command = ("prepare", source, made, "--layout", "frames", "--size", 16, "--workers", 0)
    answer = vidgan(capsys, *command)
    assert answer.status == 0, answer.err
    data = open_prepared(made)
    assert data.classes == ("run", "walk")
    assert [data.name(index) for index in range(3)] == list(clips)
    assert data.labels().tolist() == [0, 0, 1]
    for index, frames in enumerate(clips.values()):
        assert (data.read(index, 0, len(frames)) == np.stack(frames)).all()
        assert data.info(index).frames == len(frames)
        assert data.rate(index) is None
    left_out = dict(data.index.left_out)
    assert left_out["stray"] == "lies in no class folder"
    assert left_out["walk/two kinds"] == "holds .bmp and .png images: keep those of one kind"
    assert left_out["walk/two sizes"] == "frame_3.png has 20x16 pixels, the first image 24x16"
    assert left_out["walk/torn"].startswith("frame_2.png: ")
    assert {str(remark) for remark in data.index.remarks} == {
        "files that lie in no folder of their own: 1 (loose.png)",
        ".txt files, which are not read: 1 (run/a/times.txt)",
        "hidden files: 1 (run/a/.frame_0.png)",
        "folders in class folders, which are no classes themselves: 1 (run/deep)",
    }
    before = {path.name: path.stat().st_mtime_ns for path in made.glob("shard-*")}
    (mended,) = write_frames(source / "walk" / "torn", 1, "frame_2.png")
    assert vidgan(capsys, *command).status == 0
    data = open_prepared(made)
    assert (data.read(3, 1, 1)[0] == mended).all()
    assert data.name(3) == "walk/torn"
    assert len([name for name in before if (made / name).stat().st_mtime_ns == before[name]]) == 3
    one = source / "walk" / "b [x]" / "frame_1.png"
    state = one.stat()
    shutil.copy(source / "walk" / "b [x]" / "frame_2.png", one)
    with one.open("ab") as file:  # the size that it had, in a folder that is as it was
        file.truncate(state.st_size)
    os.utime(one, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert vidgan(capsys, *command).status == 0
    data = open_prepared(made)
    found = [data.name(index) for index in range(len(data))]
    assert (
        "walk/b [x]" not in found or (data.read(found.index("walk/b [x]"), 0, 2) != clips["walk/b [x]"]).any()
    )


def test_folders_of_frames_without_classes(tmp_path: Path, capsys: Capture) -> None:
    source = tmp_path / "source"
    write_frames(source / "a", 2)
    write_frames(source / "b", 3)
    answer = vidgan(capsys, "prepare", source, tmp_path / "made", "--layout", "frames", "--workers", 0)
    assert "2 clips, 5 frames, 1 class" in answer.out
    (source / "c").mkdir()
    (source / "b").rename(source / "c" / "b")
    answer = vidgan(capsys, "prepare", source, tmp_path / "x", "--layout", "frames", "--workers", 0)
    assert "left out (1):\n  a: lies in no class folder" in answer.out
    (source / "empty").mkdir()
    answer = vidgan(capsys, "prepare", source, tmp_path / "y", "--layout", "frames", "--workers", 0)
    require_one_line(answer, "without folders of frame images", ": empty; fill or remove them")
    answer = vidgan(capsys, "prepare", source / "a", tmp_path / "y", "--layout", "frames", "--workers", 0)
    require_one_line(answer, "holds no folders of frame images")


def test_numbers_in_names_count_as_numbers() -> None:
    names = ["f1.png", "f2.png", "f10.png", "f010.png", "g1_9.png", "g1_10.png", "².png", "10", "9"]
    rng = np.random.default_rng(0)
    shuffled = sorted(rng.permutation(names).tolist(), key=in_order)
    assert shuffled == [
        "9",
        "10",
        "f1.png",
        "f2.png",
        "f010.png",
        "f10.png",
        "g1_9.png",
        "g1_10.png",
        "².png",
    ]


def test_images_are_upright_and_of_8_bits(tmp_path: Path) -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    assert (read_image(tmp_path / "turned.png", []) == np.rot90(pixels, -1)).all()
    deep = np.asarray([[0, 128, 257, 32896, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(deep).save(tmp_path / "deep.tif")
    for name in ("deep.png", "deep.tif"):
        assert read_image(tmp_path / name, [])[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    Image.fromarray(pixels).save(tmp_path / "a.ppm")
    assert (read_image(tmp_path / "a.ppm", []) == pixels).all()
    Image.fromarray(np.full((2, 3), 0.5, np.float32)).save(tmp_path / "numbers.tif")
    with pytest.raises(BrokenClipError, match="no levels"):
        read_image(tmp_path / "numbers.tif", [])
