"""The loop of a level: steps, ticks and checkpoints, and what ends it before its time.

Signals, a full disk, too little memory, losses that are not finite, clips that cannot be read: each either leaves the
last checkpoint as it is or saves one, and says which.
"""

import errno
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import FrameType

from torch import Tensor

from vidgan.errors import UserError
from vidgan.run.batch import evenly
from vidgan.run.checkpoints import steps_of
from vidgan.run.distributed import Replicas
from vidgan.train.callbacks import TrainContext
from vidgan.train.memory import saved_if_short_of_memory
from vidgan.train.monitor import Monitor

FULL = (errno.ENOSPC, errno.EDQUOT)
"""system errors of a disk that takes no more"""
SIGNALLED = "{}: training stops after this step and saves; Ctrl-C again ends it at once\n"


class UnreadableClipsError(UserError):
    """Clips could not be read, so a step was not begun."""


def train_level(trainer: TrainContext) -> bool:
    """Train the level of ``trainer`` to its last step, or until some process ends it; False if it was told to stop."""
    state, replicas, requests = trainer.state, trainer.replicas, trainer.requests
    reporting, steps, first = (
        trainer.experiment.reporting,
        trainer.experiment.steps_of(state.index),
        state.steps,
    )
    deadline = None if trainer.minutes is None else time.monotonic() + 60 * trainer.minutes
    meter = Meter()
    requests.finish = requests.keep = False
    try:
        for callback in trainer.callbacks:
            callback.on_level_start(trainer)
        while state.steps < steps and not trainer.ending:
            monitor = Monitor() if (state.steps + 1) % reporting.tick == 0 else None
            try:
                with replicas.watch.step() if replicas.watch is not None else nullcontext():
                    scalars = trainer.step(monitor)
            except UnreadableClipsError as error:
                if state.steps == first:  # nothing has been learnt since the last checkpoint
                    raise
                raise saved_before(error, trainer, meter) from error
            meter.add(scalars)
            # Decided once, by all processes together: what is saved must be what happens, whatever time samples take.
            over = requests.finish or (deadline is not None and time.monotonic() >= deadline)
            stopped, over = replicas.agree(requests.stop is not None, over)
            trainer.finished = state.steps >= steps or (over and not stopped)
            trainer.ending = trainer.finished or stopped
            saves = state.steps % reporting.checkpoint == 0 or state.steps in reporting.keep_at
            looks = any(callback.looks(trainer) for callback in trainer.callbacks)
            saved = saves or looks or trainer.ending
            if state.steps % reporting.tick == 0 or saved:
                tick(trainer, meter, monitor)
            finished = trainer.finished
            if saved:  # before callbacks that look at the step, which takes long and may fail
                trainer.save()
            if stopped and trainer.run is not None:  # whoever stops it may have seconds
                trainer.say(f"step {state.steps} is saved; writing samples, which Ctrl-C ends at once")
            with saved_if_short_of_memory(trainer, saved):
                for callback in trainer.callbacks:
                    callback.on_step(trainer, scalars)
            keeps, over = replicas.agree(requests.keep, requests.finish)
            requests.keep = False
            trainer.finished, trainer.ending = trainer.finished or over, trainer.ending or over
            if ((keeps or trainer.ending) and not saved) or trainer.finished != finished:
                trainer.save()
    finally:
        trainer.ending = False
        for callback in trainer.callbacks:
            callback.on_level_end(trainer)
    cause, requests.stop = requests.stop, None
    (stopped,) = replicas.agree(cause is not None)
    if stopped:
        cause = cause or "a signal to another process"
        trainer.say(f"stopped by {cause} at step {state.steps}, all saved; resume with --resume")
    trainer.finished = trainer.finished or not stopped
    return not stopped


def tick(trainer: TrainContext, meter: "Meter", monitor: Monitor | None) -> None:
    """Tell callbacks the means since the last tick; they, and losses that are not finite, may end training."""
    state, replicas, fault = trainer.state, trainer.replicas, None
    clips = len(evenly(state.batch.global_batch, replicas.size)[replicas.rank])
    means = meter.take(replicas, clips)
    if monitor is not None:
        means |= monitor.take(state.level, replicas)
    for callback in trainer.callbacks if means else ():
        try:
            callback.on_tick(trainer, means)
        except UserError as error:
            fault = error
    check_finite(means, state.steps, kept(trainer))
    if (shared := replicas.share_fault(fault)) is not None:
        trainer.finished = False
        trainer.save()
        raise shared


def saved_before(cause: UserError, trainer: TrainContext, meter: "Meter") -> UserError:
    """Between two steps, save all; the error that says so."""
    tick(trainer, meter, None)
    trainer.save()
    steps = trainer.state.steps
    return UserError(f"{cause}. Training stopped at step {steps}, all saved: then resume with --resume")


class Meter:
    """Sums of scalars on the device; looked at only at a tick, so that no step waits."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps: dict[str, int] = {}

    def add(self, scalars: Mapping[str, Tensor]) -> None:
        """Add one step's scalars; a loss that begins in mid-training is not in all of them."""
        for name, value in scalars.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._steps[name] = self._steps.get(name, 0) + 1

    def take(self, replicas: Replicas, clips: int) -> dict[str, float]:
        """Means over the steps since the last call that had each scalar, and over the clips of all replicas, of which
        ``clips`` are this one's."""
        totals = replicas.average(self._sums, clips)
        means = {name: total / self._steps[name] for name, total in totals.items()}
        self._sums, self._steps = {}, {}
        return means


@contextmanager
def stop_signals(stop: Callable[[str], None], told: bool) -> Iterator[None]:
    """While this is open, SIGTERM and Ctrl-C call ``stop`` with the signal's name, and end nothing else.

    A second Ctrl-C acts at once; SIGTERM may come twice, from a scheduler to all processes of a job and from a launcher
    that passes it on. Signals reach the main thread alone: in another one, this does nothing.

    Args:
        told: say on standard error that a signal came; a step of a large model takes a while.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if came:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        came.append(number)
        name = signal.Signals(number).name
        stop(name)
        if told:
            os.write(2, SIGNALLED.format(name).encode())  # print may be what the signal interrupted

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, note) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def full_disk() -> Iterator[None]:
    """Turns the error of a full disk into a :class:`UserError`; checkpoints are whole whenever it strikes."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"the disk is full ({error.filename or 'while writing'}): training stopped, its checkpoints are intact; "
            "free some space and resume with --resume"
        ) from error


def kept(trainer: TrainContext) -> str:
    """Which checkpoints of the level in training there are, in words."""
    if trainer.run is None:
        return "nothing is kept"
    steps = steps_of(trainer.run.checkpoints, trainer.state.index + 1)
    if not steps:
        return "no checkpoint was written before (--reporting.checkpoint says how often one is)"
    return f"the checkpoint of step {steps[-1]} is kept and can be sampled"


def check_finite(scalars: Mapping[str, float], step: int, kept: str) -> None:
    """Raise :class:`UserError` for the first scalar that is NaN or infinite; ``kept`` says which checkpoints stay."""
    for name, value in scalars.items():
        if not math.isfinite(value):
            raise UserError(
                f"training diverged: {name} is {value} at step {step}; {kept}. "
                "Start a new run with lower learning rates or another --seed: resumed, this one would "
                "diverge again"
            )
