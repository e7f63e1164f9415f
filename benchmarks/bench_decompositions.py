"""A training step with each of Table 1's discriminators, and with the units of F.4, beside the ratios of Luc
et al. 2020.

On a GPU, the paper's own size: ``--width 48 --clips 8`` (E.3: each step trains on batches of 8 clips).
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import torch

from interleaved import Case, Measure, Settings, interleave, mib, options, show, show_machine, timed
from training import Trainee, peak_of_training, with_batch, with_width
from vidgan.presets import preset
from vidgan.presets.trivd_gan import WIDTH
from vidgan.run.experiment import Experiment
from vidgan.train.plan import step_operations


class Printed(NamedTuple):
    """What the paper measured of a row."""

    milliseconds: float
    gigabytes: float | None = None


# Luc et al. 2020, Table 1, columns MS and GB; DVD-GAN-FP comes first, for the others are told relative to it.
TABLE_1: Final[Mapping[str, Printed]] = {
    "trivd-table1-dvd-gan-fp": Printed(537, 3.53),
    "trivd-table1-clip": Printed(488, 3.49),
    "trivd-table1-downsampled": Printed(370, 3.01),
    "trivd-table1-cropped": Printed(371, 3.10),
    "trivd-table1-cropped-downsampled": Printed(467, 3.30),
    "trivd-table1-mocogan-k1": Printed(568, 3.95),
    "trivd-table1-mocogan-k8": Printed(660, 3.95),
    "trivd-table1-faster": Printed(453, 3.54),
    "trivd-table1-stronger": Printed(548, 3.65),
}
# Luc et al. 2020, F.4. Which TSRU is meant is not said; Table 2's best is measured.
UNITS: Final[Mapping[str, Printed]] = {
    "trivd-table2-convgru": Printed(284),
    "trivd-table2-tsru-p": Printed(354),
    "trivd-table2-dynamic-convlstm": Printed(6385),
}


CLIPS: Final = 8
"""of a batch, in the paper's measurement (E.3)"""


class DecompositionSettings(Settings):
    """At which size, and by which clock."""

    width: int
    clips: int
    processor_time: bool
    part: str


def sized(name: str, width: int, clips: int, bf16: bool) -> Experiment:
    """A preset at another width and batch."""
    experiment = with_batch(with_width(preset(name), width), clips)
    return experiment.replace(training=experiment.training.replace(bf16=bf16))


def memory_of(name: str, settings: DecompositionSettings) -> int:
    """The most bytes that tensors hold: measured on a GPU, else counted by a dry run at the paper's size."""
    if settings.device.type == "cuda":
        return peak_of_training(sized(name, settings.width, settings.clips, True), 0, settings.device)
    return peak_of_training(sized(name, WIDTH, CLIPS, True), 0, torch.device("meta"))


def work_of(name: str) -> int:
    """Operations of a step at the paper's size and batch, those of convolutions and matrix products."""
    experiment = sized(name, WIDTH, CLIPS, True)
    return step_operations(experiment, 0).of(CLIPS)


def step_of(name: str, settings: DecompositionSettings) -> Measure:
    """A training step; a CPU computes in float32."""
    on_gpu = settings.device.type == "cuda"
    trainee = Trainee(sized(name, settings.width, settings.clips, on_gpu), 0, settings.device)
    clock = time.process_time if settings.processor_time else time.perf_counter
    return timed(trainee.step, settings.device, clock)


def compare(title: str, printed: Mapping[str, Printed], settings: DecompositionSettings) -> None:
    """Measure the rows of ``printed`` and show them relative to the first, beside the paper's ratios."""
    memory = [memory_of(name, settings) for name in printed]  # before a GPU holds all models
    work = [work_of(name) for name in printed]
    results = interleave([Case(name, step_of(name, settings)) for name in printed], settings.rounds)
    show(title, results, items=settings.clips, notes=notes(list(printed.values()), work, memory))


def notes(printed: Sequence[Printed], work: Sequence[int], memory: Sequence[int]) -> list[str]:
    """The paper's ratio of times, that of operations, the memory, and its ratio here and in the paper."""
    first = printed[0]
    said = []
    for row, flops, size in zip(printed, work, memory, strict=True):
        text = f"paper {row.milliseconds / first.milliseconds:5.2f}   operations {flops / work[0]:5.2f}"
        text += f"   memory {mib(size):>10}"
        text += f" {size / memory[0]:5.2f}"
        if row.gigabytes is not None and first.gigabytes is not None:
            text += f" (paper {row.gigabytes / first.gigabytes:.2f})"
        said.append(text)
    return said


def main(settings: DecompositionSettings) -> None:
    on_gpu = settings.device.type == "cuda"
    show_machine(settings.device)
    here = f"width {settings.width}, {settings.clips} clips"
    clock = "processor seconds" if settings.processor_time else "seconds of the clock"
    print(f"a step at {here}, {clock}; operations at width {WIDTH}; memory ", end="")
    print("of the same" if on_gpu else f"counted by a dry run at width {WIDTH}, {CLIPS} clips, bfloat16")
    if settings.part != "units":
        compare("Table 1: a training step with each decomposition", TABLE_1, settings)
    if settings.part != "decompositions":
        compare("F.4: a training step with each unit, faster discriminators", UNITS, settings)


def parser() -> argparse.ArgumentParser:
    """The common options, the size of what is trained, and the clock."""
    known = options(str(__doc__), rounds=2)
    known.add_argument("--width", type=int, default=8, help="channel multiplier of all networks (8)")
    known.add_argument("--clips", type=int, default=2, help="clips per update and pass (2)")
    known.add_argument(
        "--part", choices=("decompositions", "units", "both"), default="both", help="Table 1, F.4, or both"
    )
    known.add_argument(
        "--processor-time", action="store_true", help="for a crowded CPU: leave out other programs' share"
    )
    return known


if __name__ == "__main__":
    main(parser().parse_args(namespace=DecompositionSettings()))
