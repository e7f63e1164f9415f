"""How far `vidgan plan` is from the memory that training steps take, for small variants of three presets.

One of them is also wide enough for Winograd's algorithm, which the plan does not see.

Each is measured in processes of their own: the most that its tensors held at a time, and on a CPU (Linux) by how
much the resident memory of the process grew at most, once every block that is freed goes back to the system and
once as malloc does by itself, which keeps some for later. On a GPU, the most that torch's allocator gave out.
"""

import ctypes
import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from interleaved import Settings, mib, options, show_machine
from training import STEPS, peak_of_training, take_steps, with_batch, with_width
from vidgan.presets import preset
from vidgan.run.batch import Share
from vidgan.run.experiment import Experiment
from vidgan.train.plan import plan_level

CASES = (
    ("demo", 0, None, 32),
    ("dvd-gan-k600-12x64", 0, 8, 4),
    ("ssw-gan-k600-48x128", 1, 4, 2),
    ("dvd-gan-k600-12x64", 0, 32, 1),
    ("dvd-gan-k600-12x64", 0, 32, 4),
)
"""preset, level, width (None: its own), clips"""
THRESHOLD = ("MALLOC_MMAP_THRESHOLD_", "65536")
"""Makes glibc map every block above 64 KiB by itself, which goes back to the system when it is freed. Otherwise
the limit grows up to 32 MiB, and blocks below it are carved out of a heap that keeps its gaps."""

Measure = Callable[[Experiment, int, torch.device], int]


def experiment_of(name: str, width: int | None, clips: int) -> Experiment:
    """The variant, in float32: a CPU's kernels compute bfloat16 in ways of their own."""
    experiment = preset(name) if width is None else with_width(preset(name), width)
    experiment = with_batch(experiment.replace(classes=min(experiment.classes, 10)), clips)
    return experiment.replace(training=experiment.training.replace(bf16=False))


def resident(what: str) -> int:
    """Bytes of this process that are in memory (VmRSS) or were at most (VmHWM)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return 1024 * int(line.split()[1])


def before_training(experiment: Experiment, index: int, device: torch.device) -> int:
    """What the process holds when it has trained once on a single clip: interpreter, libraries, kernels made."""
    take_steps(with_batch(experiment, 1), index, device)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return resident("VmRSS")


def growth(experiment: Experiment, index: int, device: torch.device) -> int:
    """By how much the process grew at most above :func:`before_training`."""
    before = before_training(experiment, index, device)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    take_steps(experiment, index, device)
    return resident("VmHWM") - before


@contextmanager
def blocks_returned() -> Iterator[None]:
    """Processes started meanwhile hand freed blocks back to the system."""
    name, value = THRESHOLD
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def alone(measure: Measure, experiment: Experiment, index: int, device: torch.device) -> int:
    """Measure in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (experiment, index, device))


def main(settings: Settings) -> None:
    show_machine(settings.device)
    print(f"\nmemory of {STEPS} training steps: planned, and measured over planned")
    for name, index, width, clips in CASES:
        experiment = experiment_of(name, width, clips)
        case = (experiment, index, settings.device)
        planned = plan_level(experiment, index).memory(Share(clips, clips))
        print(f"  {name}, level {index + 1}, {clips} clips: planned {mib(int(planned))}", flush=True)
        found = {"tensors": alone(peak_of_training, *case)}
        if settings.device.type == "cpu":
            with blocks_returned():
                found["process, blocks returned"] = alone(growth, *case)
            found["process, malloc's own way"] = alone(growth, *case)
        for what, size in found.items():
            print(f"    {what:26}{mib(size):>12} ({size / planned:.2f})", flush=True)
        if settings.device.type == "cpu":
            print(f"    {'held before training':26}{mib(alone(before_training, *case)):>12}", flush=True)


if __name__ == "__main__":
    main(options(str(__doc__), rounds=1).parse_args(namespace=Settings()))
