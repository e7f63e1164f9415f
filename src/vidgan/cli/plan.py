"""``vidgan plan PRESET``: what training will need, before anything is run."""

import re

import torch

from vidgan.cli.experiment import OfExperiment, parse_with_values
from vidgan.cli.parse import option_set
from vidgan.cli.shared import at_least, positive, refuse_idle, say
from vidgan.errors import UserError
from vidgan.names import tell
from vidgan.report.costs import days, fitting, level_plan
from vidgan.report.words import count
from vidgan.run.experiment import Experiment, nothing_to_mix
from vidgan.train.plan import plan_level

UNITS = {"M": 1e6, "G": 1e9, "MB": 1e6, "GB": 1e9, "MIB": 2**20, "GIB": 2**30}
"""bytes"""


@option_set
class Options(OfExperiment):
    """Tells parameters, operations and memory of training a preset, the micro-batch that fits and the days it takes.

    PRESET is a preset's name, FILE.py:NAME or FILE.json. Nothing is computed: the steps run on torch's meta device.
    """

    device_memory: str | None = None
    """memory of the device, such as 80G or 24GiB (the GPU's own)"""
    clips_per_second: float | None = None
    """speed as benchmarks/bench_step.py prints it, to tell the days"""
    classes: int | None = None
    """classes of the data (the paper's)"""
    processes: int = 1
    """processes that share every batch; what one of them needs is told"""


def run(args: list[str]) -> int:
    """Parse ``args`` and tell."""
    options, experiment = parse_with_values(Options, "plan", args)
    if options.classes is not None:
        at_least("--classes", options.classes, 1)
        if not experiment.conditional:
            refuse_idle(args, f"of {experiment.name}, which has no classes", "--classes")
        experiment = experiment.replace(classes=options.classes)
    if options.clips_per_second is not None:
        positive("--clips-per-second", options.clips_per_second)
    at_least("--processes", options.processes, 1)
    show(experiment, options.processes, memory_of(options.device_memory), options.clips_per_second)
    return 0


def show(experiment: Experiment, processes: int, memory: float | None, rate: float | None) -> None:
    """Print the plan of every level."""
    batch = experiment.training.batch
    kind = "bfloat16" if experiment.training.bf16 else "float32"
    share = batch.share(processes)
    shared = f", {share.clips} in each of {processes} processes" if processes > 1 else ""
    tell(f"{experiment.name}: {count(batch.global_batch, 'clip')} per update{shared}, {kind}")
    if told := nothing_to_mix(experiment, processes):
        say(told)
    for index in experiment.rounds:
        plan = plan_level(experiment, index)
        print(f"\n{level_plan(experiment, index, plan, share)}")
        if memory is not None:
            print(fitting(experiment, index, plan, share, memory))
        if rate is not None:
            print(days(experiment, index, rate))
    if memory is None:
        print("\nGive --device-memory 80G to be told which micro-batch fits.")
        # Our choice: in words, since it differs between machines; docs/results/data.md has what was measured.
        say(
            "This is what tensors take. On a CPU the process holds about a third of a GiB besides, for Python, torch "
            "and its kernels, and malloc may keep a third to two thirds more than is needed at the peak."
        )


def memory_of(text: str | None) -> float | None:
    """Bytes; raises :class:`UserError` for what is no size."""
    if text is None:
        return float(torch.cuda.mem_get_info()[1]) if torch.cuda.is_available() else None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text)
    if match is None or match[2].upper() not in UNITS:
        raise UserError(f"--device-memory is a size such as 80G or 24GiB, got {text!r}")
    size = float(match[1]) * UNITS[match[2].upper()]
    positive("--device-memory", size)
    return size
