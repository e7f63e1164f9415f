"""What exact colours cost: a decoded frame as RGB by FFmpeg's quick conversion and by that of `vidgan prepare`."""

import time

import numpy as np
import torch
from av import VideoFrame
from av.video.reformatter import VideoReformatter

from interleaved import Case, Rounds, interleave, options_on_a_cpu, show, show_machine, timed
from vidgan.data.resize import FILTERS, Resizer

SIZES = {
    "320x240 to 86x64 (even)": (240, 320, 64, 86),
    "320x240 to 85x64 (odd)": (240, 320, 64, 85),
    "320x240, not resized": (240, 320, 240, 320),
    "1920x1080 to 114x64": (1080, 1920, 64, 114),
    "1920x1080 to 455x256": (1080, 1920, 256, 455),
}


def frame_of(height: int, width: int) -> VideoFrame:
    """Noise in halved chroma, as almost all files have it."""
    rng = np.random.default_rng(0)
    frame = VideoFrame(width, height, "yuv420p")
    for plane in frame.planes:
        plane.update(rng.integers(16, 236, plane.buffer_size, dtype=np.uint8).tobytes())
    return frame


def cases(height: int, width: int, tall: int, wide: int) -> list[Case]:
    """Both ways from (height, width) to (tall, wide), by processor time."""
    frame, resizer, quick = frame_of(height, width), Resizer(tall, "bilinear"), VideoReformatter()

    def before() -> None:
        flags = FILTERS["bilinear"]
        quick.reformat(frame, wide, tall, "rgb24", interpolation=flags, threads=1).to_ndarray()

    def after() -> None:
        resizer.video_frame(frame, tall, wide)

    ways = {"quick": before, "exact": after}
    return [Case(name, timed(way, torch.device("cpu"), time.process_time)) for name, way in ways.items()]


def main(settings: Rounds) -> None:
    show_machine(torch.device("cpu"))
    for name, sizes in SIZES.items():
        show(f"{name}; processor time per frame", interleave(cases(*sizes), settings.rounds))


if __name__ == "__main__":
    main(options_on_a_cpu(str(__doc__), rounds=9).parse_args(namespace=Rounds()))
