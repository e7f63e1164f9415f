"""Clips per second that `vidgan prepare` makes of video files, beside the bare decoding of the same files.

Where the program ffmpeg is installed, beside that too: a process of it for each file, as many at a time as there are
cores, scales the frames and writes them as they are. Few files tell how long starting takes, `--files 400` the rest.
"""

import itertools
import os
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import torch
from av.video.stream import VideoStream

from interleaved import Case, Measure, Rounds, interleave, options_on_a_cpu, show, show_machine
from vidgan.data.codecs import Jpeg, Raw
from vidgan.data.prepare import prepare_by
from vidgan.data.resize import Resizer
from vidgan.data.store import PrepareSpec

FRAMES, HEIGHT, WIDTH = 120, 240, 320
"""as UCF-101's: some seconds of 320x240"""
SIZE = 64
CORES = os.cpu_count() or 1
numbers = itertools.count()


class PrepareSettings(Rounds):
    """How much there is to prepare."""

    files: int


def write_videos(folder: Path, files: int) -> None:
    """H.264 files of drifting noise, which is neither trivial to decode nor hopeless to encode."""
    folder.mkdir()
    coarse = np.random.default_rng(0).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    picture = coarse.repeat(8, axis=0).repeat(8, axis=1)
    for number in range(files):
        with av.open(str(folder / f"{number:04d}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            assert isinstance(stream, VideoStream)
            stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
            for shift in range(FRAMES):
                shown = np.roll(picture, (shift, 2 * shift + number), axis=(0, 1))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, "rgb24")))
            container.mux(stream.encode())


def decoding(folder: Path, resizer: Resizer | None) -> Measure:
    """Seconds per clip to decode all frames with one thread, to scale them as well, and to throw them away."""

    paths = sorted(folder.iterdir())

    def measure() -> float:
        began = time.perf_counter()
        for path in paths:
            with av.open(str(path)) as container:
                container.streams.video[0].thread_count = 1
                for frame in container.decode(video=0):
                    if resizer is not None:
                        resizer.video_frame(frame, SIZE, round(SIZE * WIDTH / HEIGHT))
        return (time.perf_counter() - began) / len(paths)

    return measure


def preparing(folder: Path, dest: Path, codec: Raw | Jpeg, workers: int) -> Measure:
    """Seconds per clip to prepare the folder, workers' start included."""

    files = len(list(folder.iterdir()))

    def measure() -> float:
        began = time.perf_counter()
        prepare_by(folder, dest / f"{next(numbers)}", PrepareSpec(size=SIZE, codec=codec), workers)
        return (time.perf_counter() - began) / files

    return measure


def by_ffmpeg(folder: Path, dest: Path) -> Measure:
    """Seconds per file of ffmpeg's own command, with the filter, the accuracy and the pixels that `prepare` has."""
    paths = sorted(folder.iterdir())
    exact = "bilinear+accurate_rnd+full_chroma_inp+full_chroma_int"

    def one(path: Path) -> None:
        words = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-threads", "1", "-i", str(path)]
        scale = ["-vf", f"scale=-2:{SIZE}:flags={exact}", "-pix_fmt", "rgb24", "-f", "rawvideo"]
        subprocess.run([*words, *scale, str(dest / f"{path.stem}.rgb")], check=True)

    def measure() -> float:
        began = time.perf_counter()
        with ThreadPoolExecutor(CORES) as pool:
            list(pool.map(one, paths))
        return (time.perf_counter() - began) / len(paths)

    return measure


def main(settings: PrepareSettings) -> None:
    show_machine(torch.device("cpu"))
    with tempfile.TemporaryDirectory() as name:
        source, dest = Path(name) / "videos", Path(name)
        write_videos(source, settings.files)
        cases = [
            Case("decoding alone, one thread", decoding(source, None)),
            Case("decoding and scaling alone", decoding(source, Resizer(SIZE, "bilinear"))),
            Case("prepare, raw, in this process", preparing(source, dest, Raw(), 0)),
            Case("prepare, jpeg, in this process", preparing(source, dest, Jpeg(), 0)),
            Case(f"prepare, raw, {CORES} workers", preparing(source, dest, Raw(), CORES)),
        ]
        if shutil.which("ffmpeg"):
            cases.append(Case(f"ffmpeg, {CORES} at a time", by_ffmpeg(source, dest)))
        title = f"preparing {settings.files} files of {FRAMES} frames of {WIDTH}x{HEIGHT} at {SIZE} pixels; ms per file"
        show(title, interleave(cases, settings.rounds), items=1)


if __name__ == "__main__":
    parser = options_on_a_cpu(str(__doc__), rounds=3)
    parser.add_argument("--files", type=int, default=16, help="how many files there are (16)")
    main(parser.parse_args(namespace=PrepareSettings()))
