"""What can be used but should be known of is told: small, interlaced and transparent clips, cover pictures."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import vidgan
from test_frame_folders import write_frames
from test_listing import told
from videos import write_video
from vidgan.data.raw_videos import open_videos
from vidgan.data.store import open_prepared

Capture = pytest.CaptureFixture[str]
SMALL = "smaller than the size that they are brought to"
TRANSPARENT = "transparent in parts, which is not seen"


def ffmpeg(*args: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, args)], check=True, timeout=60)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_videos_that_should_be_known_of_are_told(tmp_path: Path, capsys: Capture) -> None:
    source, made = tmp_path / "source", tmp_path / "made"
    source.mkdir()
    picture = ("-f", "lavfi", "-i", "testsrc=s=48x32:r=8:d=1")
    half = ("-f", "lavfi", "-i", "color=red@0.5:s=48x32:r=8:d=1,format=rgba")
    ffmpeg(*picture, source / "plain.mp4")
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=32x16:r=8:d=1", source / "small.mp4")
    ffmpeg(
        *picture, "-vf", "tinterlace=4", "-flags", "+ilme+ildct", "-c:v", "mpeg2video", source / "fields.mpg"
    )
    ffmpeg(*half, "-c:v", "png", source / "half.mov")
    ffmpeg(*half, "-pix_fmt", "yuva420p", "-c:v", "libvpx-vp9", "-cpu-used", 8, source / "half.webm")
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=48x32:r=8:d=1,format=rgba", "-c:v", "png", source / "opaque.mov")
    ffmpeg(*picture, source / "opaque.gif")
    Image.new("RGB", (64, 64)).save(tmp_path / "cover.png")
    cover = ("-map", 0, "-map", 1, "-c", "copy", "-disposition:v:1", "attached_pic")
    ffmpeg("-i", source / "plain.mp4", "-i", tmp_path / "cover.png", *cover, source / "cover.mp4")
    ffmpeg(*picture, *half, "-map", 0, "-map", 1, "-c:v", "mpeg4", source / "two.mp4")
    assert vidgan(capsys, "prepare", source, made, "--workers", 0, "--size", 24).status == 0
    expected = {
        SMALL: (1, ("small.mp4",)),
        "interlaced, and left so": (1, ("fields.mpg",)),
        TRANSPARENT: (2, ("half.mov", "half.webm")),
        "cover pictures passed over": (1, ("cover.mp4",)),
        "several video streams, of which one is read": (1, ("two.mp4",)),
    }
    assert told(open_prepared(made).index.remarks) == expected
    shown = vidgan(capsys, "inspect", made, "--size", 24).out
    assert f"remark: {SMALL}: 1 (small.mp4)" in shown
    assert "resized" not in shown
    assert "9 of 9 clips are larger than 12 pixels" in vidgan(capsys, "inspect", made, "--size", 12).out
    videos = open_videos(source, 24)
    for index in range(len(videos)):
        videos.info(index)
    assert told(videos.remarks) == expected
    assert vidgan(capsys, "prepare", source, made, "--workers", 0, "--size", 24).status == 0  # and kept
    shutil.copy(source / "plain.mp4", source / "half.mov")
    assert vidgan(capsys, "prepare", source, made, "--workers", 0, "--size", 24).status == 0
    expected[TRANSPARENT] = (1, ("half.webm",))
    assert told(open_prepared(made).index.remarks) == expected


def test_images_that_should_be_known_of_are_told(tmp_path: Path, capsys: Capture) -> None:
    source, made = tmp_path / "source", tmp_path / "made"
    write_frames(source / "plain", 2)
    write_frames(source / "small", 2, size=(8, 40))
    (source / "half").mkdir()
    pixels = np.full((16, 24, 4), 255, np.uint8)
    for number, alpha in enumerate((255, 254)):
        pixels[3, 3, 3] = alpha
        Image.fromarray(pixels).save(source / "half" / f"{number}.png")
    vidgan(capsys, "prepare", source, made, "--layout", "frames", "--workers", 0, "--size", 12)
    assert told(open_prepared(made).index.remarks) == {SMALL: (1, ("small",)), TRANSPARENT: (1, ("half",))}
    (tmp_path / "videos").mkdir()
    frames = [Image.fromarray(np.roll(pixels, step, axis=1)) for step in range(3)]
    frames[0].save(tmp_path / "videos" / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    write_video(tmp_path / "videos" / "b.mp4", frames=2)
    np.save(tmp_path / "videos" / "c.npy", np.zeros((2, 8, 8, 3), np.uint8))
    videos = open_videos(tmp_path / "videos", 16)
    for index in range(3):
        videos.info(index)
    assert told(videos.remarks) == {TRANSPARENT: (1, ("a.webp",)), SMALL: (1, ("c.npy",))}
