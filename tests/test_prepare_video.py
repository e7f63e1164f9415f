"""Real video files: every container, colours, rotation, frame rates, damage; resizing by definition."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from videos import CODECS, SIZE, number_of, picture, turn_clockwise, write_video
from vidgan.data.resize import Resizer
from vidgan.data.timeline import usual_interval
from vidgan.data.video import BrokenClipError, VideoFile


def load(path: Path, size: int = 32, name: str = "bilinear") -> tuple[float | None, NDArray[np.uint8]]:
    rate, frames, _ = VideoFile(path, path.name, 0).open(Resizer(size, name))
    return rate, np.stack(list(frames))


@pytest.mark.parametrize("suffix", CODECS)
def test_container_yields_every_frame_in_its_colours(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    write_video(path)
    rate, video = load(path)
    assert rate == pytest.approx(25)
    assert video.shape == (9, 32, 48, 3)
    for number, frame in enumerate(video):
        expected = picture(number).astype(float)
        for rows, columns in ((slice(4, 28), slice(3, 13)), (slice(3, 13), slice(20, 45))):
            error = frame[rows, columns].mean((0, 1)) - expected[rows, columns].mean((0, 1))
            # GIF holds 3 bits of red and green and 2 of blue
            assert np.abs(error).max() < (45 if suffix == ".gif" else 8)
        if suffix != ".gif":
            assert number_of(frame) == number


def test_shorter_side_is_resized_and_aspect_kept(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", frames=2)
    assert load(tmp_path / "a.mp4", 16)[1].shape == (2, 16, 24, 3)
    tall = [np.ascontiguousarray(np.rot90(picture(0)))] * 2
    write_video(tmp_path / "b.mp4", pictures=tall)
    assert load(tmp_path / "b.mp4", 20)[1].shape == (2, 30, 20, 3)


def test_rotation_turns_the_picture_upright(tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    write_video(path, frames=2)
    plain = load(path)[1]
    turn_clockwise(path)
    turned = load(path)[1]
    assert turned.shape == (2, 48, 32, 3)
    # 90 degrees clockwise: the left edge (red) comes to the top
    assert turned[0, :12].mean((0, 1)) == pytest.approx([230, 40, 40], abs=12)
    assert (turned == plain[:, ::-1].swapaxes(1, 2)).all()


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_variable_rate_is_made_constant_by_time_stamps(tmp_path: Path, suffix: str) -> None:
    # usual interval 100 ms; picture 3 stays 300 ms; picture 7 lasts 40 ms and is passed over
    times = [0, 100, 200, 300, 600, 700, 800, 900, 940, 1000, 1100]
    path = tmp_path / f"vfr{suffix}"
    write_video(path, frames=len(times), times=times, rate=10)
    rate, video = load(path)
    assert rate == pytest.approx(10, rel=0.01)
    assert [number_of(frame) for frame in video] == [0, 1, 2, 3, 3, 3, 4, 5, 6, 8, 9, 10]


def test_rounded_time_stamps_are_a_constant_rate(tmp_path: Path) -> None:
    times = [round(number * 1000 / 30) for number in range(15)]  # 33, 34, 33 ms, as WebM stores 30 per second
    path = tmp_path / "thirty.webm"
    write_video(path, frames=15, times=times, rate=30)
    rate, video = load(path)
    assert rate == pytest.approx(30, rel=0.003)
    assert [number_of(frame) for frame in video] == list(range(15))


def test_usual_interval() -> None:
    def usual(*times: int) -> Fraction | None:
        return usual_interval(np.diff(np.asarray(times, np.int64)))

    assert usual() is None
    assert usual(3) is None
    assert usual(0, 2, 4, 9, 11) == 2
    assert usual(0, 33, 67, 100) == Fraction(100, 3)


def test_broken_files_say_why(tmp_path: Path) -> None:
    write_video(tmp_path / "whole.mp4")
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.webm").write_text("not a video")
    (tmp_path / "empty.avi").touch()
    write_video(tmp_path / "whole.avi", frames=20)
    data = (tmp_path / "whole.avi").read_bytes()
    with av.open(str(tmp_path / "whole.avi")) as container:
        ends = [packet.pos - 8 for packet in container.demux(video=0) if packet.pos is not None]
    (tmp_path / "torn.avi").write_bytes(data[: ends[12] - 20])
    (tmp_path / "cut.avi").write_bytes(data[: ends[12]])
    for name, reason in {
        "cut.mp4": "Invalid data",
        "text.webm": "Invalid data",
        "empty.avi": "Invalid data",
        "torn.avi": "cut off: 12 of 20 frames",
        "cut.avi": "cut off: 12 of 20 frames",
        "missing.mov": "No such file",
    }.items():
        with pytest.raises(BrokenClipError, match=reason):
            load(tmp_path / name)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(BrokenClipError, match="no video stream"):
        load(tmp_path / "sound.mp4")


def weights(source: int, target: int, name: str) -> NDArray[np.float64]:
    """(target, source) weights of a resize filter, by its definition, one number after the other."""
    matrix, scale = np.zeros((target, source)), source / target
    for row in range(target):
        for column in range(source):
            if name == "area":  # the part of the source pixel that the target pixel covers
                low, high = max(row * scale, column), min((row + 1) * scale, column + 1)
                matrix[row, column] = max(0.0, high - low)
            else:  # a triangle around the target pixel's centre, as wide as the scale or a source pixel
                distance = abs(column + 0.5 - (row + 0.5) * scale)
                distance /= max(scale, 1) if name == "bilinear" else 1
                matrix[row, column] = max(0.0, 1 - distance)
    return matrix / matrix.sum(1, keepdims=True)


NAMES = ("bilinear", "area", "bilinear-aliased")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [16, 21])
def test_resize_is_the_filter_by_definition(name: str, size: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (48, 70, 3), dtype=np.uint8)
    width = round(size * 70 / 48)
    exact = np.einsum(
        "ih,hwc,jw->ijc", weights(48, size, name), image.astype(float), weights(70, width, name)
    )
    got = Resizer(size, name).image(image)
    assert got.shape == exact.shape
    error = np.abs(got - exact)[1:-1, 1:-1]  # at the edges the triangle is cut off in another way
    assert error.mean() < 0.6
    assert error.max() < 3
    for other in {*NAMES} - {name}:
        wrong = np.einsum(
            "ih,hwc,jw->ijc", weights(48, size, other), image.astype(float), weights(70, width, name)
        )
        assert np.abs(got - wrong)[1:-1, 1:-1].mean() > 2  # the test tells the filters apart


def test_resize_of_video_frames_is_the_same_filter() -> None:
    smooth = np.add.outer(np.arange(64) * 2, np.arange(96)).astype(np.uint8)
    image = np.stack([smooth, 255 - smooth, np.full_like(smooth, 90)], -1)
    frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
    for name in NAMES:
        got = Resizer(16, name).video_frame(frame, 16, 24)
        exact = np.einsum("ih,hwc,jw->ijc", weights(64, 16, name), image.astype(float), weights(96, 24, name))
        assert np.abs(got - exact)[1:-1, 1:-1].mean() < 2.5


def test_image_of_the_right_size_stays_as_it_is() -> None:
    image = picture(3)
    assert Resizer(SIZE[0], "bilinear").image(image) is image
    assert Resizer(64, "area").target(100, 50, Fraction(2)) == (64, 64)
