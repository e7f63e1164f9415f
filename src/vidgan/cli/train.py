"""``vidgan train PRESET``: trains an experiment and writes everything into a run directory."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from vidgan.cli.checks import at_least, positive
from vidgan.cli.data import open_data, open_held_out
from vidgan.cli.overrides import Values, values_of, with_values
from vidgan.cli.parse import parse
from vidgan.data.dataset import Dataset
from vidgan.data.window import check_usable
from vidgan.errors import UserError
from vidgan.evaluation.protocols import protocol
from vidgan.evaluation.protocols.protocol import Resources
from vidgan.evaluation.rows import default_cache
from vidgan.presets import preset
from vidgan.report.words import duration
from vidgan.run.best import best_of_run
from vidgan.run.checkpoints import require_below_stays, steps_of
from vidgan.run.collapse import alarms_in
from vidgan.run.directory import Budget, DataRecord, RunDirectory, command_line
from vidgan.run.distributed import Replicas, choose_device, end_process_group, join_replicas
from vidgan.run.experiment import BatchSpec, Experiment, window_of
from vidgan.run.logs import read_lines
from vidgan.run.tiny import tiny
from vidgan.train.initial import origin_of
from vidgan.train.monitor import HeldOut
from vidgan.train.plan import measure_budget
from vidgan.train.session import train_run, with_data
from vidgan.train.validate import Validator

# What may differ when a run goes on: how long and how often it reports, not what it computes.
MAY_CHANGE = ("training.steps", "reporting", "description", "source", "deviations")

USAGE = """usage: vidgan train PRESET --data DEST --out RUN [options]

Trains PRESET (vidgan presets lists them) on a dataset made by vidgan prepare, or on the built-in
clips with --data synthetic (or synthetic-textured: striped shapes that pass behind another; or
synthetic-open: shapes that begin in the middle and go one of four ways).

  --data DEST   prepared dataset, "synthetic", "synthetic-textured" or "synthetic-open"
  --out RUN     run directory; new or empty unless --resume is given
  --resume      go on from the newest whole checkpoint, exactly; --resume auto starts if there is no run yet
  --held-out DEST2   clips of the same classes that are not trained on; the discriminators judge them at every tick
  --init-from RUN2   start from the newest weights of another run, as far as they fit; from those of
                --init-checkpoint best or of a step, if given
  --tiny        shrink the preset until steps take seconds; its structure stays
  --level N     train one level alone, upon those below it, which are finished in the run directory
  --steps N     generator updates per level; --levels.1.steps N those of the second level
  --minutes M   stop each level after this time and count it as finished
  --budget-hours H   measure a step, and train as many steps as fit into this time
  --seed N      everything random derives from it
  --tensorboard   write event files into RUN/tensorboard too
  --workers N   processes that read clips; 0 reads in the training process

Every value of the experiment is an option too: vidgan train PRESET --help lists them with the
preset's values."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Trains a preset on a dataset; every value of the experiment can be changed."""

    data: str
    """prepared dataset, or "synthetic" for the built-in clips; "synthetic-textured" makes striped shapes that pass
    behind another, "synthetic-open" shapes that begin in the middle and go one of four ways"""
    out: Path
    """run directory; new or empty unless --resume is given"""
    resume: Literal["no", "yes", "auto"] = "no"
    """--resume alone goes on from the newest whole checkpoint, exactly; --resume auto starts a run where there is
    none yet, so that a job that is queued again can repeat its command"""
    held_out: str | None = None
    """prepared clips that are not trained on, or "synthetic" for other built-in clips; at every tick the
    discriminators judge some of them, so that a discriminator that remembers its clips shows"""
    weights: Path | None = None
    """file of the network's weights, for the protocol of --reporting.best"""
    best_data: str | None = None
    """prepared clips that --reporting.best measures against; those that are trained on without it"""
    init_from: Path | None = None
    """start a new run from the newest weights of this one, as far as names and shapes match; Adam starts anew"""
    init_checkpoint: str | None = None
    """with --init-from: best, last or the step of a checkpoint, as one that an alarm of the collapse detector kept"""
    tiny: bool = False
    """shrink the experiment until steps take seconds; its structure stays"""
    workers: int = 1
    """processes that read clips; 0 reads in the training process"""
    tensorboard: bool = False
    """write scalars, histograms of the discriminators' scores and animated samples into RUN/tensorboard (extra: log)"""
    minutes: float | None = None
    """stop each level after this time and count it as finished"""
    budget_hours: float | None = None
    """measure the step for 30 seconds, reading data left out, and set the number of steps so that training takes
    this time; designs are compared so at equal times (Luc et al. 2020, 4.2). --resume keeps the number"""
    level: int | None = None
    """train this level alone, upon those below it, which are finished in the run; all in order without"""
    steps: int | None = None
    """generator updates per level; short for --training.steps. A level has its own by --levels.N.steps"""
    seed: int | None = None
    """short for --training.seed"""
    # Switches of an experiment are written out: one that is on already could not be seen to be one otherwise.
    values: Annotated[Values, tyro.conf.arg(name=""), tyro.conf.FlagConversionOff]


def run(args: list[str]) -> int:
    """Parse ``args`` and train."""
    if not args or args[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if args else 2
    name, rest = args[0], args[1:]
    if name.startswith("-"):
        raise UserError(f"the preset comes first: vidgan train PRESET {' '.join(args[:2])} ...")
    experiment = preset(name)
    rest = resume_in_full(rest)
    if "--tiny" in rest:
        experiment = tiny(experiment)
    default = Options(data=tyro.MISSING, out=tyro.MISSING, values=values_of(experiment))
    options = parse(Options, f"train {name}", rest, default)
    return train(options, with_values(experiment, options.values))


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
