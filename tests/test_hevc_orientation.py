"""Orientation that HEVC's messages tell (ITU-T H.265, annex D): streams of libx265 with such a message put in."""

from pathlib import Path

import av
import numpy as np
import pytest
from av import Packet, VideoFrame
from av.container import OutputContainer
from av.video.stream import VideoStream

from vidgan.data.resize import Resizer
from vidgan.data.video import VideoFile

COLOURS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
"""of the four quarters"""
START, PREFIX_SEI, DISPLAY_ORIENTATION, FIRST_NO_SLICE = b"\x00\x00\x00\x01", 39, 47, 32


def message(turn: int, horizontal: bool, vertical: bool) -> bytes:
    """A unit that asks for flips, then for ``turn`` quarters anticlockwise, of all pictures from its own on."""
    bits = f"0{horizontal:d}{vertical:d}{turn * 2**14:016b}1"
    bits += "1" + "0" * (-(len(bits) + 1) % 8)
    payload = int(bits, 2).to_bytes(len(bits) // 8, "big")
    unit = bytearray()
    for byte in bytes([DISPLAY_ORIENTATION, len(payload)]) + payload + b"\x80":
        if unit[-2:] == b"\x00\x00" and byte <= 3:
            unit.append(3)  # so that nothing in it looks like a start
        unit.append(byte)
    return START + bytes([PREFIX_SEI << 1, 1]) + bytes(unit)


def with_message(packet: Packet, unit: bytes) -> Packet:
    """``packet`` with ``unit`` before its first slice, where it is of a key frame."""
    data, place = bytes(packet), 0
    while packet.is_keyframe and (data[place + 4] >> 1) & 63 >= FIRST_NO_SLICE:
        place = data.index(START[1:], place + 4) - 1
        place += data[place] != 0
    made = Packet(data[:place] + unit + data[place:] if packet.is_keyframe else data)
    made.pts, made.dts, made.time_base, made.stream = packet.pts, packet.dts, packet.time_base, packet.stream
    made.is_keyframe = packet.is_keyframe
    return made


def write(path: Path, unit: bytes) -> None:
    picture = COLOURS.repeat(24, 0).repeat(32, 1)
    with av.open(str(path), "w") as container:
        assert isinstance(container, OutputContainer)
        stream = container.add_stream("libx265", rate=10)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.options = {"x265-params": "log-level=none:repeat-headers=1:annexb=1:bframes=0"}
        for frame in (*[VideoFrame.from_ndarray(picture, "rgb24")] * 3, None):
            for packet in stream.encode(frame):
                container.mux(with_message(packet, unit))


@pytest.mark.skipif("libx265" not in av.codecs_available, reason="this FFmpeg has no libx265")
@pytest.mark.parametrize("horizontal", [False, True])
@pytest.mark.parametrize("vertical", [False, True])
@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_pictures_are_flipped_and_then_turned(
    tmp_path: Path, turn: int, horizontal: bool, vertical: bool
) -> None:
    write(tmp_path / "a.mkv", message(turn, horizontal, vertical))
    frames = list(VideoFile(tmp_path / "a.mkv", "a", 0).open(Resizer(48, "bilinear")).frames)
    shown = COLOURS[:: -1 if vertical else 1, :: -1 if horizontal else 1]
    expected = np.rot90(shown, turn)
    assert len(frames) == 3
    assert {frame.shape for frame in frames} == {(64, 48, 3) if turn % 2 else (48, 64, 3)}
    for frame in frames:
        height, width = frame.shape[:2]
        seen = frame[height // 4 :: height // 2, width // 4 :: width // 2].astype(int)
        assert np.abs(seen - expected).max() < 30
