"""Colours of decoded frames: float64 by the matrix equations from known planes, and what FFmpeg shows."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from numpy.typing import NDArray

from test_prepare_video import weights
from vidgan.data.raw_videos import open_videos
from vidgan.data.resize import Resizer
from vidgan.data.video import VideoFile
from vidgan.sample.video_io import write_clip

HEIGHT, WIDTH = 48, 80
SIZES = ((48, 80), (24, 40), (21, 35), (30, 50))
"""results: the source's own, even, odd, and one at which chroma is enlarged and luma is not"""
MATRICES = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""(Kr, Kb) of BT.709, BT.601 and BT.2020, by their numbers in H.273"""
LIMITED, FULL = 1, 2
Planes = list[NDArray[np.float64]]
Image = NDArray[np.uint8]


def textured(
    rng: np.random.Generator, shape: tuple[int, int], low: float, high: float
) -> NDArray[np.float64]:
    """Whole numbers: patches with fine noise on them, so that blurred or shifted planes are seen."""
    rows, columns = (np.arange(side) * count // side for side, count in zip(shape, (5, 7), strict=True))
    patches = rng.uniform(low, high, (5, 7))[rows][:, columns]
    return (patches + rng.uniform(-0.08, 0.08, shape) * (high - low)).clip(low, high).round()


def frame_of(pixels: str, planes: Planes, depth: int) -> av.VideoFrame:
    frame = av.VideoFrame(WIDTH, HEIGHT, pixels)
    kind = np.dtype(np.uint8 if depth == 8 else "<u2")
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size // kind.itemsize), kind)
        rows[:, : values.shape[1]] = values
        plane.update(rows.tobytes())
    return frame


def resized(plane: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    down, across = weights(plane.shape[0], height, "bilinear"), weights(plane.shape[1], width, "bilinear")
    return down @ plane @ across.T


def rgb(planes: Planes, depth: int, matrix: int, full: bool) -> NDArray[np.float64]:
    """Red, green and blue of luma and two chroma planes (ITU-T H.273, 8.3)."""
    red, blue = MATRICES[matrix]
    one = 2 ** (depth - 8)
    white = 2**depth - 1
    black, luma, chroma = (0, white, white) if full else (16 * one, 219 * one, 224 * one)
    y = (planes[0] - black) / luma
    b, r = ((plane - 128 * one) / chroma for plane in planes[1:])
    r, b = y + 2 * (1 - red) * r, y + 2 * (1 - blue) * b
    g = (y - red * r - blue * b) / (1 - red - blue)
    return (255 * np.stack([r, g, b], -1)).clip(0, 255)


def require_exact(found: Image, exact: NDArray[np.float64]) -> None:
    error = (found - exact)[2:-2, 2:-2]  # at the edges the triangle is cut off in another way
    assert np.abs(error).max() < 0.55  # half a level is the rounding to 8 bits
    assert abs(error.mean()) < 0.15


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("pixels", "depth", "down", "across"),
    [
        ("yuv420p", 8, 2, 2),
        ("yuv422p", 8, 1, 2),
        ("yuv444p", 8, 1, 1),
        ("yuvj420p", 8, 2, 2),
        ("nv12", 8, 2, 2),
        ("yuv420p10le", 10, 2, 2),
        ("yuv444p12le", 12, 1, 1),
        ("yuv422p16le", 16, 1, 2),
    ],
)
def test_yuv_is_the_matrix_equation(
    pixels: str, depth: int, down: int, across: int, size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    one, small = 2 ** (depth - 8), (HEIGHT // down, WIDTH // across)
    planes = [
        textured(rng, (HEIGHT, WIDTH), 60 * one, 180 * one),
        *(textured(rng, small, 110 * one, 150 * one) for _ in range(2)),
    ]
    for matrix in MATRICES:
        for colour_range in (FULL,) if pixels.startswith("yuvj") else (LIMITED, FULL):
            planar = "yuv420p" if pixels == "nv12" else pixels
            frame = frame_of(planar, planes, depth)
            frame = frame.reformat(format=pixels) if planar != pixels else frame
            frame.colorspace, frame.color_range = matrix, colour_range
            found = Resizer(size[0], "bilinear").video_frame(frame, *size)
            scaled = [resized(plane, *size) for plane in planes]
            require_exact(found, rgb(scaled, depth, matrix, colour_range == FULL))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("pixels", "depth"), [("gray", 8), ("gray10le", 10), ("gray16le", 16)])
def test_grey_is_of_full_range(pixels: str, depth: int, size: tuple[int, int]) -> None:
    white = 2**depth - 1
    plane = textured(np.random.default_rng(0), (HEIGHT, WIDTH), 0, white)
    for colour_range in (0, LIMITED, FULL):  # FFmpeg's decoders of grey do not ask for it
        frame = frame_of(pixels, [plane], depth)
        frame.color_range = colour_range
        found = Resizer(size[0], "bilinear").video_frame(frame, *size)
        require_exact(found, np.repeat(resized(plane, *size)[..., None] * 255 / white, 3, -1))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pixels", ["rgb24", "bgr0", "gbrp", "pal8"])
def test_rgb_is_not_mixed_on_the_way(pixels: str, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = np.stack([textured(rng, (HEIGHT, WIDTH), 0, 255) for _ in range(3)], -1).astype(np.uint8)
    if pixels == "pal8":
        palette = rng.integers(0, 256, (256, 3), dtype=np.uint8)
        alpha = np.full((256, 1), 255, np.uint8)
        frame = av.VideoFrame.from_ndarray((image[..., 0], np.hstack([alpha, palette])), "pal8")
        image = palette[image[..., 0]]
    else:
        frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=pixels)
    exact = np.stack([resized(image[..., c].astype(float), *size) for c in range(3)], -1)
    require_exact(Resizer(size[0], "bilinear").video_frame(frame, *size), exact)
    require_exact(Resizer(size[0], "bilinear").image(image), exact)


@pytest.mark.parametrize(("pixels", "depth"), [("gbrp10le", 10), ("gbrp12le", 12), ("rgb48le", 16)])
def test_white_is_the_largest_value_of_deep_rgb(pixels: str, depth: int) -> None:
    levels = np.linspace(0, 2**depth - 1, WIDTH).round()
    plane = np.broadcast_to(levels, (HEIGHT, WIDTH))
    if pixels == "rgb48le":
        frame = av.VideoFrame.from_ndarray(np.repeat(plane[..., None], 3, -1).astype(np.uint16), pixels)
    else:
        frame = frame_of(pixels, [plane] * 3, depth)
    found = Resizer(HEIGHT, "bilinear").video_frame(frame, HEIGHT, WIDTH).astype(np.float64)
    assert np.abs(found - (levels * 255 / (2**depth - 1))[:, None]).max() <= 0.51


def write_planes(path: Path, frames: list[av.VideoFrame], **tags: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = frames[0].height, frames[0].width, frames[0].format.name
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for frame in frames:
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def load(path: Path, size: int) -> Image:
    return np.stack(list(VideoFile(path, path.name, 0).open(Resizer(size, "bilinear")).frames))


@pytest.mark.parametrize("width", [320, 318, 240, 63])
def test_grey_levels_of_a_file_whatever_its_width(tmp_path: Path, width: int) -> None:
    levels = np.arange(16, 236, 3)
    frames = []
    for level in levels:
        frame = av.VideoFrame(width, 60, "yuv420p")
        for plane, value in zip(frame.planes, (level, 128, 128), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frames.append(frame)
    write_planes(tmp_path / "levels.mkv", frames)
    for size in (16, 60):
        found = load(tmp_path / "levels.mkv", size)
        assert found.shape[1:3] == (size, round(size * width / 60))
        error = found.reshape(len(levels), -1, 3) - ((levels - 16) * 255 / 219)[:, None, None]
        assert np.abs(error).max() <= 0.51


def test_a_file_says_which_matrix_and_range(tmp_path: Path) -> None:
    planes = [
        np.full(shape, value, float) for shape, value in (((48, 80), 100), ((24, 40), 90), ((24, 40), 170))
    ]
    for matrix in MATRICES:
        for colour_range in (LIMITED, FULL):
            path = tmp_path / f"{matrix}-{colour_range}.mkv"
            frame = frame_of("yuv420p", planes, 8)
            frame.colorspace, frame.color_range = matrix, colour_range
            write_planes(path, [frame], colorspace=matrix, color_range=colour_range)
            exact = rgb([plane[:1, :1] for plane in planes], 8, matrix, colour_range == FULL)
            assert np.abs(load(path, 48)[0] - exact).max() <= 0.51


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p10le", "gray", "rgb24", "yuvj420p"])
def test_colours_are_those_that_ffmpeg_shows(tmp_path: Path, pixels: str) -> None:
    path, exact = tmp_path / "bars.mkv", "accurate_rnd+full_chroma_int+full_chroma_inp+bilinear"
    bars = ["-f", "lavfi", "-i", "smptebars=s=96x64:d=0.2:r=10"]
    ffmpeg(*bars, "-vf", f"scale=flags={exact},format={pixels}", "-c:v", "ffv1", path)
    if pixels == "yuvj420p":
        ffmpeg(*bars, "-pix_fmt", pixels, "-c:v", "mjpeg", path)
    for height, width in ((32, 48), (21, 32)):
        shown = f"scale={width}:{height}:flags={exact},format=rgb24"
        raw = ffmpeg("-i", path, "-vf", shown, "-f", "rawvideo", "-")
        expected = np.frombuffer(raw, np.uint8).reshape(2, height, width, 3)
        error = load(path, height).astype(float) - expected
        assert np.abs(error).mean() < 0.25
        assert np.abs(error).max() <= 2


def ffmpeg(*args: Any) -> bytes:
    done = subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, args)], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_lossless_formats_of_our_own_keep_every_pixel(tmp_path: Path) -> None:
    clip = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)
    write_clip(tmp_path / "clip.webp", clip, 8.0)
    write_clip(tmp_path / "clip.npy", clip, 8.0)
    videos = open_videos(tmp_path)
    for index in range(2):
        assert (videos.read(index, 0, 3) == clip).all()
