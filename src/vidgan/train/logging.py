"""What training shows while it goes on."""

import resource
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final

import torch
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from vidgan.names import printable, tell
from vidgan.train.callbacks import Callback, TrainContext

SLOW: Final = 10.0
"""seconds: from such a step on, it is said how long the first figures will take"""


class Progress(Callback, ABC):
    """Shows ticks."""

    def __init__(self) -> None:
        self.label, self.began, self.second = "", 0.0, 0.0
        self.minutes: float | None = None
        self.steps = self.first = self.first_clips = self.shown = 0

    def on_level_start(self, trainer: TrainContext) -> None:
        experiment, state = trainer.experiment, trainer.state
        levels = f" level {state.index + 1}" if len(experiment.rounds) > 1 else ""
        self.label, self.steps = f"{experiment.name}{levels}", experiment.steps_of(state.index)
        self.first, self.first_clips, self.began = state.steps, state.clips, time.monotonic()
        self.minutes = trainer.minutes
        # Of a large model, the first figures are a long time in coming.
        every = (experiment.reporting.tick, experiment.reporting.checkpoint)
        self.shown = shown = min(self.steps, *(self.first // n * n + n for n in every))
        trainer.say(f"{self.label}: steps {self.first:,} to {self.steps:,}; first figures at step {shown:,}")

    def on_step(self, trainer: TrainContext, scalars: Mapping[str, Tensor]) -> None:
        step, gone = trainer.state.steps, self.gone()
        if step == self.first + 1:
            self.second = gone  # the first step took what starts once besides: worker processes, compiling
        elif step == self.first + 2 and step < self.shown and not trainer.ending:
            took = gone - self.second
            if took >= SLOW:
                first = clock(took * (self.shown - step))
                trainer.say(
                    f"a step takes {clock(took)}: first figures in {first} (--reporting.tick has them sooner)"
                )

    @abstractmethod
    def on_tick(self, trainer: TrainContext, scalars: Mapping[str, float]) -> None: ...

    def gone(self) -> float:
        """Seconds since this process began with the level."""
        return max(1e-9, time.monotonic() - self.began)

    def rate(self, clips: int) -> float:
        """Real clips per second since this process began."""
        return (clips - self.first_clips) / self.gone()

    def left(self, step: int) -> float:
        """Seconds until training ends, as it goes now."""
        by_steps = self.gone() * (self.steps - step) / max(1, step - self.first)
        return by_steps if self.minutes is None else max(0.0, min(by_steps, 60 * self.minutes - self.gone()))


class PlainProgress(Progress):
    """A line per tick, for logs and pipes, short enough to be read; log.jsonl has all figures."""

    def on_tick(self, trainer: TrainContext, scalars: Mapping[str, float]) -> None:
        step, clips = trainer.state.steps, trainer.state.clips
        losses = "  ".join(f"{name} {value:.3g}" for name, value in scalars.items() if is_loss(name))
        tell(
            f"{self.label}  step {step}  clips {clips}  {self.rate(clips):.1f} clips/s  "
            f"{clock(self.left(step))} left  {losses}  memory {memory_gib():.2f} GiB",
            flush=True,
        )


class LiveProgress(Progress):
    """A table that refreshes in place; what else is printed stands above it."""

    def __init__(self) -> None:
        super().__init__()
        self._live = Live(console=Console(), refresh_per_second=4)

    def on_level_start(self, trainer: TrainContext) -> None:
        super().on_level_start(trainer)
        self._live.start()

    def on_tick(self, trainer: TrainContext, scalars: Mapping[str, float]) -> None:
        step, clips = trainer.state.steps, trainer.state.clips
        done = (step - self.first) / max(1, self.steps - self.first)
        if self.minutes is not None:
            done = max(done, self.gone() / (60 * self.minutes))
        table = Table.grid(padding=(0, 2))
        table.add_row("[bold]" + escape(printable(self.label)), bar(done), f"{clock(self.left(step))} left")
        table.add_row("step", f"{step:,} of {self.steps:,}", f"{clips:,} clips seen")
        table.add_row("speed", f"{self.rate(clips):.1f} clips/s", f"memory {memory_gib():.2f} GiB")
        for name, value in scalars.items():
            if is_headline(name):
                table.add_row(escape(name), f"{value:+.3f}")
        self._live.update(table)

    def on_level_end(self, trainer: TrainContext) -> None:
        self._live.stop()


def progress_display() -> Progress:
    """Live on a terminal, plain elsewhere."""
    return LiveProgress() if sys.stdout.isatty() else PlainProgress()


def is_headline(name: str) -> bool:
    """Whether a scalar is shown live; all of them are in the log."""
    return name.startswith(("loss/", "discriminator/"))


def is_loss(name: str) -> bool:
    """Whether a scalar stands in a line: what is to become small or large, not what it is made of."""
    return name.startswith("loss/")


def bar(done: float, width: int = 24) -> str:
    """A text bar for a share between 0 and 1."""
    full = round(width * min(1.0, max(0.0, done)))
    return "━" * full + "─" * (width - full) + f" {100 * min(1.0, done):3.0f} %"


def clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def memory_gib() -> float:
    """The most memory used so far: on the GPU where there is one, else by this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
