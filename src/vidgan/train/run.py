"""Training a run: its levels one after another, each resumed from its newest whole checkpoint."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from vidgan.data.dataset import Dataset
from vidgan.data.window import check_usable
from vidgan.errors import UserError
from vidgan.files import write_json
from vidgan.models.cascade import Settled
from vidgan.nn.statistics import SettledStatistics
from vidgan.run.best import best_of_run
from vidgan.run.checkpoints import Found, State, checkpoint_path, latest, prune, save
from vidgan.run.directory import RunDirectory
from vidgan.run.experiment import Experiment
from vidgan.run.logs import seconds_logged
from vidgan.run.pins import pins_of, require_same_below
from vidgan.run.statistics_file import statistics_hash, weights_hash
from vidgan.run.turns import main_first
from vidgan.sample.previews import write_previews
from vidgan.sample.published import GivenFrames, settled_on
from vidgan.sample.settling import label_counts, window_of
from vidgan.train.below import frozen_source
from vidgan.train.events import FOLDER, Events
from vidgan.train.faults import full_disk
from vidgan.train.held_out import HeldOut
from vidgan.train.initial import start_from
from vidgan.train.judging import NOTHING, Judge, Verdict
from vidgan.train.keeping import Keeper
from vidgan.train.level_state import LevelState
from vidgan.train.loop import train_level
from vidgan.train.progress import Progress, open_progress
from vidgan.train.replicas import Replicas
from vidgan.train.stopping import StopRequests, stop_requests


def train_run(
    run: RunDirectory,
    dataset: Dataset,
    replicas: Replicas,
    device: torch.device,
    workers: int,
    seconds: float | None = None,
    tensorboard: bool = False,
    held_out: HeldOut | None = None,
    judge: Judge | None = None,
    only: int | None = None,
) -> bool:
    """Train every level of ``run`` from where it stands.

    Args:
        dataset: the clips.
        workers: processes that read clips.
        seconds: stop a level after this time and count it as finished; None trains all steps.
        tensorboard: write event files too.
        held_out: real clips for the critics to judge that they are not trained on.
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
    below: list[Settled] = []
    labels, given = label_counts(experiment, dataset), GivenFrames.of(dataset)
    with stop_requests() as requests, full_disk():
        cut_logs(run, replicas)
        for index in experiment.rounds:
            state = LevelState(experiment, index, device)
            found = restore(run, state)
            if found is not None:
                require_same_below(found, below)
            if found is not None and replicas.main:
                for message in found.broken:
                    print(f"skipped a broken checkpoint: {message}", flush=True)
                verb = "is finished at" if is_finished(found, experiment) else "goes on from"
                name = "training" if experiment.joint else f"level {index + 1}"
                print(f"{name} {verb} step {state.step} ({found.path.name})", flush=True)
            if found is None and run.init_from is not None:
                message = start_from(state, run.init_from)
                if replicas.main:
                    print(message, flush=True)
            finished = found is not None and is_finished(found, experiment)
            if not finished and only is not None and index < only:
                raise UserError(
                    f"level {only + 1} needs level {index + 1} finished, which stands at step {state.step} of "
                    f"{experiment.steps_of(index)}: train that first, with --level {index + 1}"
                )
            if not finished:
                events = None
                if tensorboard and replicas.main:
                    events = Events(run.path / FOLDER, state.level, index, state.step)
                finished = _train(
                    run,
                    state,
                    dataset,
                    labels,
                    below,
                    replicas,
                    device,
                    workers,
                    seconds,
                    requests,
                    events,
                    held_out,
                    judge,
                )
            if not finished:
                return False
            feeds = index + 1 < len(experiment.levels)
            generators = state.published(experiment.below_averaged if feeds else True)
            for generator in generators:
                generator.requires_grad_(False)
            with main_first(replicas.main, replicas.wait):  # it writes the statistics
                below = settled_on(run, generators, below, labels, given, device)
            write_manifest(run, below, replicas)
            if index == only:
                break
    return True


def _train(
    run: RunDirectory,
    state: LevelState,
    dataset: Dataset,
    labels: Sequence[int],
    below: Sequence[Settled],
    replicas: Replicas,
    device: torch.device,
    workers: int,
    seconds: float | None,
    requests: StopRequests,
    events: Events | None,
    held_out: HeldOut | None,
    judge: Judge | None,
) -> bool:
    experiment = run.experiment
    training = experiment.training
    level = state.level
    source = None
    if level.below is not None:
        source = frozen_source(below, level.spec, level.below, training)
    label = f"{experiment.name} level {state.index + 1}" if len(experiment.rounds) > 1 else experiment.name
    clips_per_step = training.critic_updates * training.batch.global_batch
    shown = open_progress(
        label, experiment.steps_of(state.index), seconds, state.step, clips_per_step, replicas.main
    )
    spent = seconds_logged(run.log.path, state.index + 1)
    with shown as progress:
        watcher = RunWatcher(
            run,
            state.index,
            dataset,
            labels,
            below,
            replicas,
            progress,
            seconds,
            requests,
            spent,
            events,
            judge,
        )
        try:
            train_level(experiment, state, dataset, source, replicas, watcher, workers, device, held_out)
        finally:
            if events is not None:
                events.close()
    # Asked of all: a replica that went on alone would wait for one that has left.
    interrupted = replicas.any(requests.name is not None)
    if interrupted and replicas.main:
        cause = requests.name or "a signal to another process"
        print(f"stopped by {cause} at step {state.step}, all saved; go on with --resume", flush=True)
    return not interrupted


class RunWatcher:
    """Writes logs, checkpoints and samples of a level in training; see :class:`vidgan.train.loop.Watcher`."""

    def __init__(
        self,
        run: RunDirectory,
        index: int,
        dataset: Dataset,
        labels: Sequence[int],
        below: Sequence[Settled],
        replicas: Replicas,
        progress: Progress,
        seconds: float | None,
        requests: StopRequests,
        spent: float,
        events: Events | None = None,
        judge: Judge | None = None,
    ) -> None:
        self.run, self.dataset, self.labels, self.below = run, dataset, labels, below
        self.replicas, self.progress, self.requests = replicas, progress, requests
        self.events, self.judges = events, judge
        self.began = time.monotonic()
        self.deadline = None if seconds is None else self.began + seconds
        self.pins = pins_of(below)
        self.spent = spent  # seconds that earlier processes trained this level
        self.keeper = Keeper(run, index + 1)
        self.alarms: list[dict[str, Any]] = []

    def tick(self, index: int, step: int, clips: int, scalars: Mapping[str, float]) -> None:
        """Append a line to the log and show it."""
        if self.replicas.main:
            self.alarms = self.keeper.see(step, scalars, self._best(index))
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
        if not self.replicas.main:
            return
        facts = {
            "level": state.index + 1,
            "step": state.step,
            "finished": finished,
            "asked": self.run.experiment.steps_of(state.index),
            "labels": list(self.labels),
            "below": self.pins,
        }
        path = checkpoint_path(self.run.checkpoints, state.index + 1, state.step)
        save(path, State(state.tensors(), facts))
        reporting = self.run.experiment.reporting
        best = self._best(state.index)
        kept = self.keeper.kept() | ({best} if best is not None else set())
        prune(self.run.checkpoints, state.index + 1, reporting.keep, kept)

    def samples(self, state: LevelState) -> None:
        """Write a grid of samples from fixed latents."""
        if self.replicas.main:
            generators = state.published()
            write_previews(
                self.run, state.index, generators, state.step, self.below, self.labels, self.dataset
            )
        if self.events is not None:
            name = f"level{state.index + 1}-step{state.step:08d}.webp"
            self.events.samples(state.step, self.run.samples / "fixed" / name)

    def judge(self, state: LevelState) -> Verdict:
        """Measure by the run's own protocol, where it has one and it is time."""
        if self.judges is None:
            return NOTHING
        verdict = self.judges.judge(state, self.below, self.labels)
        if self.replicas.main and verdict.enough:
            spec = self.judges.spec
            self.progress.say(f"no better {spec.protocol} in {spec.patience} evaluations: training ends here")
        return verdict

    def _best(self, index: int) -> int | None:
        """Step of the best checkpoint, on the level that is measured."""
        if index + 1 < len(self.run.experiment.levels):
            return None
        best = best_of_run(self.run)
        return None if best is None else best.step

    def collapsed(self) -> bool:
        """Whether the last tick gave alarm and the run is to stop then."""
        return bool(self.alarms) and self.run.experiment.reporting.watch.stop

    def interrupted(self) -> bool:
        """Whether a signal came."""
        return self.requests.name is not None

    def over(self) -> bool:
        """Whether the time budget is used up."""
        return self.deadline is not None and time.monotonic() >= self.deadline


def restore(run: RunDirectory, state: LevelState) -> Found | None:
    """Load the newest whole checkpoint of a level into ``state``; None where there is none."""
    found = latest(run.checkpoints, state.index + 1)
    if found is not None:
        state.restore(found.state.tensors, found.state.facts["step"])
    return found


def is_finished(found: Found, experiment: Experiment) -> bool:
    """Whether a level ended by its last step or its time, and no more steps have been asked for since."""
    facts = found.state.facts
    return bool(facts["finished"]) and facts["asked"] == experiment.steps_of(facts["level"] - 1)


def cut_logs(run: RunDirectory, replicas: Replicas) -> None:
    """Drop what was logged after each level's newest whole checkpoint: those steps will be done again.

    Evaluations up to the top level's checkpoint stay: training does not write them anew.
    """
    if replicas.main:
        newest = [latest(run.checkpoints, index + 1) for index in range(len(run.experiment.levels))]
        steps = [0 if found is None else int(found.state.facts["step"]) for found in newest]
        run.log.cut(lambda line: bool(line["step"] <= steps[line["level"] - 1]))
        run.metrics.cut(lambda line: bool(line["step"] <= steps[-1]))
    replicas.wait()


def write_manifest(run: RunDirectory, levels: Sequence[Settled], replicas: Replicas) -> None:
    """Pin by hash which weights and statistics stand for each finished level, and which fed it."""
    if not replicas.main:
        return
    experiment = run.experiment
    held = [latest(run.checkpoints, experiment.round_of(index) + 1) for index in range(len(levels))]
    last = len(experiment.levels) - 1
    entries = []
    for index, (level, found) in enumerate(zip(levels, held, strict=True)):
        assert isinstance(level.statistics, SettledStatistics)
        averaged = experiment.training.average is not None
        feeds = index < last and not experiment.joint
        entries.append(
            {
                "level": index + 1,
                "checkpoint": None if found is None else found.path.name,
                "averaged": experiment.below_averaged if feeds else averaged,
                "weights": weights_hash(level.generator),
                "statistics": statistics_hash(level.statistics.table),
                "below": [] if experiment.joint else pins_of(levels[:index]),
            }
        )
    write_json(run.manifest, entries)


def with_data(experiment: Experiment, classes: int) -> Experiment:
    """The experiment for data with this many classes; a class-free one stays at one."""
    return experiment.replace(classes=classes if experiment.conditional else 1)
