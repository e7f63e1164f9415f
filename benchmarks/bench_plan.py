"""How far `vidgan plan` is from the memory that training steps take, for small variants of three presets.

Each is measured in a process of its own: the most that its tensors held at a time, and by how much the process
grew (Linux: the peak of its resident memory, less what it held when torch was loaded). On a GPU, the most that
torch's allocator gave out.
"""

import gc
import multiprocessing
from pathlib import Path

import torch
from interleaved import Settings, mib, options, show_machine
from training import STEPS, peak_of_training, rehearse, with_batch, with_width

from vidgan.presets import preset
from vidgan.run.experiment import Experiment
from vidgan.train.plan import plan_level

CASES = (
    ("demo", 0, None, 128),
    ("dvd-gan-k600-12x64", 0, 8, 8),
    ("trivd-gan-fp-k600-16x64", 0, 8, 8),
    ("ssw-gan-k600-48x128", 1, 4, 2),
)
"""preset, level, width (None: its own), clips"""


def experiment_of(name: str, width: int | None, clips: int) -> Experiment:
    """The variant, in float32: a CPU's kernels compute bfloat16 in ways of their own."""
    experiment = preset(name) if width is None else with_width(preset(name), width)
    experiment = with_batch(experiment.replace(classes=min(experiment.classes, 10)), clips)
    return experiment.replace(training=experiment.training.replace(bf16=False))


def resident(what: str) -> int:
    """Bytes of this process that are in memory (VmRSS) or were at most (VmHWM)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return 1024 * int(line.split()[1])


def growth(experiment: Experiment, index: int, device: torch.device) -> int:
    """By how much the process grew at most."""
    torch.randn(8, 8, device=device).matmul(torch.randn(8, 8, device=device))
    gc.collect()
    before = resident("VmRSS")
    rehearse(experiment, index, device)
    return resident("VmHWM") - before


def main(settings: Settings) -> None:
    show_machine(settings.device)
    print(f"\nmemory of {STEPS} training steps: planned, and measured over planned")
    for name, index, width, clips in CASES:
        experiment = experiment_of(name, width, clips)
        training = experiment.training
        planned = plan_level(experiment, index).memory(training.batch, training.critic_updates, clips)
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            measured = [
                pool.apply(way, (experiment, index, settings.device)) for way in (peak_of_training, growth)
            ]
        ratios = "   ".join(
            f"{what} {mib(size)} ({size / planned:.2f})"
            for what, size in zip(("tensors", "process"), measured, strict=True)
        )
        print(
            f"  {name}, level {index + 1}, {clips} clips: planned {mib(int(planned))}   {ratios}", flush=True
        )


if __name__ == "__main__":
    main(options(str(__doc__), rounds=1).parse_args(namespace=Settings()))
