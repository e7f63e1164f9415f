"""Clips per second that `vidgan prepare` makes of video files, beside the bare decoding of the same files."""

import itertools
import tempfile
import time
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from interleaved import Case, Measure, Settings, interleave, options, show, show_machine
from vidgan.data.codecs import Jpeg, Raw
from vidgan.data.prepare import prepare_by
from vidgan.data.resize import Resizer
from vidgan.data.store import PrepareSpec

FILES, FRAMES, HEIGHT, WIDTH = 16, 120, 240, 320
"""as UCF-101's: some seconds of 320x240"""
numbers = itertools.count()


def write_videos(folder: Path) -> None:
    """H.264 files of drifting noise, which is neither trivial to decode nor hopeless to encode."""
    folder.mkdir()
    coarse = np.random.default_rng(0).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    picture = coarse.repeat(8, axis=0).repeat(8, axis=1)
    for number in range(FILES):
        with av.open(str(folder / f"{number:02d}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            assert isinstance(stream, VideoStream)
            stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
            for shift in range(FRAMES):
                shown = np.roll(picture, (shift, 2 * shift + number), axis=(0, 1))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, "rgb24")))
            container.mux(stream.encode())


def decoding(folder: Path, resizer: Resizer | None) -> Measure:
    """Seconds per clip to decode all frames with one thread, to scale them as well, and to throw them away."""

    def measure() -> float:
        began = time.perf_counter()
        for path in sorted(folder.iterdir()):
            with av.open(str(path)) as container:
                container.streams.video[0].thread_count = 1
                for frame in container.decode(video=0):
                    if resizer is not None:
                        resizer.video_frame(frame, 64, round(64 * WIDTH / HEIGHT))
        return (time.perf_counter() - began) / FILES

    return measure


def preparing(folder: Path, dest: Path, codec: Raw | Jpeg, workers: int) -> Measure:
    """Seconds per clip to prepare the folder, workers' start included."""

    def measure() -> float:
        began = time.perf_counter()
        prepare_by(folder, dest / f"{next(numbers)}", PrepareSpec(size=64, codec=codec), workers)
        return (time.perf_counter() - began) / FILES

    return measure


def main(settings: Settings) -> None:
    show_machine(settings.device)
    with tempfile.TemporaryDirectory() as name:
        source, dest = Path(name) / "videos", Path(name)
        write_videos(source)
        cases = [
            Case("decoding alone, one thread", decoding(source, None)),
            Case("decoding and scaling alone", decoding(source, Resizer(64, "bilinear"))),
            Case("prepare, raw, in this process", preparing(source, dest, Raw(), 0)),
            Case("prepare, jpeg, in this process", preparing(source, dest, Jpeg(), 0)),
            Case("prepare, raw, 2 workers", preparing(source, dest, Raw(), 2)),
        ]
        title = f"preparing files of {FRAMES} frames of {WIDTH}x{HEIGHT} at 64 pixels; ms per file"
        show(title, interleave(cases, settings.rounds), items=1)


if __name__ == "__main__":
    main(options(str(__doc__), rounds=3).parse_args(namespace=Settings()))
