"""``vidgan plan PRESET``: what training will need, before anything is run."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
import tyro

from vidgan.cli.cache import Caching, held_text
from vidgan.cli.experiment import OfExperiment, parse_with_values
from vidgan.cli.parse import option_set
from vidgan.cli.shared import at_least, positive, refuse_idle, say
from vidgan.data.held import DeviceCache, bytes_held
from vidgan.errors import UserError
from vidgan.names import tell
from vidgan.presets import preset
from vidgan.report.costs import beyond, days, fitting, level_plan, network, phases_text
from vidgan.report.figures import check_target, save
from vidgan.report.lengths import length_plots, length_table
from vidgan.report.words import count
from vidgan.run.data import open_data
from vidgan.run.experiment import Experiment, level_in_words, nothing_to_mix, window_of
from vidgan.sample.passes import Trained
from vidgan.train.lengths import LevelCost, costs_of_length, lengthened
from vidgan.train.longer import longer_sampling, longer_statistics, with_longer_videos
from vidgan.train.network import Machines, predict, traffic
from vidgan.train.phases import phases
from vidgan.train.plan import plan_level

UNITS = {"M": 1e6, "G": 1e9, "MB": 1e6, "GB": 1e9, "MIB": 2**20, "GIB": 2**30}
"""bytes"""
LINKS = {"GBIT": 1e9 / 8, "MBIT": 1e6 / 8} | {unit: UNITS[unit] for unit in ("MB", "GB", "MIB", "GIB")}
"""bytes per second"""
RATES = {"GFLOPS": 1e9, "TFLOPS": 1e12, "PFLOPS": 1e15}
"""operations per second"""
MATMUL = "800TFLOPs"


@option_set
class Options(OfExperiment, Caching):
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
    """processes that share every batch"""
    workers: int = 1
    """processes that read clips for each, or 0"""
    nodes: int | None = None
    """machines, to be told what a step sends and how long it takes"""
    gpus: int = 8
    """GPUs, and so processes, of each of them"""
    link: str = "400Gbit"
    """how fast it sends, such as 400Gbit or 50GB"""
    matmul: str | None = None
    """how fast a GPU multiplies matrices, to be told how long phases take (with --nodes 800TFLOPs)"""
    latency: float = 20.0
    """microseconds that a message takes"""
    overhead: float = 0.0
    """milliseconds of a step that its clips do not change, such as the optimiser's"""
    sample_frames: int | None = None
    """also, sampling videos of so many frames"""
    sample_chunk: int | None = None
    """these made so many frames at a time"""
    frames: Annotated[tuple[int, ...], tyro.conf.arg(metavar="INT ...")] = ()
    """instead, a step at these lengths of videos (CVG, Figure 3)"""
    beside: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PRESET ...")] = ()
    """other experiments at the same lengths"""
    out: Path | None = None
    """file for a figure of them: .svg, .pdf or .png"""
    data: str | None = None
    """the data that --cache holds"""


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
    at_least("--workers", options.workers, 0, 1000)
    if options.held is not None:
        refuse_idle(args, "with --cache, which reads no clips while it trains", "--workers")
    if options.frames:
        idle = (
            "--cache",
            "--data",
            "--clips-per-second",
            "--processes",
            "--workers",
            "--nodes",
            "--gpus",
            "--link",
            "--matmul",
            "--latency",
            "--overhead",
            "--sample-frames",
            "--sample-chunk",
        )
        refuse_idle(args, "beside --frames", *idle)
        show_lengths(options, experiment)
        return 0
    refuse_idle(args, "without --frames", "--beside", "--out")
    if options.sample_frames is None:
        refuse_idle(args, "without --sample-frames", "--sample-chunk")
    else:
        at_least("--sample-frames", options.sample_frames, 1)
        if options.sample_chunk is not None:
            at_least("--sample-chunk", options.sample_chunk, 1)
    machines = machines_of(options, args)
    processes = options.processes if machines is None else machines.processes
    memory, rate = beside_data(options, experiment, args), options.clips_per_second
    matmul = None if options.matmul is None else speed("--matmul", options.matmul, RATES, MATMUL)
    frames, chunk = options.sample_frames, options.sample_chunk
    if frames is not None:  # before anything is counted, so that a length that does not fit is told at once
        with_longer_videos(experiment, frames, chunk)
    workers = options.workers if options.held is None else 0
    planned = show(experiment, processes, workers, memory, rate, machines, matmul)
    if frames is not None:
        asked = (Trained(planned, processes), frames, chunk)
        first, sampled = longer_statistics(*asked), longer_sampling(*asked)
        print(f"\n{phases_text([sampled] if first is None else [first, sampled], matmul)}")
    return 0


def machines_of(options: Options, args: list[str]) -> Machines | None:
    """The machines that are asked about; None where none are.

    Raises:
        UserError: for what is no speed, or idle options.
    """
    if options.nodes is None:
        refuse_idle(args, "without --nodes", "--gpus", "--link", "--latency", "--overhead")
        return None
    refuse_idle(args, "beside --nodes and --gpus", "--processes")
    at_least("--nodes", options.nodes, 1)
    at_least("--gpus", options.gpus, 1)
    positive("--latency", options.latency)
    at_least("--overhead", options.overhead, 0)
    link = speed("--link", options.link, LINKS, "400Gbit or 50GB")
    matmul = speed("--matmul", options.matmul or MATMUL, RATES, MATMUL)
    latency, overhead = options.latency * 1e-6, options.overhead * 1e-3
    return Machines(options.nodes, options.gpus, link, matmul, latency, overhead)


def speed(option: str, text: str, units: Mapping[str, float], example: str) -> float:
    """A number with one of ``units``; raises :class:`UserError` for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text)
    if match is None or match[2].upper() not in units:
        raise UserError(f"{option} is such as {example}, got {text!r}")
    value = float(match[1]) * units[match[2].upper()]
    positive(option, value)
    return value


def beside_data(options: Options, experiment: Experiment, args: list[str]) -> float | None:
    """Bytes of the device, less those of the clips that are held there, which are told; None where not known.

    Raises:
        UserError: where the data are not named, or fill the device.
    """
    memory = memory_of(options.device_memory)
    if options.held is None:
        refuse_idle(args, "without --cache", "--data")
        return memory
    if options.data is None:
        raise UserError("--cache holds the clips of a dataset: name it by --data")
    dataset = open_data(options.data, experiment)
    needed = bytes_held(dataset, window_of(experiment, 0))
    there = isinstance(options.held, DeviceCache)
    tell(held_text(len(dataset), needed, f"in {'the device' if there else 'the memory'} of each process"))
    if memory is None or not there:
        return memory
    if needed >= memory:
        raise UserError("the clips fill the device: leave --cache device out, or take --cache memory")
    return memory - needed


def show_lengths(options: Options, experiment: Experiment) -> None:
    """Print, and draw where asked, what training takes at each of ``options.frames``."""
    for frames in options.frames:
        at_least("--frames", frames, 1)
    others = [preset(name, options.code) for name in options.beside]
    memory, target = memory_of(options.device_memory), options.out
    if target is not None:
        check_target(target)
    lengths = sorted(set(options.frames))
    longer = {
        one.name: {frames: lengthened(one, frames) for frames in lengths}
        for one in (experiment, *map(options.shrunk, others))
    }  # all before anything is counted, so that a length that does not fit is told at once
    found: dict[str, dict[int, tuple[LevelCost, ...]]] = {}
    for name, at in longer.items():
        kind = "bfloat16" if at[lengths[0]].training.bf16 else "float32"
        found[name] = {frames: costs_of_length(own) for frames, own in at.items()}
        tell(f"{name}: training steps in {kind}, levels below counted", flush=True)
        print(f"{length_table(found[name], memory)}\n", flush=True)
    if target is not None:
        save(target, length_plots(found))
        tell(f"wrote {target}")


def per_update(experiment: Experiment, processes: int) -> str:
    """The clips of an update and of each process, of every level where they differ."""
    told = []
    for index in experiment.rounds:
        batch = experiment.batch_of(index)
        shared = f", {batch.share(processes).clips} in each of {processes} processes" if processes > 1 else ""
        told.append(f"{count(batch.global_batch, 'clip')} per update{shared}")
    if len(set(told)) == 1:
        return told[0]
    return "; ".join(
        f"{level_in_words(index)}: {words}" for index, words in zip(experiment.rounds, told, strict=True)
    )


def show(
    experiment: Experiment,
    processes: int,
    workers: int,
    memory: float | None,
    rate: float | None,
    machines: Machines | None = None,
    matmul: float | None = None,
) -> Experiment:
    """Print the plan of every level; how long its phases take, where the rate of matrix products is known.

    All of it is of the micro-batch that is asked for, or else of the largest smaller one that fits into ``memory``, as
    in the experiment that it returns.
    """
    kind = "bfloat16" if experiment.training.bf16 else "float32"
    tell(f"{experiment.name}: {per_update(experiment, processes)}, {kind}")
    if told := nothing_to_mix(experiment, processes):
        say(told)
    planned = experiment
    for index in experiment.rounds:
        share, plan = experiment.batch_of(index).share(processes), plan_level(experiment, index)
        own = share if memory is None else plan.fitting(share, memory) or share.smallest
        print(f"\n{level_plan(experiment, index, plan, own, processes)}")
        if memory is not None:
            print(fitting(experiment, index, plan, share, memory))
            planned = planned.with_micro_batch(index, own.per_pass)
        found = phases(planned, index, plan, own, processes, workers)
        print(phases_text(found, matmul))
        if memory is not None and (told := beyond(found, memory)):
            say(told)
        if rate is not None:
            print(days(experiment, index, rate))
        if machines is not None:
            sent = traffic(experiment, index, own.passes)
            predicted = predict(experiment.training, plan, own, sent, machines)
            print(network(experiment, index, sent, predicted))
    print()
    say("Not counted: an evaluation's feature network, up to 0.7 GB of the device (docs/full-size.md).")
    if memory is None:
        print("Give --device-memory 80G to be told which micro-batch fits.")
        # Our choice: in words, since it differs between machines; docs/results/data.md has what was measured.
        say(
            "This is what tensors take. On a CPU the process holds about a third of a GB besides, for Python, torch "
            "and its kernels, and malloc may keep a third to two thirds more than is needed at the peak."
        )
    return planned


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
