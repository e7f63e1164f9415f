"""Small real video files for tests, whose frames tell which one they are by their colour."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

CODECS = {
    ".mp4": ("libx264", "yuv420p"),
    ".avi": ("mpeg4", "yuv420p"),
    ".webm": ("libvpx-vp9", "yuv420p"),
    ".mkv": ("libx264", "yuv420p"),
    ".mov": ("mpeg4", "yuv420p"),
    ".gif": ("gif", "rgb8"),
}
SIZE = (32, 48)
"""height and width of the test videos"""


def picture(number: int) -> NDArray[np.uint8]:
    """Frame ``number``: grey that brightens with it, left third reddish, top half of the rest greenish."""
    frame = np.full((*SIZE, 3), 40 + 9 * number, np.uint8)
    frame[:, :16] = [230, 40, 40]
    frame[:16, 16:] = [40, 200, 60]
    return frame


def brightness(frame: NDArray[np.uint8]) -> float:
    """The grey of the lower right corner, from which the frame's number follows."""
    height, width = frame.shape[:2]
    return float(frame[-height // 4 :, -width // 3 :].mean())


def number_of(frame: NDArray[np.uint8]) -> int:
    """The number of the picture that ``frame`` shows."""
    return round((brightness(frame) - 40) / 9)


def write_video(
    path: Path,
    frames: int = 9,
    rate: int = 25,
    times: list[int] | None = None,
    pictures: list[NDArray[np.uint8]] | None = None,
) -> None:
    """Encode ``frames`` pictures; with ``times`` (ms, one per frame) at a variable rate."""
    codec, pixels = CODECS[path.suffix]
    pictures = pictures or [picture(number) for number in range(frames)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        if codec in ("libx264", "libvpx-vp9"):
            stream.options = {"crf": "12", "preset": "ultrafast"} if codec == "libx264" else {"cpu-used": "8"}
        if codec == "mpeg4":
            stream.bit_rate = 2_000_000
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, image in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            if times:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def turn_clockwise(path: Path) -> None:
    """Set the display matrix of an mp4 as a phone held upright does: shown turned 90 degrees clockwise."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4
    assert data[place] == 0  # version 0: 4 flags + 20 times, id, duration + 16 reserved, layer, volume
    matrix = (0, 1 << 16, 0, -(1 << 16), 0, 0, SIZE[0] << 16, 0, 1 << 30)
    struct.pack_into(">9i", data, place + 40, *matrix)
    path.write_bytes(data)
