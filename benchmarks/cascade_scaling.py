"""What training takes as videos get longer: a cascade's levels beside a model of one level (CVG, Figure 3).

Memory and operations at the papers' size are counted on the meta device, where nothing is computed; memory and time
at a small width are measured here. The cascade is Figure 3's: half as many frames of 64x64 first, then windows of 12
frames of 128x128. Beside it stands the setting of SSW-GAN's Table 3. A figure and tables are written.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from interleaved import Case, Measure, interleave, peak_bytes, show_machine
from training import with_batch, with_width
from vidgan.models.level import LevelSpec
from vidgan.presets import preset
from vidgan.report.figures import Curve, Plot, Point, save
from vidgan.run.experiment import Experiment
from vidgan.train.operations import Operations
from vidgan.train.plan import DryRun, LiveTensors, prime, step_operations

META, CPU = torch.device("meta"), torch.device("cpu")
COMPUTED, MEASURED = (24, 48, 140), (24, 48)
"""output frames at the papers' size and at width :data:`WIDTH`; of half of them the frame discriminator draws 8"""
WIDTH = 4
GB = 1e9


class Subject(NamedTuple):
    """A level in training."""

    name: str
    experiment: Experiment
    level: int


class Cost(NamedTuple):
    """What a training step takes."""

    memory: int
    """bytes at the peak, everything included, also the levels below"""
    flops: Operations
    """of a step, all discriminator updates and the generator's, with the videos of the levels below"""


def float32(experiment: Experiment) -> Experiment:
    """``experiment`` in float32, as PyTorch computed when the papers were written."""
    return experiment.replace(training=experiment.training.replace(bf16=False))


def lengthened(level: LevelSpec, frames: int, window: int | None = None) -> LevelSpec:
    """A level that makes another number of frames."""
    return level.replace(frames=frames, window=window)


def subjects(frames: int) -> list[Subject]:
    """The three curves of Figure 3 at an output of ``frames`` frames of 128x128."""
    cascade = preset("cvg-ucf101-16x128")
    first, second = cascade.levels
    levels = (lengthened(first, frames // 2), lengthened(second, frames, min(12, frames)))
    single = preset("ssw-dvd-gan-k600-50x128")
    (level,) = single.levels
    cascade, single = cascade.replace(levels=levels), single.replace(levels=(lengthened(level, frames),))
    return [
        Subject("level 1", float32(cascade), 0),
        Subject("level 2, windows of 12", float32(cascade), 1),
        Subject("one level", float32(single), 0),
    ]


def computed(subject: Subject, clips: int) -> Cost:
    """A step with ``clips`` clips, counted on the meta device."""
    experiment = with_batch(subject.experiment, clips)
    experiment = experiment.replace(training=experiment.training.replace(folded=False))
    with LiveTensors() as live:
        dry_run = DryRun(experiment, subject.level, META)
        prime(dry_run.state)
        dry_run.step()
    return Cost(live.most, step_operations(experiment, subject.level))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def curves(costs: dict[tuple[str, int], float]) -> list[Curve]:
    """A curve per name, over output frames."""
    names = list(dict.fromkeys(name for name, _ in costs))
    return [
        Curve(name, [Point(frames, value, None) for (own, frames), value in costs.items() if own == name])
        for name in names
    ]


def figure_3() -> Plot:
    """The papers' size, one clip."""
    found: dict[tuple[str, int], Cost] = {}
    for frames in COMPUTED:
        for subject in subjects(frames):
            key = subject.name, frames
            found[key] = computed(subject, 1)
            print(f"{subject.name}, {frames} frames: {found[key].memory / GB:.2f} GB", flush=True)
    names = list(dict.fromkeys(name for name, _ in found))
    print("\nOne clip at the papers' widths, float32: GB (and TFLOP) of a training step\n")
    print(
        table(
            ["output frames", *names],
            [
                [str(frames), *(f"{c.memory / GB:.1f} ({c.flops.of(1) / 1e12:.1f})" for c in row)]
                for frames in COMPUTED
                for row in [[found[name, frames] for name in names]]
            ],
        ),
        flush=True,
    )
    memory = {key: cost.memory / GB for key, cost in found.items()}
    return Plot("At the papers' widths, one clip (counted)", "output frames", "memory (GB)", curves(memory))


def table_3() -> None:
    """SSW-GAN's Table 3 beside what is counted at as many clips per GPU."""
    cascade, single = preset("ssw-gan-k600-48x128"), preset("ssw-dvd-gan-k600-50x128")
    printed = (
        (Subject("stage 1, 32x32/25", cascade, 0), 4, 27897, 3.45),
        (Subject("stage 2, 128x128/12", cascade, 1), 4, 29073, 3.2),
        (Subject("DVD-GAN, 128x128/50", single, 0), 1, 32203, 4 * 2.975),
    )
    costs = [
        computed(subject._replace(experiment=float32(subject.experiment)), clips)
        for subject, clips, *_ in printed
    ]
    rows = [
        [
            *(subject.name, str(clips), f"{paper:,}", f"{cost.memory / 1e6:,.0f}", f"{seconds:.2f}"),
            *(f"{seconds / printed[1][3]:.2f}", f"{cost.flops.per_clip / 1e12:.1f}"),
            f"{cost.flops.per_clip / costs[1].flops.per_clip:.2f}",
        ]
        for (subject, clips, paper, seconds), cost in zip(printed, costs, strict=True)
    ]
    head = ["", "clips per GPU", "paper, MB", "counted, MB", "paper, s per step", "over stage 2"]
    print("\nSSW-GAN, Table 3\n")
    print(table([*head, "counted, TFLOP per clip", "over stage 2"], rows), flush=True)


def cpu_time(work: Callable[[], object]) -> Measure:
    """Measures the time that the processor gives to ``work``, whatever else runs, after one call."""
    work()

    def run() -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    return run


def small_width(rounds: int) -> list[Plot]:
    """Memory and processor time of a training step of one clip, measured on one core at width :data:`WIDTH`."""
    seconds: dict[tuple[str, int], float] = {}
    memory: dict[tuple[str, int], float] = {}
    for frames in MEASURED:
        works = {}
        for subject in subjects(frames):
            experiment = with_batch(with_width(subject.experiment, WIDTH).replace(classes=10), 1)
            works[subject.name] = DryRun(experiment, subject.level, CPU).step
        cases = [Case(name, cpu_time(work)) for name, work in works.items()]
        for result in interleave(cases, rounds):
            seconds[result.name, frames] = statistics.median(result.seconds)
            memory[result.name, frames] = peak_bytes(works[result.name], CPU) / 2**20
        print(f"{frames} frames: {[round(seconds[name, frames], 2) for name in works]} s", flush=True)
    names = list(dict.fromkeys(name for name, _ in seconds))
    print(f"\nOne clip at width {WIDTH}, on this machine: MiB (and seconds) of a training step\n")
    print(
        table(
            ["output frames", *names],
            [
                [
                    str(frames),
                    *(f"{memory[name, frames]:.0f} ({seconds[name, frames]:.2f})" for name in names),
                ]
                for frames in MEASURED
            ],
        ),
        flush=True,
    )
    title = f"At width {WIDTH}, one clip (measured)"
    return [
        Plot(title, "output frames", "memory (MiB)", curves(memory)),
        Plot(title, "output frames", "processor time of a step (s)", curves(seconds)),
    ]


def main() -> None:
    """Count, measure, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for cascade-scaling.svg")
    parser.add_argument("--rounds", type=int, default=3, help="measurements per case (3)")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    show_machine(CPU)
    table_3()
    plots = [figure_3(), *small_width(chosen.rounds)]
    save(chosen.out / "cascade-scaling.svg", plots)


if __name__ == "__main__":
    main()
