"""What training shows: a progress display, TensorBoard's event files."""

import io
import resource
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import torch
from PIL import Image, ImageSequence
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from vidgan.errors import UserError
from vidgan.models.discriminator import Head
from vidgan.names import printable, tell
from vidgan.sample.previews import preview_path
from vidgan.train.callbacks import Callback, TrainContext

SLOW: Final = 10.0
"""seconds: from such a first step on, it is said how long the first figures will take"""


class Progress(Callback, ABC):
    """Shows ticks."""

    def __init__(self) -> None:
        self.label, self.began = "", 0.0
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
        if step == self.first + 1 and step < self.shown and not trainer.ending and gone >= SLOW:
            first = clock(gone * (self.shown - step))
            trainer.say(
                f"the first step took {clock(gone)}: first figures in {first} (--reporting.tick has them sooner)"
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


FOLDER = "tensorboard"
"""in the run directory"""


class EventFiles(Callback):
    """Writes TensorBoard's event files, for every level a folder of its own; needs the extra ``log``.

    What was logged after the step at which a level begins is dropped.

    Args:
        folder: where they go; None: into the run directory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._scores: dict[str, list[Tensor]] = {}
        self._hooks: list[RemovableHandle] = []

    def on_level_start(self, trainer: TrainContext) -> None:
        if not trainer.replicas.is_rank_zero:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError("--tracker tensorboard needs TensorBoard: pip install 'vidgan[log]'") from error
        if self.folder is None and trainer.run is None:
            raise UserError("event files need a folder where nothing else is written")
        folder = self.folder or (trainer.run.path / FOLDER if trainer.run is not None else Path(FOLDER))
        state = trainer.state
        self._writer = SummaryWriter(str(folder / f"level{state.index + 1}"), purge_step=state.steps + 1)
        self._scores = {name: [] for name in state.level.discriminators}
        self._hooks = [
            state.level.discriminator(name).head.register_forward_hook(self._recorder(name))
            for name in self._scores
        ]

    def on_tick(self, trainer: TrainContext, scalars: Mapping[str, float]) -> None:
        """Write the means of a tick, and the scores of the discriminators' last update."""
        if not self._hooks:
            return
        step = trainer.state.steps
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        for name, last in self._scores.items():
            for kind, scores in zip(("real", "fake"), last, strict=True):
                self._writer.add_histogram(f"discriminator/{name}/{kind} scores", scores.float().cpu(), step)
        self._writer.flush()

    def on_step(self, trainer: TrainContext, scalars: Mapping[str, Tensor]) -> None:
        """Write the preview of this step, where there is one."""
        state = trainer.state
        path = None if trainer.run is None else preview_path(trainer.run, state.index, state.steps)
        if not self._hooks or path is None or not path.exists():
            return
        from tensorboard.compat.proto.summary_pb2 import Summary

        # As an encoded GIF: add_video wants moviepy and, with its newer versions, silently writes nothing.
        with Image.open(path) as image:
            shown = Summary.Image(
                height=image.height, width=image.width, colorspace=3, encoded_image_string=as_gif(image)
            )
        value = Summary.Value(tag="samples", image=shown)
        self._writer._get_file_writer().add_summary(Summary(value=[value]), state.steps)
        self._writer.flush()

    def on_level_end(self, trainer: TrainContext) -> None:
        """Finish the files and leave the discriminators alone."""
        for hook in self._hooks:
            hook.remove()
        if self._hooks:
            self._writer.close()
        self._hooks = []

    def _recorder(self, name: str) -> Callable[[Head, object, Tensor], None]:
        def record(head: Head, args: object, scores: Tensor) -> None:
            # The discriminators' update scores real clips, then fakes; in the generator's the discriminators
            # stand still.
            if torch.is_grad_enabled() and head.score.weight.requires_grad:
                self._scores[name] = [*self._scores[name][-1:], scores.detach()]

        return record


def as_gif(image: Image.Image) -> bytes:
    """An animation in GIF's 256 colours, as fast as it was."""
    frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
    buffer = io.BytesIO()
    duration = int(image.info.get("duration", 125))
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0)
    return buffer.getvalue()
