"""What sampling a cascade in chunks takes as videos get longer: upper levels, level 1, statistics, apart.

At the papers' widths the bytes of tensors are counted on the meta device, where nothing is computed. Videos of a small
cascade are made here and written to mp4, each length in a process of its own (Linux), and the most that tensors held
and by how much the process grew are measured. A figure and tables are written.
"""

import argparse
import gc
import multiprocessing
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from bench_plan import resident
from cascade_scaling import GB, curves, table
from interleaved import show_machine
from vidgan.models.cascade import FrozenLevel, above, below_of, by_label, stream_chunks
from vidgan.nn.norm import NormReLU, StandingStatistics
from vidgan.presets import preset
from vidgan.report.figures import Plot, save
from vidgan.run.experiment import Experiment
from vidgan.sample.model import unrolled
from vidgan.sample.video_io import to_bytes, write_stream
from vidgan.train.plan import LiveTensors

META, CPU = torch.device("meta"), torch.device("cpu")
PRESET, SMALL, CHUNK = "ssw-gan-k600-48x128", "demo-cascade", 12
FRAMES = (50, 100, 200, 500, 1000)
MIB = 2**20


class Held(NamedTuple):
    """Bytes that making one video takes."""

    upper: float
    """tensors of the level above the first at their peak, its weights and statistics apart"""
    first: float
    """tensors of level 1 at their peak, apart likewise"""
    video: float
    """level 1's video, which stays"""
    statistics: float
    """tables of both levels"""


def frozen(experiment: Experiment, index: int, device: torch.device) -> FrozenLevel:
    """An untrained level whose statistics are those of a normal distribution; they stay on the CPU."""
    spec = experiment.levels[index]
    below = below_of(experiment.levels, index)
    with device:
        generator = spec.build_generator(1, below)
    table = {}
    for norm in (module for module in generator.modules() if isinstance(module, NormReLU)):
        gain, _ = norm.gain_and_bias(None)
        shape = (spec.frames, gain.shape[-1])
        table[f"{norm.key}/mean"] = torch.zeros(shape, dtype=torch.float64)
        table[f"{norm.key}/variance"] = torch.ones(shape, dtype=torch.float64)
    return FrozenLevel(spec, generator, StandingStatistics(table))


def sources(experiment: Experiment, device: torch.device) -> list[FrozenLevel]:
    """Both levels."""
    return [frozen(experiment, index, device) for index in range(len(experiment.levels))]


def held(levels: Sequence[FrozenLevel], device: torch.device, lengths: Sequence[int | None]) -> list[Held]:
    """What making one video in chunks of each of these lengths holds; None makes it whole."""
    label = by_label(torch.zeros(1, dtype=torch.int64, device=device))

    def noise(level: int, dimension: int) -> Tensor:
        return torch.zeros((1, dimension), device=device)

    with LiveTensors() as live:
        video = next(stream_chunks(levels[:1], noise, label, None))
        first = live.most
    tables = [level.statistics for level in levels if isinstance(level.statistics, StandingStatistics)]
    statistics = sum(rows.nbytes for own in tables for rows in own.table.values())
    found = []
    for frames in lengths:
        with LiveTensors() as live:
            for _ in above(levels, iter([video]), noise, label, frames):
                pass
        found.append(Held(live.most, first, video.untyped_storage().nbytes(), statistics))
    return found


def small(frames: int) -> tuple[Held, int]:
    """A video of :data:`SMALL` on the CPU: what tensors held, and by how much the process grew with the file."""
    torch.set_num_threads(1)
    levels = sources(unrolled(preset(SMALL), frames), CPU)
    gc.collect()
    before = resident("VmRSS")
    label = by_label(torch.zeros(1, dtype=torch.int64))
    parts = stream_chunks(levels, lambda level, dimension: torch.zeros(1, dimension), label, CHUNK)
    with tempfile.TemporaryDirectory() as folder:
        made = (frame for part in parts for frame in to_bytes(part)[0].numpy())
        write_stream(Path(folder) / "video.mp4", made, 12)
    grown = resident("VmHWM") - before
    return held(levels, CPU, [CHUNK])[0], grown


def at_paper_size() -> Plot:
    """Counted, in chunks and whole."""
    found = {}
    for frames in FRAMES:
        levels = sources(unrolled(preset(PRESET), frames), META)
        found[frames] = held(levels, META, [CHUNK, None])
        print(f"{frames} frames: {found[frames]}", flush=True)
    print(f"\nOne video of {PRESET} at its own widths, float32, GB\n")
    head = ["output frames", "level 2 in chunks", "level 2 whole", "level 1 at its peak", "level 1's video"]
    rows = [
        [str(frames), *(f"{size / GB:.3g}" for size in (chunks.upper, whole.upper, *chunks[1:]))]
        for frames, (chunks, whole) in found.items()
    ]
    print(table([*head, "statistics"], rows), flush=True)
    lines = {("level 2, chunks of 12", frames): chunks.upper / GB for frames, (chunks, _) in found.items()}
    lines |= {("level 1 at its peak", frames): chunks.first / GB for frames, (chunks, _) in found.items()}
    lines |= {("statistics", frames): chunks.statistics / GB for frames, (chunks, _) in found.items()}
    return Plot("At the paper's widths (counted)", "output frames", "memory (GB)", curves(lines))


def at_small_width() -> Plot:
    """Measured."""
    found = {}
    for frames in FRAMES:
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            found[frames] = pool.apply(small, (frames,))
        print(f"{frames} frames: {found[frames]}", flush=True)
    print(f"\nOne video of {SMALL}, made here and written to mp4, MiB\n")
    head = ["output frames", "level 2 in chunks", "level 1 at its peak", "level 1's video", "statistics"]
    rows = [
        [
            str(frames),
            *(f"{size / MIB:.1f}" for size in (own.upper, own.first, own.video, own.statistics, grown)),
        ]
        for frames, (own, grown) in found.items()
    ]
    print(table([*head, "growth of the process"], rows), flush=True)
    lines = {("level 2, chunks of 12", frames): own.upper / MIB for frames, (own, _) in found.items()}
    lines |= {("level 1 at its peak", frames): own.first / MIB for frames, (own, _) in found.items()}
    lines |= {("statistics", frames): own.statistics / MIB for frames, (own, _) in found.items()}
    lines |= {("growth of the process", frames): grown / MIB for frames, (_, grown) in found.items()}
    return Plot(f"{SMALL} (measured)", "output frames", "memory (MiB)", curves(lines))


def main() -> None:
    """Count, measure, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for cascade-memory.svg")
    chosen = parser.parse_args()
    show_machine(CPU)
    save(chosen.out / "cascade-memory.svg", [at_paper_size(), at_small_width()])


if __name__ == "__main__":
    main()
