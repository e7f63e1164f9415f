"""What real files do to a reader: edit lists, foreign tags, orientations, parts, windows, frames that change shape."""

import contextlib
import shutil
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from commands import vidgan
from videos import number_of, picture, write_video
from vidgan.data.animation import Animation
from vidgan.data.layouts import Folder
from vidgan.data.raw_videos import open_videos
from vidgan.data.resize import Resizer
from vidgan.data.store import open_prepared
from vidgan.data.timeline import Timeline
from vidgan.data.video import BrokenClipError, VideoFile, VideoPart
from vidgan.errors import UserError
from vidgan.run.logs import read_lines
from vidgan.sample.video_io import write_clip

Video = NDArray[np.uint8]
EIGHT = {
    "upright": (1, 0, 0, 1),
    "mirrored": (-1, 0, 0, 1),
    "upside down and mirrored": (1, 0, 0, -1),
    "turned by 180 degrees": (-1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "turned clockwise": (0, 1, -1, 0),
    "turned anticlockwise": (0, -1, 1, 0),
    "transposed the other way": (0, -1, -1, 0),
}
"""(a, b, c, d) of display matrices: the pixel at (x, y) is shown at (a x + c y, b x + d y), moved into view"""


def load(path: Path, size: int = 32) -> Video:
    return np.stack(list(VideoFile(path, path.name, 0).open(Resizer(size, "bilinear")).frames))


def numbers(video: Video) -> list[int]:
    return [number_of(frame) for frame in video]


def refused(path: Path) -> str:
    with pytest.raises(BrokenClipError) as caught:
        load(path)
    return str(caught.value)


def encode(path: Path, frames: int, codec: str = "libx264", width: int = 48, **options: str) -> None:
    """Pictures at 25 per second, with B-frames where the codec has them; a key frame every 12 frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"g": "12", "bf": "2", **options})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = 32, width, "yuv420p"
        if codec == "mpeg4":
            stream.bit_rate = 2_000_000
        for number in range(frames):
            container.mux(
                stream.encode(
                    av.VideoFrame.from_ndarray(np.ascontiguousarray(picture(number % 22)[:, :width]), "rgb24")
                )
            )
        container.mux(stream.encode())


def copy(source: Path, target: Path, filters: str = "", shift: int = 0, **options: str) -> None:
    """Copy packets without encoding anew, through a bit stream filter or with other time stamps (frames)."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options) as new:
        stream = old.streams.video[0]
        copied = new.add_stream_from_template(stream)
        bits = BitStreamFilterContext(filters, stream, copied) if filters else None
        for packet in old.demux(stream):
            if packet.dts is None or packet.pts is None:
                continue
            assert stream.average_rate is not None
            assert stream.time_base is not None
            ticks = int(shift / stream.average_rate / stream.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
            for filtered in [packet] if bits is None else bits.filter(packet):
                filtered.stream = copied
                new.mux(filtered)


def with_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Write a display matrix into the header of an mp4."""
    data = bytearray(path.read_bytes())
    a, b, c, d = (value * 65536 for value in matrix)
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def shown_by(matrix: tuple[int, int, int, int], video: Video) -> Video:
    """Each pixel moved to where the matrix says, one after the other."""
    a, b, c, d = matrix
    _, height, width, _ = video.shape
    places = {(x, y): (a * x + c * y, b * x + d * y) for x in range(width) for y in range(height)}
    left, top = (min(place[axis] for place in places.values()) for axis in (0, 1))
    wide, tall = (max(place[axis] for place in places.values()) + 1 for axis in (0, 1))
    made = np.empty((len(video), tall - top, wide - left, 3), np.uint8)
    for (x, y), (right, down) in places.items():
        made[:, down - top, right - left] = video[:, y, x]
    return made


@pytest.mark.parametrize("name", EIGHT)
def test_display_matrix_of_a_container(tmp_path: Path, name: str) -> None:
    path = tmp_path / "phone.mp4"
    write_video(path, frames=2)
    plain = load(path)
    with_matrix(path, EIGHT[name])
    found = load(path)
    assert (found == shown_by(EIGHT[name], plain)).all()
    if ffmpeg := shutil.which("ffmpeg"):
        raw = subprocess.run(
            [ffmpeg, "-v", "error", "-i", path, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"],
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        assert np.abs(np.frombuffer(raw, np.uint8).reshape(found.shape) - found.astype(float)).mean() < 4


@pytest.mark.parametrize(
    ("option", "matrix"),
    [
        ("rotate=90", EIGHT["turned anticlockwise"]),
        ("rotate=180", EIGHT["turned by 180 degrees"]),
        ("flip=horizontal", EIGHT["mirrored"]),
        ("flip=vertical", EIGHT["upside down and mirrored"]),
    ],
)
def test_orientation_told_by_key_frames_holds_until_the_next(
    tmp_path: Path, option: str, matrix: tuple[int, int, int, int]
) -> None:
    encode(tmp_path / "plain.mp4", 15)
    copy(tmp_path / "plain.mp4", tmp_path / "told.mp4", f"h264_metadata=display_orientation=insert:{option}")
    found = load(tmp_path / "told.mp4")
    assert (found == shown_by(matrix, load(tmp_path / "plain.mp4"))).all()


def test_what_an_edit_list_hides_is_not_missing(tmp_path: Path) -> None:
    encode(tmp_path / "whole.mp4", 22, g="250")
    copy(tmp_path / "whole.mp4", tmp_path / "cut.mp4", shift=-14, avoid_negative_ts="disabled")
    with av.open(str(tmp_path / "cut.mp4")) as container:
        assert container.streams.video[0].frames == 22
    assert numbers(load(tmp_path / "cut.mp4")) == list(range(14, 22))
    Image.new("RGB", (48, 32)).save(tmp_path / "other.png")
    (tmp_path / "whole.mp4").unlink()
    assert open_videos(tmp_path).info(0).frames == 8


def test_an_edit_list_can_leave_out_most_of_a_file(tmp_path: Path) -> None:
    encode(tmp_path / "trimmed.mp4", 88, **{"x264-params": "scenecut=0"})
    data = bytearray((tmp_path / "trimmed.mp4").read_bytes())
    place = data.index(b"elst") + 12
    _, start, rate = struct.unpack_from(">Iii", data, place)
    # As a phone trims: from frame 24 on, for 10 frames of 40 ms; 512 ticks are one frame.
    struct.pack_into(">Iii", data, place, 400, start + 24 * 512, rate)
    (tmp_path / "trimmed.mp4").write_bytes(data)
    assert numbers(load(tmp_path / "trimmed.mp4")) == [number % 22 for number in range(24, 34)]


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".webm", ".mkv"])
def test_tags_that_are_not_utf8_are_harmless(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    write_video(path)
    with av.open(str(path)) as old, av.open(str(tmp_path / f"tagged{suffix}"), "w") as new:
        new.metadata["title"] = "CAFE"
        copied = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = copied
                new.mux(packet)
    data = (tmp_path / f"tagged{suffix}").read_bytes()
    assert b"CAFE" in data
    path.write_bytes(data.replace(b"CAFE", b"CAF\xe9"))
    assert numbers(load(path)) == list(range(9))
    (tmp_path / f"tagged{suffix}").unlink()
    assert open_videos(tmp_path).info(0).frames == 9


def test_a_comment_of_a_gif_that_is_not_utf8(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.gif", np.stack([picture(number) for number in range(4)]), 10)
    data = (tmp_path / "a.gif").read_bytes()
    start = 13 + 3 * 2 ** ((data[10] & 7) + 1) * (data[10] >> 7)
    (tmp_path / "a.gif").write_bytes(data[:start] + b"\x21\xfe\x05CAF\xe9!\x00" + data[start:])
    assert len(load(tmp_path / "a.gif")) == 4


def test_frames_that_change_shape_are_an_error_of_their_video(tmp_path: Path) -> None:
    encode(tmp_path / "a.ts", 5)
    encode(tmp_path / "b.ts", 5, width=32)
    (tmp_path / "ab.ts").write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    assert refused(tmp_path / "ab.ts") == "its frames change shape, from 48x32 to 32x32 pixels when resized"
    for name in ("a.ts", "b.ts"):
        (tmp_path / name).unlink()
    videos = open_videos(tmp_path)
    assert videos.read(0, 0, 3).shape == (3, 32, 48, 3)
    with pytest.raises(UserError, match="its frames change shape before frame 7"):
        videos.read(0, 7, 3)


def test_a_coding_without_a_decoder_is_named(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(0), "rgb24")))
        container.mux(stream.encode())
    data = (tmp_path / "a.mkv").read_bytes()
    assert b"V_FFV1" in data
    (tmp_path / "a.mkv").write_bytes(data.replace(b"V_FFV1", b"V_NONE"))
    assert refused(tmp_path / "a.mkv") == "is in a coding that FFmpeg cannot decode"
    with pytest.raises(UserError, match="is in a coding that FFmpeg cannot decode"):
        open_videos(tmp_path)


def test_pixels_of_an_impossible_shape_take_no_memory(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(1, 2)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(0), "rgb24")))
        container.mux(stream.encode())
    data = bytearray((tmp_path / "a.mov").read_bytes())
    struct.pack_into(">II", data, data.index(b"pasp") + 4, 1, 32767)
    (tmp_path / "a.mov").write_bytes(data)
    clip = VideoFile(tmp_path / "a.mov", "a", 0).open(Resizer(64, "bilinear"))
    with pytest.raises(BrokenClipError, match="its frames would be 64x1398059 pixels"):
        next(clip.frames)


def test_recordings_that_were_joined_keep_their_frames(tmp_path: Path) -> None:
    encode(tmp_path / "a.ts", 22)
    (tmp_path / "twice.ts").write_bytes(2 * (tmp_path / "a.ts").read_bytes())
    assert numbers(load(tmp_path / "twice.ts")) == [*range(22), *range(22)]
    opened = VideoFile(tmp_path / "twice.ts", "twice", 0).open(Resizer(32, "bilinear"))
    assert list(opened.remarks) == ["time stamps start anew"]


@pytest.mark.parametrize("open_gop", [0, 1])
def test_a_recording_that_begins_in_the_middle_begins_at_its_first_key_frame(
    tmp_path: Path, open_gop: int
) -> None:
    settings = f"open-gop={open_gop}:bframes=3:keyint=12:min-keyint=12:scenecut=0:b-adapt=0"
    encode(tmp_path / "whole.ts", 22, **{"x264-params": settings})
    with av.open(str(tmp_path / "whole.ts")) as old:
        packets = [packet for packet in old.demux(video=0) if packet.dts is not None]
        first = [place for place, packet in enumerate(packets) if packet.is_keyframe][1]
        for name, skipped in (("key.ts", first), ("middle.ts", 5)):
            with av.open(str(tmp_path / name), "w") as new:
                copied = new.add_stream_from_template(old.streams.video[0])
                for packet in packets[skipped:]:
                    packet.stream = copied
                    new.mux(packet)
    for name in ("key.ts", "middle.ts"):
        found = numbers(load(tmp_path / name))
        assert found == list(range(12, 22))


def with_times(path: Path, times: list[int], keys: int = 12) -> None:
    """Pictures that are shown at these times (ms)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": str(keys), "bf": "2"})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number % 22), "rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_holes_and_wrong_stamps_never_stop_other_videos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "videos"
    source.mkdir()
    steady = [40 * number for number in range(22)]
    with_times(source / "a.mkv", steady)
    with_times(source / "hour.mkv", [time + (time >= 400) * 3_600_000 for time in steady])
    with_times(source / "years.mkv", [time + (time >= 400) * 2_000_000_000 for time in steady])
    with_times(source / "still.mkv", [time + (time >= 400) * 2_000 for time in steady])
    answer = vidgan(capsys, "prepare", source, tmp_path / "made", "--workers", 0, "--size", 32)
    assert answer.status == 0, answer.err
    assert "gaps of more than 10 s closed: 2 (hour.mkv, years.mkv)" in answer.out
    data = open_prepared(tmp_path / "made")
    found = [numbers(data.read(index, 0, data.info(index).frames)) for index in range(4)]
    assert found == [[*range(22)], [*range(22)], [*range(10), *[9] * 50, *range(10, 22)], [*range(22)]]
    made = ("prepare", source, tmp_path / "short", "--workers", 0, "--size", 32, "--max-gap", 1.5)
    assert "gaps of more than 1.5 s closed: 3" in vidgan(capsys, *made).out
    assert open_prepared(tmp_path / "short").sizes()[:, 0].tolist() == [22] * 4
    videos = open_videos(source)
    assert [videos.info(index).frames for index in range(4)] == [22, 22, 72, 22]
    assert [remark.names for remark in videos.remarks] == [("hour.mkv", "years.mkv")]
    out = tmp_path / "results.jsonl"
    command = (
        "evaluate",
        source,
        "--real",
        source,
        "--protocol",
        "frechet-random",
        "--size",
        32,
        "--fit",
        "crop",
    )
    answer = vidgan(capsys, *command, "--out", out, "--cache", tmp_path / "cache")
    assert answer.status == 0, answer.err
    told = "gaps of more than 10 s closed: 2 (hour.mkv, years.mkv)"
    assert told in answer.err
    (line,) = read_lines(out)
    assert line["evaluated"]["remarks"] == line["real"]["remarks"] == [told]


FORMATS = {
    "a.mp4": ("libx264", {}),
    "open-gop.mkv": (
        "libx264",
        {"x264-params": "open-gop=1:b-pyramid=normal:bframes=3:b-adapt=0:scenecut=0"},
    ),
    "b.avi": ("mpeg4", {}),
    "reordered.avi": ("libx264", {"x264-params": "bframes=3:b-adapt=0"}),
    "c.webm": ("libvpx-vp9", {"cpu-used": "8"}),
    "d.ts": ("libx264", {}),
    "e.mpg": ("mpeg2video", {}),
}


@pytest.mark.parametrize("name", FORMATS)
def test_windows_and_parts_are_those_of_the_whole(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec, options = FORMATS[name]
    encode(tmp_path / name, 100, codec, **options)
    whole = load(tmp_path / name)
    assert [number_of(frame) for frame in whole[::9]] == [number % 22 for number in range(0, 100, 9)]
    asked: list[int | None] = []
    place_of = Timeline.place_of

    def counted(self: Timeline, stamp: int | None, last: int) -> int:
        asked.append(stamp)
        return place_of(self, stamp, last)

    videos = open_videos(tmp_path)
    assert videos.info(0).frames == 100
    monkeypatch.setattr(Timeline, "place_of", counted)
    for start, frames, stride in ((0, 3, 1), (10, 4, 2), (47, 2, 3), (96, 4, 1)):
        asked.clear()
        window = videos.read(0, start, frames, stride)
        assert (window == whole[start : start + frames * stride : stride]).all()
        # Where a frame can be sought, no more is decoded than a key frame's interval in front, and what is reordered.
        sought = 0 if Path(name).suffix in (".avi", ".ts", ".mpg") else max(0, start - 36)
        assert len(asked) <= start + (frames - 1) * stride + 1 - sought + 2
    part = VideoPart(tmp_path / name, "part", 0, None, start=1.8, end=3.0)
    assert (np.stack(list(part.open(Resizer(32, "bilinear")).frames)) == whole[45:75]).all()


def test_animations_show_each_frame_as_long_as_they_say(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    three = rng.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    for name, places in {
        "moving": [0, 1, 2],
        "pairs": [0, 0, 1, 1, 2, 2],
        "still": [1] * 5,
        "end": [0, 1, 1, 1],
    }.items():
        for suffix in (".webp", ".npy"):
            write_clip(tmp_path / f"{name}{suffix}", three[places], 8)
    videos = open_videos(tmp_path)
    for index in range(0, len(videos), 2):
        frames = videos.info(index).frames
        assert frames == videos.info(index + 1).frames
        assert (videos.read(index, 0, frames) == videos.read(index + 1, 0, frames)).all()
    Image.fromarray(three[0]).save(
        tmp_path / "foreign.webp",
        save_all=True,
        append_images=[Image.fromarray(three[i]) for i in (1, 2)],
        duration=[150, 150, 300],
        lossless=True,
    )
    clip = Animation(tmp_path / "foreign.webp", "foreign", 0).open(Resizer(8, "area"))
    assert clip.rate == pytest.approx(1000 / 150)
    assert (np.stack(list(clip.frames)) == three[[0, 1, 2, 2]]).all()


def test_damaged_animations_end_in_one_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_clip(tmp_path / "a.webp", rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8), 8)
    data = (tmp_path / "a.webp").read_bytes()
    for number in range(60):
        mutated = bytearray(data[: len(data) if number % 3 else rng.integers(0, len(data))])
        for place in rng.integers(0, max(1, len(mutated)), 3 if mutated else 0):
            mutated[place] = rng.integers(0, 256)
        (tmp_path / "b.webp").write_bytes(mutated)
        with contextlib.suppress(BrokenClipError):  # anything else is a fault
            frames = list(Animation(tmp_path / "b.webp", "b", 0).open(Resizer(8, "area")).frames)
            assert 1 <= len(frames) <= 1400


def test_everything_that_is_read_is_listed(tmp_path: Path) -> None:
    for suffix in (".m4v", ".mpg", ".ts", ".wmv", ".flv", ".3gp", ".ogv", ".y4m", ".mp4", ".WEBM"):
        write_video(tmp_path / "clip.mkv", frames=2)
        shutil.copy(tmp_path / "clip.mkv", tmp_path / f"clip{suffix}")
    write_clip(tmp_path / "clip.webp", np.stack([picture(0), picture(1)]), 8)
    found = Folder().find(tmp_path)
    assert len(found.sources) == 12
    assert not found.remarks
    assert all(len(list(clip.open(Resizer(16, "area")).frames)) == 2 for clip in found.sources)
