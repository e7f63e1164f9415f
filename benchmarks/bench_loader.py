"""Clips per second that the loader reads from a prepared dataset, by codec and number of worker processes.

Frames are stored at the windows' size; for comparison, at twice that, so that each is resized as it is read.
"""

import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from interleaved import Case, Measure, Rounds, interleave, options_on_a_cpu, show, show_machine
from vidgan.data.codecs import Jpeg, Png, Raw
from vidgan.data.dataset import Dataset
from vidgan.data.layouts import Strips
from vidgan.data.loader import Loader
from vidgan.data.prepare import prepare_by
from vidgan.data.store import PrepareSpec
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.data.window import WindowSpec
from vidgan.data.workers import AHEAD

SIDE, FRAMES, STORED, CLIPS, BATCH = 64, 12, 16, 64, 16
WINDOW = WindowSpec(size=SIDE, frames=FRAMES)
SHAPE = (BATCH, FRAMES, SIDE, SIDE, 3)
SECONDS = 0.3
"""that a measurement takes at least, once the first batches have come"""


def write_strips(folder: Path) -> None:
    """Built-in clips as images, each a row of frames."""
    dataset = SyntheticDataset(SyntheticSpec(size=2 * SIDE, frames=STORED, clips=CLIPS, textured=True))
    for index in range(len(dataset)):
        frames = dataset.read(index, 0, STORED)
        path = folder / dataset.classes[dataset.info(index).label] / f"{index:04d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.concatenate(list(frames), axis=1)).save(path)


def numbers() -> Iterator[Sequence[int]]:
    """Item numbers, batch after batch, without end."""
    return (range(first, first + BATCH) for first in itertools.count(0, BATCH))


def reading(dataset: Dataset, window: WindowSpec, workers: int) -> Measure:
    """Seconds per clip for a consumer that copies each batch and does nothing else.

    A loader is opened for every measurement: one that stayed open would read ahead in the others' turn.
    """

    def measure() -> float:
        with Loader(dataset, window, seed=0, workers=workers) as loader:
            batches, copied = loader.batches(numbers()), torch.empty(SHAPE, dtype=torch.uint8)
            for _ in range(AHEAD * workers + 2):
                copied.copy_(next(batches).video)
            began, clips = time.perf_counter(), 0
            while time.perf_counter() < began + SECONDS:
                copied.copy_(next(batches).video)
                clips += BATCH
            return (time.perf_counter() - began) / clips

    return measure


def main(settings: Rounds) -> None:
    show_machine(torch.device("cpu"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "strips").mkdir()
        write_strips(folder / "strips")
        cases, notes = [], []
        for codec in (Raw(), Jpeg(), Png()):
            kind = type(codec).__name__
            dest = folder / kind
            spec = PrepareSpec(layout=Strips(), size=SIDE, codec=codec)
            dataset = prepare_by(folder / "strips", dest, spec)
            large = prepare_by(folder / "strips", folder / f"{kind}-large", spec.replace(size=2 * SIDE))
            stored = sum(path.stat().st_size for path in dest.glob("shard-*.bin")) / CLIPS
            for workers, window, words in (
                (0, WINDOW, ""),
                (1, WINDOW, ""),
                (2, WINDOW, ""),
                (0, WINDOW.replace(flip=True), ", half of them flipped"),
            ):
                cases.append(Case(f"{kind}, {workers} workers{words}", reading(dataset, window, workers)))
                notes.append(f"{stored / 1024:.0f} KiB per clip")
            cases.append(Case(f"{kind}, 0 workers, stored at {2 * SIDE} pixels", reading(large, WINDOW, 0)))
            notes.append("resized as it is read")
        title = f"reading windows of {FRAMES}x{SIDE}x{SIDE}, cached by the system; ms per clip"
        show(title, interleave(cases, settings.rounds), items=1, notes=notes)


if __name__ == "__main__":
    main(options_on_a_cpu(str(__doc__), rounds=2).parse_args(namespace=Rounds()))
