"""What training shows: a progress bar, TensorBoard's event files."""

import io
import resource
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from PIL import Image, ImageSequence
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from vidgan.errors import UserError
from vidgan.models.discriminator import Head
from vidgan.models.level import AdversarialLevel


class Progress(ABC):
    """Shows ticks. Use it in a ``with`` block.

    Args:
        label: what is training.
        steps: steps in all.
        seconds: a time budget that may end training before that; None for none.
        first: the step that this process starts from.
    """

    def __init__(
        self, label: str, steps: int, seconds: float | None, first: int, clips_per_step: int
    ) -> None:
        self.label = label
        self.steps = steps
        self.seconds = seconds
        self.first = first
        self.clips_per_step = clips_per_step
        self.began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state visible."""

    @abstractmethod
    def tick(self, step: int, clips: int, scalars: Mapping[str, float]) -> None:
        """Show where training stands."""

    @abstractmethod
    def say(self, text: str) -> None:
        """A line that stays."""

    def rate(self, step: int) -> float:
        """Real clips per second since this process began."""
        return (step - self.first) * self.clips_per_step / max(1e-9, time.monotonic() - self.began)

    def left(self, step: int) -> float:
        """Seconds until training ends, as it goes now."""
        gone = time.monotonic() - self.began
        by_steps = gone * (self.steps - step) / max(1, step - self.first)
        return by_steps if self.seconds is None else max(0.0, min(by_steps, self.seconds - gone))


class PlainProgress(Progress):
    """A line per tick, for logs and pipes."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stdout.flush()

    def tick(self, step: int, clips: int, scalars: Mapping[str, float]) -> None:
        facts = "  ".join(f"{name} {value:.3g}" for name, value in scalars.items() if is_headline(name))
        print(
            f"{self.label}  step {step}  clips {clips}  {self.rate(step):.1f} clips/s  "
            f"{clock(self.left(step))} left  {facts}  memory {memory_gib():.2f} GiB",
            flush=True,
        )

    def say(self, text: str) -> None:
        print(text, flush=True)


class LiveProgress(Progress):
    """A table that refreshes in place."""

    def __init__(
        self, label: str, steps: int, seconds: float | None, first: int, clips_per_step: int
    ) -> None:
        super().__init__(label, steps, seconds, first, clips_per_step)
        self._live = Live(console=Console(), refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def tick(self, step: int, clips: int, scalars: Mapping[str, float]) -> None:
        gone = time.monotonic() - self.began
        done = (step - self.first) / max(1, self.steps - self.first)
        if self.seconds is not None:
            done = max(done, gone / self.seconds)
        table = Table.grid(padding=(0, 2))
        table.add_row("[bold]" + escape(self.label), bar(done), f"{clock(self.left(step))} left")
        table.add_row("step", f"{step:,} of {self.steps:,}", f"{clips:,} clips seen")
        table.add_row("speed", f"{self.rate(step):.1f} clips/s", f"memory {memory_gib():.2f} GiB")
        for name, value in scalars.items():
            if is_headline(name):
                table.add_row(escape(name), f"{value:+.3f}")
        self._live.update(table)

    def say(self, text: str) -> None:
        self._live.console.print(text, markup=False, highlight=False)


def open_progress(
    label: str, steps: int, seconds: float | None, first: int, clips_per_step: int, shown: bool
) -> Progress:
    """Live on a terminal, plain elsewhere; only the main replica's is ``shown`` live."""
    kind = LiveProgress if shown and sys.stdout.isatty() else PlainProgress
    return kind(label, steps, seconds, first, clips_per_step)


def is_headline(name: str) -> bool:
    """Whether a scalar is shown live; all of them are in the log."""
    return name.startswith(("loss/", "discriminator/"))


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


class Events:
    """Writes event files of one level; needs the extra ``log``. What was logged after ``step`` is dropped.

    Raises:
        UserError: where TensorBoard is not installed.
    """

    def __init__(self, folder: Path, level: AdversarialLevel, index: int, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError("--tensorboard needs TensorBoard: pip install 'vidgan[log]'") from error
        self._writer = SummaryWriter(str(folder / f"level{index + 1}"), purge_step=step + 1)
        self._scores: dict[str, list[Tensor]] = {name: [] for name in level.discriminators}
        self._hooks = [
            level.discriminator(name).head.register_forward_hook(self._keeper(name))
            for name in level.discriminators
        ]

    def tick(self, step: int, scalars: Mapping[str, float]) -> None:
        """The means of a tick, and the scores of the discriminators' last update."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        for name, last in self._scores.items():
            for kind, scores in zip(("real", "fake"), last, strict=True):
                self._writer.add_histogram(f"discriminator/{name}/{kind} scores", scores.float().cpu(), step)
        self._writer.flush()

    def samples(self, step: int, path: Path) -> None:
        """The animation in ``path``; nothing where there is none."""
        if not path.exists():
            return
        from tensorboard.compat.proto.summary_pb2 import Summary

        # As an encoded GIF: add_video wants moviepy and, with its newer versions, silently writes nothing.
        with Image.open(path) as image:
            shown = Summary.Image(
                height=image.height, width=image.width, colorspace=3, encoded_image_string=as_gif(image)
            )
        value = Summary.Value(tag="samples", image=shown)
        self._writer._get_file_writer().add_summary(Summary(value=[value]), step)
        self._writer.flush()

    def close(self) -> None:
        """Finish the file and leave the discriminators alone."""
        for hook in self._hooks:
            hook.remove()
        self._writer.close()

    def _keeper(self, name: str) -> Callable[[Head, object, Tensor], None]:
        def keep(head: Head, args: object, scores: Tensor) -> None:
            # The discriminators' update scores real clips, then fakes; in the generator's the discriminators
            # stand still.
            if torch.is_grad_enabled() and head.score.weight.requires_grad:
                self._scores[name] = [*self._scores[name][-1:], scores.detach()]

        return keep


def as_gif(image: Image.Image) -> bytes:
    """An animation in GIF's 256 colours, as fast as it was."""
    frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
    buffer = io.BytesIO()
    duration = int(image.info.get("duration", 125))
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0)
    return buffer.getvalue()
