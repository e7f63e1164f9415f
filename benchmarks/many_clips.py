"""Many clips of tiny frames: prepared in 8 parts by 8 processes, joined, and read by 4 that share every batch.

    python benchmarks/many_clips.py --clips 100000

Prints seconds by the clock and of the processor, and how much memory each process holds beyond what it held once all
was imported. ``--store`` reads the sources through fsspec, as from an object store, each copied to a temporary file.
"""

import argparse
import io
import multiprocessing
import resource
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from vidgan.cli.prepare import run
from vidgan.data.loader import Loader
from vidgan.data.open import open_dataset
from vidgan.data.window import WindowSpec

PARTS: Final = 8
RANKS: Final = 4
SIDE, FRAMES, CLASSES = 8, 4, 10
BATCH: Final = 256
"""clips, over all ranks"""
CLIPS_READ: Final = 100_000


def write_sources(folder: Path, clips: int) -> None:
    """Strip images of random colours, in a folder per class."""
    if folder.exists():
        return
    rng = np.random.default_rng(0)
    for number in range(CLASSES):
        (folder / f"{number:02d}").mkdir(parents=True)
    for number in range(clips):
        colours = rng.integers(0, 256, (SIDE, SIDE * FRAMES, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(colours).save(file, "png", compress_level=0)
        (folder / f"{number % CLASSES:02d}" / f"{number:06d}.png").write_bytes(file.getvalue())


def together(works: Sequence[Callable[[], None]]) -> list[float]:
    """Do them side by side, in processes forked from this one; bytes by which each grew at most."""
    context = multiprocessing.get_context("fork")  # all is imported, and there are no threads
    pipes = [context.Pipe(duplex=False) for _ in works]
    started = [
        context.Process(target=_grown, args=(work, end)) for work, (_, end) in zip(works, pipes, strict=True)
    ]
    for process in started:
        process.start()
    grown = [receiver.recv() for receiver, _ in pipes]
    for process in started:
        process.join()
    return grown


def _grown(work: Callable[[], None], end: Connection) -> None:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = held("VmRSS")
    work()
    end.send(held("VmHWM") - before)


def held(what: str) -> int:
    """Bytes of this process that are in memory (VmRSS), or were at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{what}:")).split()[1])


def prepare(source: str, dest: Path, part: int) -> None:
    """Prepare one part; 0 joins them all."""
    words = [source, str(dest), "--layout", "strips", "--size", str(SIDE), "--workers", "0"]
    run([*words, *(["--shard", f"{part}/{PARTS}"] if part else [])])


def read(dest: Path, rank: int) -> None:
    """Read one rank's share of batches, until so many clips have been read by all."""
    dataset = open_dataset(dest)
    share = BATCH // RANKS
    rows = (range(first + rank * share, first + (rank + 1) * share) for first in range(0, CLIPS_READ, BATCH))
    with_frames = WindowSpec(size=SIDE, frames=FRAMES)
    for _ in Loader(dataset, with_frames, seed=0, workers=0).batches(rows):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=Path("build/many-clips"))
    parser.add_argument("--store", action="store_true")
    asked = parser.parse_args()
    source, dest = asked.folder.absolute() / "source", asked.folder.absolute() / "prepared"
    place = f"file://{source}" if asked.store else str(source)
    write_sources(source, asked.clips)
    shutil.rmtree(dest, ignore_errors=True)
    for name, works in (
        (f"prepared by {PARTS} processes", [partial(prepare, place, dest, 1 + n) for n in range(PARTS)]),
        ("joined", [partial(prepare, place, dest, 0)]),
        (f"{CLIPS_READ:,} clips read by {RANKS} ranks", [partial(read, dest, rank) for rank in range(RANKS)]),
    ):
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        grown = together(works)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(
            f"{name}: {time.monotonic() - began:.1f} s, {work:.1f} s of the processor, "
            f"at most {max(grown) / 2**20:.0f} MiB each",
            flush=True,
        )


if __name__ == "__main__":
    main()
