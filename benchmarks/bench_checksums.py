"""What comparing checksums costs where windows of prepared data are read, by codec: with and without.

One process, files cached by the system: the most that it can cost.
"""

import tempfile
import time
from pathlib import Path

import torch

from bench_loader import CLIPS, SIDE, WINDOW, write_strips
from interleaved import Case, Measure, Rounds, interleave, options_on_a_cpu, show, show_machine
from vidgan.data import store
from vidgan.data.codecs import Jpeg, Png, Raw
from vidgan.data.layouts import Strips
from vidgan.data.prepare import prepare_by
from vidgan.data.store import PreparedDataset, PrepareSpec, open_prepared
from vidgan.data.window import cut, random_place


def reading(dataset: PreparedDataset, checked: bool) -> Measure:
    """Seconds per clip."""
    compare = store.compare if checked else lambda *given: None

    def measure() -> float:
        store.compare = compare
        places = [random_place(dataset, WINDOW, 0, n) for n in range(CLIPS)]
        began = time.perf_counter()
        for place in places:
            cut(dataset, WINDOW, place)
        return (time.perf_counter() - began) / CLIPS

    return measure


def main(settings: Rounds) -> None:
    show_machine(torch.device("cpu"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "strips").mkdir()
        write_strips(folder / "strips")
        cases = []
        for codec in (Raw(), Jpeg(), Png()):
            dest = folder / type(codec).__name__
            spec = PrepareSpec(layout=Strips(), size=SIDE, codec=codec)
            prepare_by(folder / "strips", dest, spec)
            for checked in (False, True):
                words = "compared" if checked else "not compared"
                cases.append(Case(f"{dest.name}, {words}", reading(open_prepared(dest), checked)))
        title = f"reading windows of {WINDOW.frames}x{WINDOW.size}x{WINDOW.size}; ms per clip"
        show(title, interleave(cases, settings.rounds), items=1)


if __name__ == "__main__":
    main(options_on_a_cpu(str(__doc__), rounds=20).parse_args(namespace=Rounds()))
