"""Training a run: its levels one after another, and what happens around their steps."""

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

import torch

from vidgan.data.dataset import Dataset
from vidgan.data.window import check_usable
from vidgan.errors import UserError
from vidgan.files import write_json
from vidgan.models.cascade import FrozenLevel
from vidgan.nn.norm import StandingStatistics
from vidgan.run.checkpoints import (
    LoadedCheckpoint,
    State,
    checkpoint_path,
    latest,
    parent_hashes,
    prune,
    require_same_below,
    save,
    statistics_hash,
    weights_hash,
)
from vidgan.run.directory import RunDirectory
from vidgan.run.distributed import Replicas, rank_zero_first
from vidgan.run.experiment import Experiment, label_counts, window_of
from vidgan.run.logs import seconds_logged
from vidgan.sample.previews import write_previews
from vidgan.sample.standing import GivenFrames, StatisticsStore, frozen_levels
from vidgan.train.initial import start_from
from vidgan.train.logging import FOLDER, Events, Progress, open_progress
from vidgan.train.loop import full_disk, train_level
from vidgan.train.monitor import HeldOut
from vidgan.train.trainer import LevelState, frozen_source
from vidgan.train.validate import NOTHING, CheckpointRetention, Validation, Validator

SAID = "{}: training stops after this step and saves; Ctrl-C again ends it at once, unsaved\n"


class StopRequests:
    """Remembers the signal that asks to stop.

    Args:
        speaks: say on standard error that it came; a step of a large model takes a while.
    """

    def __init__(self, speaks: bool) -> None:
        self.speaks = speaks
        self.name: str | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: stop after the current step. A second Ctrl-C acts at once; SIGTERM may come twice, from a
        scheduler to all processes of a job and from a launcher that passes it on."""
        if self.name is not None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        self.name = signal.Signals(number).name
        if self.speaks:
            os.write(2, SAID.format(self.name).encode())  # print may be what the signal interrupted


@contextmanager
def stop_requests(speaks: bool) -> Iterator[StopRequests]:
    """SIGTERM and Ctrl-C end training after the current step while this is open."""
    requests = StopRequests(speaks)
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, requests.note) for number in numbers]
    try:
        yield requests
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


class TrainContext(NamedTuple):
    """One process's turn at training a run: what is the same for all of its levels."""

    run: RunDirectory
    dataset: Dataset
    labels: Sequence[int]
    """clips of every class"""
    replicas: Replicas
    device: torch.device
    workers: int
    """processes that read clips"""
    seconds: float | None
    """after which a level ends and counts as finished"""
    tensorboard: bool
    held_out: HeldOut | None
    judge: Validator | None
    requests: StopRequests


class RunCallback:
    """Writes logs, checkpoints and samples of a level in training; see :class:`vidgan.train.loop.Watcher`."""

    def __init__(
        self,
        context: TrainContext,
        index: int,
        below: Sequence[FrozenLevel],
        progress: Progress,
        events: Events | None,
    ) -> None:
        self.context, self.below, self.progress, self.events = context, below, progress, events
        self.run, self.is_rank_zero = context.run, context.replicas.is_rank_zero
        self.began = time.monotonic()
        self.deadline = None if context.seconds is None else self.began + context.seconds
        self.parent_hashes = parent_hashes([level.generator for level in below])
        self.spent = seconds_logged(context.run.log.path, index + 1)  # by earlier processes, on this level
        self.keeper = CheckpointRetention(context.run, index + 1)
        self.alarms: list[dict[str, Any]] = []

    def tick(self, index: int, step: int, clips: int, scalars: Mapping[str, float]) -> None:
        """Append a line to the log and show it."""
        if self.is_rank_zero:
            self.alarms = self.keeper.see(step, scalars)
            line = {
                "level": index + 1,
                "step": step,
                "clips": clips,
                "seconds": round(self.spent + time.monotonic() - self.began, 2),
                "scalars": dict(scalars),
            }
            self.run.log.append(line | ({"alarms": self.alarms} if self.alarms else {}))
            self.progress.tick(step, clips, scalars)
            for alarm in self.alarms:
                self.progress.say(self.keeper.words(alarm))
        if self.events is not None:
            self.events.tick(step, scalars)

    def checkpoint(self, state: LevelState, finished: bool) -> None:
        """Save all state, whole or not at all, and remove old checkpoints."""
        if not self.is_rank_zero:
            return
        facts = {
            "level": state.index + 1,
            "step": state.step,
            "finished": finished,
            "asked": self.run.experiment.steps_of(state.index),
            "labels": list(self.context.labels),
            "below": self.parent_hashes,
        }
        path = checkpoint_path(self.run.checkpoints, state.index + 1, state.step)
        save(path, State(state.tensors(), facts))
        reporting = self.run.experiment.reporting
        prune(self.run.checkpoints, state.index + 1, reporting.keep, self.keeper.kept())

    def samples(self, state: LevelState) -> None:
        """Write a grid of samples from fixed latents."""
        if self.is_rank_zero:
            generators = state.sampling_generators()
            write_previews(
                self.run,
                state.index,
                generators,
                state.step,
                self.below,
                self.context.labels,
                self.context.dataset,
            )
        if self.events is not None:
            name = f"level{state.index + 1}-step{state.step:08d}.webp"
            self.events.samples(state.step, self.run.samples / "fixed" / name)

    def judge(self, state: LevelState) -> Validation:
        """Measure by the run's own protocol, where it has one and it is time."""
        judge = self.context.judge
        if judge is None:
            return NOTHING
        verdict = judge.judge(state, self.below, self.context.labels)
        if verdict.said:
            self.progress.say(f"step {state.step}  {verdict.said}")
        return verdict

    def collapsed(self) -> bool:
        """Whether the last tick gave alarm and the run is to stop then."""
        return bool(self.alarms) and self.run.experiment.reporting.collapse.stop

    def interrupted(self) -> bool:
        """Whether a signal came."""
        return self.context.requests.name is not None

    def over(self) -> bool:
        """Whether the time budget is used up."""
        return self.deadline is not None and time.monotonic() >= self.deadline


def train_run(
    run: RunDirectory,
    dataset: Dataset,
    replicas: Replicas,
    device: torch.device,
    workers: int,
    seconds: float | None = None,
    tensorboard: bool = False,
    held_out: HeldOut | None = None,
    judge: Validator | None = None,
    only: int | None = None,
) -> bool:
    """Train every level of ``run`` from where it stands.

    Args:
        dataset: the clips.
        workers: processes that read clips.
        seconds: stop a level after this time and count it as finished; None trains all steps.
        tensorboard: write event files too.
        held_out: real clips for the discriminators to judge that they are not trained on.
        judge: measures the run now and then, to find its best checkpoint.
        only: the one level to train (from 0), upon those below it; None trains all.

    Returns:
        True if the run is finished, False if it was told to stop (SIGTERM or Ctrl-C) and saved.

    Raises:
        UserError: if the data do not fit, a loss is not finite, or a level below ``only`` is not finished.
    """
    experiment = run.experiment
    for index in experiment.rounds:
        check_usable(dataset, window_of(experiment, index))
    below: Sequence[FrozenLevel] = ()
    labels, given = label_counts(experiment, dataset), GivenFrames.of(dataset)
    store = StatisticsStore(write=run.statistics)
    with stop_requests(replicas.is_rank_zero) as requests, full_disk():
        context = TrainContext(
            run,
            dataset,
            labels,
            replicas,
            device,
            workers,
            seconds,
            tensorboard,
            held_out,
            judge,
            requests,
        )
        cut_logs(run, replicas)
        for index in experiment.rounds:
            state = LevelState(experiment, index, device)
            found = restore(run, state)
            if found is not None:
                require_same_below(found, [level.generator for level in below])
            if found is not None and replicas.is_rank_zero:
                for message in found.broken:
                    print(f"skipped a broken checkpoint: {message}", flush=True)
                verb = "is finished at" if is_finished(found, experiment) else "goes on from"
                name = "training" if experiment.joint else f"level {index + 1}"
                print(f"{name} {verb} step {state.step} ({found.path.name})", flush=True)
            if found is None and run.init_from is not None:
                message = start_from(state, run.init_from)
                if replicas.is_rank_zero:
                    print(message, flush=True)
            finished = found is not None and is_finished(found, experiment)
            if not finished and only is not None and index < only:
                raise UserError(
                    f"level {only + 1} needs level {index + 1} finished, which stands at step {state.step} of "
                    f"{experiment.steps_of(index)}: train that first, with --level {index + 1}"
                )
            if not finished:
                finished = _train(context, state, below)
            if not finished:
                return False
            feeds = index + 1 < len(experiment.levels)
            own = state.sampling_generators(experiment.below_averaged if feeds else True)
            generators = [*(level.generator for level in below), *own]
            for generator in generators:
                generator.requires_grad_(False)
            with rank_zero_first(replicas.is_rank_zero, replicas.wait):  # it writes the statistics
                below = frozen_levels(experiment, generators, labels, given, store)
            write_manifest(run, below, replicas)
            if index == only:
                break
    return True


def _train(context: TrainContext, state: LevelState, below: Sequence[FrozenLevel]) -> bool:
    """Train a level; whether it came to its end."""
    run, replicas, requests = context.run, context.replicas, context.requests
    experiment, training, level = run.experiment, run.experiment.training, state.level
    source = None
    if level.below is not None:
        source = frozen_source(below, level.spec, level.below, training)
    label = f"{experiment.name} level {state.index + 1}" if len(experiment.rounds) > 1 else experiment.name
    clips_per_step = training.discriminator_updates * training.batch.global_batch
    steps = experiment.steps_of(state.index)
    shown = open_progress(label, steps, context.seconds, state.step, clips_per_step, replicas.is_rank_zero)
    events = None
    if context.tensorboard and replicas.is_rank_zero:
        events = Events(run.path / FOLDER, level, state.index, state.step)
    with shown as progress:
        if replicas.is_rank_zero:  # of a large model, the first figures are a long time in coming
            every = (experiment.reporting.tick, experiment.reporting.checkpoint)
            first = min(steps, *(state.step // n * n + n for n in every))
            progress.say(f"{label}: steps {state.step:,} to {steps:,}; first figures at step {first:,}")
        callback = RunCallback(context, state.index, below, progress, events)
        try:
            train_level(
                experiment,
                state,
                context.dataset,
                source,
                replicas,
                callback,
                context.workers,
                context.device,
                context.held_out,
            )
        finally:
            if events is not None:
                events.close()
    # Asked of all: a replica that went on alone would wait for one that has left.
    interrupted = replicas.any(requests.name is not None)
    if interrupted and replicas.is_rank_zero:
        cause = requests.name or "a signal to another process"
        print(f"stopped by {cause} at step {state.step}, all saved; go on with --resume", flush=True)
    return not interrupted


def restore(run: RunDirectory, state: LevelState) -> LoadedCheckpoint | None:
    """Load the newest whole checkpoint of a level into ``state``; None where there is none."""
    found = latest(run.checkpoints, state.index + 1)
    if found is not None:
        state.restore(found.state.tensors, found.state.facts["step"])
    return found


def is_finished(found: LoadedCheckpoint, experiment: Experiment) -> bool:
    """Whether a level ended by its last step or its time, and no more steps have been asked for since."""
    facts = found.state.facts
    return bool(facts["finished"]) and facts["asked"] == experiment.steps_of(facts["level"] - 1)


def cut_logs(run: RunDirectory, replicas: Replicas) -> None:
    """Drop what was logged after each level's newest whole checkpoint: those steps will be done again.

    Evaluations up to the top level's checkpoint stay: training does not write them anew.
    """
    if replicas.is_rank_zero:
        newest = [latest(run.checkpoints, index + 1) for index in range(len(run.experiment.levels))]
        steps = [0 if found is None else int(found.state.facts["step"]) for found in newest]
        run.log.cut(lambda line: bool(line["step"] <= steps[line["level"] - 1]))
        run.metrics.cut(lambda line: bool(line["step"] <= steps[-1]))
    replicas.wait()


def write_manifest(run: RunDirectory, levels: Sequence[FrozenLevel], replicas: Replicas) -> None:
    """Pin by hash which weights and statistics stand for each finished level, and which fed it."""
    if not replicas.is_rank_zero:
        return
    experiment = run.experiment
    held = [latest(run.checkpoints, experiment.round_of(index) + 1) for index in range(len(levels))]
    last = len(experiment.levels) - 1
    entries = []
    for index, (level, found) in enumerate(zip(levels, held, strict=True)):
        assert isinstance(level.statistics, StandingStatistics)
        averaged = experiment.training.average is not None
        feeds = index < last and not experiment.joint
        entries.append(
            {
                "level": index + 1,
                "checkpoint": None if found is None else found.path.name,
                "averaged": experiment.below_averaged if feeds else averaged,
                "weights": weights_hash(level.generator),
                "statistics": statistics_hash(level.statistics.table),
                "below": []
                if experiment.joint
                else parent_hashes([level.generator for level in levels[:index]]),
            }
        )
    write_json(run.manifest, entries)


def with_data(experiment: Experiment, classes: int) -> Experiment:
    """The experiment for data with this many classes; a class-free one stays at one."""
    return experiment.replace(classes=classes if experiment.conditional else 1)
