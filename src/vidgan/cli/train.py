"""``vidgan train PRESET``: trains an experiment and writes everything into a run directory."""

import sys
from pathlib import Path
from typing import Literal

import torch

from vidgan.cli.experiment import OfExperiment, parse_with_values
from vidgan.cli.parse import option_set
from vidgan.cli.shared import at_least, positive
from vidgan.data.dataset import Dataset
from vidgan.data.window import check_usable
from vidgan.errors import UserError
from vidgan.evaluation.protocols import protocol
from vidgan.evaluation.protocols.protocol import Resources
from vidgan.evaluation.rows import default_cache
from vidgan.report.words import duration
from vidgan.run.best import best_of_run
from vidgan.run.checkpoints import require_below_stays, steps_of
from vidgan.run.collapse import alarms_in
from vidgan.run.data import open_data, open_held_out
from vidgan.run.directory import Budget, DataRecord, RunDirectory, command_line
from vidgan.run.distributed import Replicas, choose_device, end_process_group, join_replicas
from vidgan.run.experiment import BatchSpec, Experiment, window_of
from vidgan.run.logs import read_lines
from vidgan.train.initial import origin_of
from vidgan.train.monitor import HeldOut
from vidgan.train.plan import measure_budget
from vidgan.train.session import train_run, with_data
from vidgan.train.validate import Validator

# What may differ when a run goes on: how long and how often it reports, not what it computes.
MAY_CHANGE = ("training.steps", "reporting", "description", "source", "deviations")


@option_set
class Options(OfExperiment):
    """Trains an experiment on a dataset. Every value of the experiment is an option too: with its name, --help lists
    them.
    """

    data: str
    """prepared dataset, or "synthetic", "synthetic-textured", "synthetic-open" for built-in clips"""
    out: Path
    """run directory; new or empty unless --resume is given"""
    resume: Literal["no", "yes", "auto"] = "no"
    """alone: resume from the newest whole checkpoint, exactly; auto: start a run where there is none yet"""
    steps: int | None = None
    """generator updates per level; --levels.N.steps for one level"""
    seed: int | None = None
    """everything random derives from it; short for --training.seed"""
    level: int | None = None
    """train this level alone; those below it are finished in the run"""
    minutes: float | None = None
    """stop each level after this time and count it as finished"""
    budget_hours: float | None = None
    """measure a step, and train as many as fit into this time"""
    held_out: str | None = None
    """clips that are not trained on; the discriminators judge some at every tick, so that remembering shows"""
    best_data: str | None = None
    """clips that --reporting.best measures against (those of --data)"""
    weights: Path | None = None
    """file of the network's weights for --reporting.best"""
    init_from: Path | None = None
    """start from the weights of this run, as far as they fit"""
    init_checkpoint: str | None = None
    """with --init-from: best, last or a step (last)"""
    workers: int = 1
    """processes that read clips; 0 reads in the training process"""
    tensorboard: bool = False
    """also write event files into RUN/tensorboard (extra: log)"""


def run(args: list[str]) -> int:
    """Parse ``args`` and train."""
    options, experiment = parse_with_values(Options, "train", resume_in_full(args))
    return train(options, experiment)


def resume_in_full(args: list[str]) -> list[str]:
    """``--resume`` alone stands for ``--resume yes``."""
    choices = ("no", "yes", "auto")
    found = []
    for arg, following in zip(args, [*args[1:], ""], strict=True):
        found += [arg, "yes"] if arg == "--resume" and following not in choices else [arg]
    return found


def train(options: Options, experiment: Experiment) -> int:
    """Train ``experiment`` as ``options`` say; 0 when finished or stopped by a signal with all saved."""
    at_least("--workers", options.workers, 0)
    if options.minutes is not None:
        positive("--minutes", options.minutes)
    training = experiment.training
    if options.steps is not None:
        at_least("--steps", options.steps, 1)
        training = training.replace(steps=options.steps)
    if options.seed is not None:
        training = training.replace(seed=options.seed)
    experiment = experiment.replace(training=training)
    if options.init_checkpoint is not None and options.init_from is None:
        raise UserError(
            "--init-checkpoint says which weights of --init-from to take: name the run by --init-from"
        )
    if options.budget_hours is not None:
        positive("--budget-hours", options.budget_hours)
        if options.steps is not None:
            raise UserError("--steps and --budget-hours both set the number of steps: give one of them")
    dataset, record = open_data(options.data, experiment)
    experiment = with_data(experiment, len(dataset.classes))
    require_level(options, experiment)
    for index in experiment.rounds:  # before anything is written
        check_usable(dataset, window_of(experiment, index))
    if experiment.reporting.best.protocol is not None:
        protocol(experiment.reporting.best.protocol)
    elif options.best_data is not None or options.weights is not None:
        raise UserError("--best-data and --weights are for evaluations: name a --reporting.best.protocol")
    held_out = None
    if options.held_out is not None:
        held_out = HeldOut(open_held_out(options.held_out, experiment), experiment, dataset.classes)
    device = choose_device()
    replicas = join_replicas()
    experiment.training.batch.share(replicas.size)
    budget = None
    if options.budget_hours is not None:
        budget = budget_of(options, experiment, options.budget_hours, replicas, device)
        experiment = experiment.replace(training=training.replace(steps=budget.steps))
    went_on = goes_on(options)
    if replicas.is_rank_zero:
        open_run(options, experiment, record, budget, replicas.size)
    replicas.wait()
    directory = RunDirectory.open(options.out)
    seconds = None if options.minutes is None else options.minutes * 60
    judge = judge_of(options, directory, dataset, replicas, device)
    try:
        finished = train_run(
            directory,
            dataset,
            replicas,
            device,
            options.workers,
            seconds,
            options.tensorboard,
            held_out,
            judge,
            None if options.level is None else options.level - 1,
        )
    except UserError:
        if replicas.is_rank_zero and not went_on:
            directory.withdraw()
        raise
    if replicas.is_rank_zero and finished and options.level not in (None, len(experiment.levels)):
        print(
            f"trained level {options.level} of {len(experiment.levels)}; next: --level {options.level + 1} --resume"
        )
    elif replicas.is_rank_zero and finished:
        predicts = experiment.levels[0].context_frames > 0
        best = "" if predicts or best_of_run(directory) is None else " --checkpoint best"
        following = (
            f"predict {options.out} VIDEO --out futures"
            if predicts
            else f"sample {options.out} --out {directory.samples / 'classes'} --format webp{best}"
        )
        told = f"trained: {options.out}{alarms_told(directory)}"
        print(f"{told}; next: vidgan {following}, then vidgan report {options.out}")
    leave(replicas)
    return 0


def alarms_told(run: RunDirectory) -> str:
    """A reminder of what the collapse detector has said; empty where it said nothing."""
    lines = read_lines(run.log.path)
    told = [alarm["rule"] for index in run.experiment.rounds for alarm in alarms_in(lines, index + 1)]
    return f", with alarm by {', '.join(dict.fromkeys(told))} (log.jsonl)" if told else ""


def budget_of(
    options: Options, experiment: Experiment, hours: float, replicas: Replicas, device: torch.device
) -> Budget:
    """How many steps fit into ``hours``: measured now, or when the run started.

    Raises:
        UserError: if a run is to go on that started with another budget, or the step cannot be measured.
    """
    if goes_on(options):
        known = RunDirectory.open(options.out).budget
        if known is None or known.hours != hours:
            began = "without --budget-hours" if known is None else f"with --budget-hours {known.hours:g}"
            raise UserError(f"{options.out} was started {began}; --steps changes how long it trains")
        return known
    RunDirectory.require_free(options.out)  # before half a minute is spent
    budget = measure_budget(experiment, hours, replicas, device)
    if replicas.is_rank_zero:
        print(
            f"a step takes {budget.step_seconds:.4g} s (mean of {budget.measured}, reading data left out): "
            f"{budget.steps} steps fit into {duration(3600 * hours)}",
            flush=True,
        )
    return budget


def require_level(options: Options, experiment: Experiment) -> None:
    """Check the level that is asked for.

    Raises:
        UserError: if there is no such level, or those below it cannot be there.
    """
    if options.level is None:
        return
    levels = len(experiment.levels)
    if not 1 <= options.level <= levels:
        raise UserError(
            f"--level must be 1 to {levels}, the levels of {experiment.name}, got {options.level}"
        )
    if experiment.joint:
        raise UserError(f"the levels of {experiment.name} are trained together: leave out --level")
    if options.level > 1 and not goes_on(options):
        raise UserError(
            f"--level {options.level} goes on upon finished levels: train those below it in {options.out} first, then "
            "give --resume"
        )


def goes_on(options: Options) -> bool:
    """Whether there is a run that is to be resumed."""
    return options.resume != "no" and (options.out / "experiment.json").exists()


def judge_of(
    options: Options, run: RunDirectory, dataset: Dataset, replicas: Replicas, device: torch.device
) -> Validator | None:
    """What measures the run while it trains; None where nothing is asked for.

    Raises:
        UserError: if the protocol does not apply or lacks its weights.
    """
    if run.experiment.reporting.best.protocol is None:
        return None
    against = dataset if options.best_data is None else open_data(options.best_data, run.experiment)[0]
    resources = Resources(weights=options.weights, device=device)
    return Validator(run, dataset, against, replicas, resources, default_cache())


def open_run(
    options: Options, experiment: Experiment, record: DataRecord, budget: Budget | None, processes: int
) -> None:
    """Create the run directory, or check that the existing one can go on.

    Raises:
        UserError: if the folder is taken, there is nothing to go on with, or the experiment has changed.
    """
    if goes_on(options):
        known = RunDirectory.open(options.out)
        own_steps = tuple(f"levels.{index}.steps" for index in range(len(experiment.levels)))
        known.require_same(experiment, record, (*MAY_CHANGE, *own_steps))
        require_below_stays(known, experiment)
        require_steps(known, experiment)
        known.resume(experiment, command_line(), processes)
        return
    if options.resume == "yes":
        raise UserError(f"there is no run in {options.out} to go on with; --resume auto would start one")
    if options.resume == "auto":
        print(f"no run in {options.out} yet: starting one", file=sys.stderr)
    tell_of_statistics(experiment.training.batch, processes)
    origin = None if options.init_from is None else origin_of(options.init_from, options.init_checkpoint)
    RunDirectory.create(options.out, experiment, record, command_line(), origin, budget, processes)


def require_steps(run: RunDirectory, experiment: Experiment) -> None:
    """Raise :class:`UserError` where a level of ``run`` has made more steps than ``experiment`` asks for."""
    for index in experiment.rounds:
        asked, made = experiment.steps_of(index), steps_of(run.checkpoints, index + 1)
        if made and made[-1] > asked:
            level = f"level {index + 1} of {run.path}" if len(experiment.rounds) > 1 else f"{run.path}"
            raise UserError(
                f"{level} has made {made[-1]} steps already, and {asked} are asked for: ask for more"
            )


def tell_of_statistics(batch: BatchSpec, processes: int) -> None:
    """Say where processes do not share batch statistics: those of TrIVD-GAN, CVG and BigGAN do."""
    if processes > 1 and not batch.sync_batch_norm:
        print(
            "batch statistics are those of each process alone; TrIVD-GAN and CVG share them: "
            "--training.batch.sync-batch-norm True",
            file=sys.stderr,
        )


def leave(replicas: Replicas) -> None:
    """End the process group, where there is one."""
    if replicas.group is not None:
        end_process_group()
