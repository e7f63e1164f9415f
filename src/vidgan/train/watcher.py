"""What happens around the steps of a level in training: logs, checkpoints, samples, evaluations, and when to stop."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from vidgan.data.dataset import Dataset
from vidgan.models.cascade import Settled
from vidgan.run.checkpoints import State, checkpoint_path, prune, save
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import seconds_logged
from vidgan.run.pins import pins_of
from vidgan.sample.previews import write_previews
from vidgan.train.events import Events
from vidgan.train.held_out import HeldOut
from vidgan.train.judging import NOTHING, Judge, Verdict
from vidgan.train.keeping import Keeper
from vidgan.train.level_state import LevelState
from vidgan.train.progress import Progress
from vidgan.train.replicas import Replicas
from vidgan.train.stopping import StopRequests


class Session(NamedTuple):
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
    judge: Judge | None
    requests: StopRequests


class RunWatcher:
    """Writes logs, checkpoints and samples of a level in training; see :class:`vidgan.train.loop.Watcher`."""

    def __init__(
        self,
        session: Session,
        index: int,
        below: Sequence[Settled],
        progress: Progress,
        events: Events | None,
    ) -> None:
        self.session, self.below, self.progress, self.events = session, below, progress, events
        self.run, self.main = session.run, session.replicas.main
        self.began = time.monotonic()
        self.deadline = None if session.seconds is None else self.began + session.seconds
        self.pins = pins_of(below)
        self.spent = seconds_logged(session.run.log.path, index + 1)  # by earlier processes, on this level
        self.keeper = Keeper(session.run, index + 1)
        self.alarms: list[dict[str, Any]] = []

    def tick(self, index: int, step: int, clips: int, scalars: Mapping[str, float]) -> None:
        """Append a line to the log and show it."""
        if self.main:
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
        if not self.main:
            return
        facts = {
            "level": state.index + 1,
            "step": state.step,
            "finished": finished,
            "asked": self.run.experiment.steps_of(state.index),
            "labels": list(self.session.labels),
            "below": self.pins,
        }
        path = checkpoint_path(self.run.checkpoints, state.index + 1, state.step)
        save(path, State(state.tensors(), facts))
        reporting = self.run.experiment.reporting
        prune(self.run.checkpoints, state.index + 1, reporting.keep, self.keeper.kept())

    def samples(self, state: LevelState) -> None:
        """Write a grid of samples from fixed latents."""
        if self.main:
            generators = state.published()
            write_previews(
                self.run,
                state.index,
                generators,
                state.step,
                self.below,
                self.session.labels,
                self.session.dataset,
            )
        if self.events is not None:
            name = f"level{state.index + 1}-step{state.step:08d}.webp"
            self.events.samples(state.step, self.run.samples / "fixed" / name)

    def judge(self, state: LevelState) -> Verdict:
        """Measure by the run's own protocol, where it has one and it is time."""
        judge = self.session.judge
        if judge is None:
            return NOTHING
        verdict = judge.judge(state, self.below, self.session.labels)
        if verdict.said:
            self.progress.say(f"step {state.step}  {verdict.said}")
        return verdict

    def collapsed(self) -> bool:
        """Whether the last tick gave alarm and the run is to stop then."""
        return bool(self.alarms) and self.run.experiment.reporting.watch.stop

    def interrupted(self) -> bool:
        """Whether a signal came."""
        return self.session.requests.name is not None

    def over(self) -> bool:
        """Whether the time budget is used up."""
        return self.deadline is not None and time.monotonic() >= self.deadline
