"""``vidgan train PRESET``: trains an experiment and writes everything into a run directory."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import torch
import tyro

from vidgan.cli.checks import at_least, positive
from vidgan.cli.data import open_data
from vidgan.cli.parse import parse
from vidgan.errors import UserError
from vidgan.presets import preset
from vidgan.run.device import choose_device
from vidgan.run.directory import DataRecord, RunDirectory, command_line
from vidgan.run.experiment import Experiment
from vidgan.run.tiny import tiny
from vidgan.train.replicas import Replicas, join_replicas
from vidgan.train.run import train_run, with_data

# What may differ when a run goes on: how long and how often it reports, not what it computes.
MAY_CHANGE = ("training.steps", "reporting", "description", "source", "deviations")

USAGE = """usage: vidgan train PRESET --data DEST --out RUN [options]

Trains PRESET (vidgan presets lists them) on a dataset made by vidgan prepare, or on the built-in
clips with --data synthetic. Every value of the experiment can be changed:
vidgan train PRESET --help shows them all."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Trains a preset on a dataset; every value of the experiment can be changed."""

    data: str
    """prepared dataset, or "synthetic" for the built-in clips"""
    out: Path
    """run directory; new or empty unless --resume is given"""
    resume: bool = False
    """go on from the newest whole checkpoint, exactly; starts anew where there is no run yet"""
    tiny: bool = False
    """shrink the experiment until steps take seconds; its structure stays"""
    workers: int = 1
    """processes that read clips; 0 reads in the training process"""
    minutes: float | None = None
    """stop each level after this time and count it as finished"""
    steps: int | None = None
    """generator updates per level; short for --training.steps"""
    seed: int | None = None
    """short for --training.seed"""
    experiment: Annotated[Experiment, tyro.conf.arg(name="")]


def run(args: list[str]) -> int:
    """Parse ``args`` and train."""
    if not args or args[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if args else 2
    name, rest = args[0], args[1:]
    if name.startswith("-"):
        raise UserError(f"the preset comes first: vidgan train PRESET {' '.join(args[:2])} ...")
    experiment = preset(name)
    if "--tiny" in rest:
        experiment = tiny(experiment)
    default = Options(data=tyro.MISSING, out=tyro.MISSING, experiment=experiment)
    return train(parse(Options, f"train {name}", rest, default))


def train(options: Options) -> int:
    """Train as ``options`` say; 0 when finished or stopped by a signal with all saved."""
    at_least("--workers", options.workers, 0)
    if options.minutes is not None:
        positive("--minutes", options.minutes)
    experiment = options.experiment
    training = experiment.training
    if options.steps is not None:
        training = training.replace(steps=options.steps)
    if options.seed is not None:
        training = training.replace(seed=options.seed)
    experiment = experiment.replace(training=training)
    dataset, record = open_data(options.data, experiment)
    experiment = with_data(experiment, len(dataset.classes))
    device = choose_device()
    replicas = join_replicas(training.batch.replicas)
    if replicas.main:
        open_run(options, experiment, record)
    replicas.wait()
    directory = RunDirectory.open(options.out)
    seconds = None if options.minutes is None else options.minutes * 60
    directory.experiment = experiment  # what may change does: number of steps, reporting
    finished = train_run(directory, dataset, replicas, device, options.workers, seconds)
    if replicas.main and finished:
        print(f"trained: {options.out}; next: vidgan sample {options.out} --out samples")
    leave(replicas)
    return 0


def open_run(options: Options, experiment: Experiment, record: DataRecord) -> None:
    """Create the run directory, or check that the existing one can go on.

    Raises:
        UserError: if the folder is taken, or the experiment has changed.
    """
    if options.resume and (options.out / "experiment.json").exists():
        RunDirectory.open(options.out).require_same(experiment, record, MAY_CHANGE)
        return
    if options.resume:
        print(f"no run in {options.out} yet: starting one", file=sys.stderr)
    RunDirectory.create(options.out, experiment, record, command_line())


def leave(replicas: Replicas) -> None:
    """End the process group, where there is one."""
    if replicas.group is not None:
        torch.distributed.destroy_process_group()
