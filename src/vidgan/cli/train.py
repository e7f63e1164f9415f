"""``vidgan train PRESET``: trains an experiment and writes everything into a run directory."""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import torch

from vidgan.cli.cache import Caching, held_text
from vidgan.cli.experiment import OfExperiment, parse_with_values
from vidgan.cli.parse import option_set
from vidgan.cli.shared import Device, at_least, positive, refuse_idle
from vidgan.errors import UserError
from vidgan.evaluation.protocols.base import Resources
from vidgan.files import default_cache
from vidgan.names import tell
from vidgan.report.words import duration
from vidgan.run.best import best_of_run
from vidgan.run.collapse import alarms_in
from vidgan.run.data import hold, open_data
from vidgan.run.directory import Budget, InitFrom, RunDirectory
from vidgan.run.distributed import Replicas, ending_together, join_replicas
from vidgan.run.experiment import Experiment
from vidgan.run.logs import read_ticks
from vidgan.run.watch import IDLE, STALL
from vidgan.train.budget import measure_budget
from vidgan.train.callbacks import Callback
from vidgan.train.initial import origin_of
from vidgan.train.tensorboard import TensorBoardTracker
from vidgan.train.trackers import MlflowTracker, Tracker, Tracking, TrackioTracker, WandbTracker
from vidgan.train.trainer import Trainer
from vidgan.train.validate import Validator

OPENING: Final = "opening data"
"""what hangs, in words, where it hangs there"""


@option_set
class Options(OfExperiment, Device, Caching):
    """Trains PRESET on a dataset: a preset's name, FILE.py:NAME or FILE.json.

    Every value of the experiment is an option too: vidgan train PRESET --help lists them.
    """

    data: str
    """prepared data or their URL, FILE.py:NAME, or built-in clips: synthetic, synthetic-textured, synthetic-open"""
    out: Path
    """run directory; new or empty unless --resume is given"""
    resume: Literal["no", "yes", "auto"] = "no"
    """alone: resume from the newest whole checkpoint, exactly; auto: start a run where there is none yet"""
    steps: int | None = None
    """generator updates per level (--training.steps)"""
    seed: int | None = None
    """of everything random (--training.seed)"""
    level: int | None = None
    """train this level alone, upon finished ones"""
    minutes: float | None = None
    """stop each level after this time and count it as finished"""
    budget_hours: float | None = None
    """measure a step, and train as many as fit into this time"""
    held_out: str | None = None
    """clips that are not trained on; some are scored at every tick"""
    skip_short: bool = False
    """leave out clips with too few frames"""
    best_data: str | None = None
    """what evaluations while training measure against (--data)"""
    weights: Path | None = None
    """file of the network's weights for evaluations"""
    init_from: Path | None = None
    """start from the weights of a run or model, where they fit"""
    init_checkpoint: str | None = None
    """with --init-from: best, last or a step (last)"""
    workers: int = 1
    """processes that read clips, or 0"""
    stall_minutes: float = STALL / 60
    """a longer step of several processes ends all"""
    idle_minutes: float = IDLE / 60
    """so does one that stands still between steps"""
    tracker: tuple[Literal["tensorboard", "wandb", "trackio", "mlflow"], ...] = ()
    """also keep a record in these (extras; of the first: log)"""


def run(args: list[str]) -> int:
    """Parse ``args`` and train."""
    options, experiment = parse_with_values(Options, "train", resume_in_full(args))
    if options.held is not None:
        refuse_idle(args, "with --cache, which reads no clips while it trains", "--workers")
    return train(options, experiment)


def resume_in_full(args: list[str]) -> list[str]:
    """``--resume`` alone stands for ``--resume yes``."""
    choices = ("no", "yes", "auto")
    found = []
    for arg, following in itertools.pairwise([*args, ""]):
        found += [arg, "yes"] if arg == "--resume" and following not in choices else [arg]
    return found


def train(options: Options, experiment: Experiment) -> int:
    """Train ``experiment`` as ``options`` say; 0 when finished or stopped by a signal with all saved."""
    experiment = asked_for(options, experiment)
    positive("--stall-minutes", options.stall_minutes)
    positive("--idle-minutes", options.idle_minutes)
    replicas = join_replicas(60 * options.stall_minutes, idle=60 * options.idle_minutes)
    with ending_together(replicas):
        train_as(replicas, options, experiment)
    return 0


def train_as(replicas: Replicas, options: Options, experiment: Experiment) -> None:
    """Train as one of ``replicas``."""
    device = options.place
    if replicas.is_rank_zero:
        require_run(options)
    with replicas.during(OPENING):
        dataset = open_data(options.data, experiment)
    experiment = experiment.for_classes(len(dataset.classes))
    if options.held is not None:
        with replicas.during(OPENING):
            dataset = held = hold(dataset, experiment, options.held, device, options.skip_short)
        if replicas.is_rank_zero:
            tell(held_text(len(held), held.bytes, f"on {held.place} of each process"), flush=True)
    budget = None
    if options.budget_hours is not None:
        budget = budget_of(options, experiment, options.budget_hours, replicas, device)
        experiment = experiment.replace(training=experiment.training.replace(steps=budget.steps))
    trainer = Trainer(
        experiment,
        dataset,
        options.out,
        level=None if options.level is None else options.level - 1,
        device=device,
        workers=options.workers,
        held_out=options.held_out,
        skip_short=options.skip_short,
        init_from=origin(options),
        callbacks=trackers_of(options),
        validator=validator_of(options, experiment, device),
        budget=budget,
        replicas=replicas,
    )
    if trainer.fit(minutes=options.minutes) and replicas.is_rank_zero:
        tell(what_next(options, trainer))


def asked_for(options: Options, experiment: Experiment) -> Experiment:
    """The experiment with the values that have short options, which are checked beside the others.

    Raises:
        UserError: for options that are impossible, alone or together.
    """
    at_least("--workers", options.workers, 0, 1000)
    if options.minutes is not None:
        positive("--minutes", options.minutes)
    training = experiment.training
    if options.steps is not None:
        at_least("--steps", options.steps, 1)
        training = training.replace(steps=options.steps)
    if options.seed is not None:
        training = training.replace(seed=options.seed)
    if options.init_checkpoint is not None and options.init_from is None:
        raise UserError(
            "--init-checkpoint says which weights of --init-from to take: name the run by --init-from"
        )
    if options.budget_hours is not None:
        positive("--budget-hours", options.budget_hours)
        if options.steps is not None:
            raise UserError("--steps and --budget-hours both set the number of steps: give one of them")
    evaluates = experiment.reporting.protocols
    if not evaluates and (options.best_data is not None or options.weights is not None):
        raise UserError("--best-data and --weights are for evaluations: name a --reporting.best.protocol")
    return experiment.replace(training=training)


def validator_of(options: Options, experiment: Experiment, device: torch.device) -> Validator:
    """What measures the run while it trains, where ``--reporting`` names protocols."""
    against = None if options.best_data is None else open_data(options.best_data, experiment)
    return Validator(against, Resources(weights=options.weights, device=device), default_cache())


TRACKERS: Final[dict[str, Callable[[], Tracker]]] = {
    "tensorboard": TensorBoardTracker,
    "wandb": WandbTracker,
    "trackio": TrackioTracker,
    "mlflow": MlflowTracker,
}


def trackers_of(options: Options) -> list[Callback]:
    """What ``--tracker`` names; raises :class:`UserError` where a package is missing."""
    found: list[Callback] = []
    for name in dict.fromkeys(options.tracker):
        tracker = TRACKERS[name]()
        tracker.require()
        found.append(Tracking(tracker))
    return found


def require_run(options: Options) -> None:
    """Raise :class:`UserError` unless ``--resume`` and what there is in the folder fit each other."""
    if options.resume == "no":
        RunDirectory.require_free(options.out)
    elif not resumes(options) and options.resume == "yes":
        raise UserError(f"there is no run in {options.out} to resume; --resume auto would start one")
    elif not resumes(options):
        tell(f"no run in {options.out} yet: starting one", to=sys.stderr)


def resumes(options: Options) -> bool:
    """Whether there is a run that is to be resumed."""
    return options.resume != "no" and (options.out / "experiment.json").exists()


def origin(options: Options) -> InitFrom | None:
    """The weights that a new run starts from; None: random ones, or those of the run that is resumed."""
    if options.init_from is None or resumes(options):
        return None
    return origin_of(options.init_from, options.init_checkpoint)


def what_next(options: Options, trainer: Trainer) -> str:
    """What was trained, and the command that comes after it."""
    experiment, run = trainer.experiment, trainer.run
    assert run is not None
    levels = len(experiment.levels)
    if options.level not in (None, levels):
        return f"trained level {options.level} of {levels}; next: --level {options.level + 1} --resume"
    if experiment.levels[0].context_frames:
        following = f"predict {options.out} VIDEO --out futures"
    else:
        best = "" if best_of_run(run) is None else " --checkpoint best"
        following = f"sample {options.out} --out {run.samples / 'classes'} --format webp{best}"
    told = f"trained: {options.out}{alarms_told(run)}"
    return f"{told}; next: vidgan {following}, then vidgan report {options.out}"


def alarms_told(run: RunDirectory) -> str:
    """A reminder of what the collapse detector has said; empty where it said nothing."""
    lines = read_ticks(run.log.path)
    told = [alarm["rule"] for index in run.experiment.rounds for alarm in alarms_in(lines, index + 1)]
    return f", with alarm by {', '.join(dict.fromkeys(told))} (log.jsonl)" if told else ""


def budget_of(
    options: Options, experiment: Experiment, hours: float, replicas: Replicas, device: torch.device
) -> Budget:
    """How many steps fit into ``hours``: measured now, or when the run started.

    Raises:
        UserError: if a run is to be resumed that started with another budget, or the step cannot be measured.
    """
    if resumes(options):
        known = RunDirectory.open(options.out).budget
        if known is None or known.hours != hours:
            began = "without --budget-hours" if known is None else f"with --budget-hours {known.hours:g}"
            raise UserError(f"{options.out} was started {began}; --steps changes how long it trains")
        return known
    RunDirectory.require_free(options.out)  # before half a minute is spent
    budget = measure_budget(experiment, hours, replicas, device)
    if replicas.is_rank_zero:
        tell(
            f"a step takes {budget.step_seconds:.4g} s (mean of {budget.measured}, reading data left out): "
            f"{budget.steps} steps fit into {duration(3600 * hours)}",
            flush=True,
        )
    return budget
