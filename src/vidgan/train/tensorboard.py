"""A run's record in TensorBoard's event files, with histograms of the discriminators' scores."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from PIL import Image
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from vidgan.models.discriminator import Head
from vidgan.run.directory import RunDirectory
from vidgan.spec import to_json
from vidgan.train.state import TrainState
from vidgan.train.trackers import Tracker, as_gif

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER: Final = "tensorboard"
"""in the run directory"""


class TensorBoardTracker(Tracker):
    """Event files, for every level in a folder of its own; ``tensorboard --logdir RUN/tensorboard`` shows them."""

    name, extra, module = "tensorboard", "log", "torch.utils.tensorboard"
    keeps_levels_apart = True

    def __init__(self) -> None:
        self._folder = Path(FOLDER)
        self._writers: dict[int, SummaryWriter] = {}
        self._hooks: list[RemovableHandle] = []
        self._scores: dict[str, list[Tensor]] = {}

    def start(self, run: RunDirectory, record: str | None) -> str:
        self._folder = run.path / FOLDER
        if record is None:
            text = f"```json\n{json.dumps(to_json(run.experiment), indent=1)}\n```"
            self._writer(1).add_text("experiment", text, 0)
        return FOLDER

    def watch(self, state: TrainState) -> None:
        self._scores = {name: [] for name in state.level.discriminators}
        self._hooks = [
            state.level.discriminator(name).head.register_forward_hook(self._recorder(name))
            for name in self._scores
        ]

    def leave(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._scores = [], {}

    def scalars(self, level: int, step: int, values: Mapping[str, float]) -> None:
        """Write them, and the scores of the last update of the discriminators."""
        writer = self._writer(level)
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        for name, last in self._scores.items():
            for kind, scores in zip(("real", "fake"), last, strict=True):
                writer.add_histogram(f"discriminator/{name}/{kind} scores", scores.float().cpu(), step)
        writer.flush()

    def video(self, level: int, step: int, path: Path) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        # As an encoded GIF: add_video wants moviepy and, with its newer versions, silently writes nothing.
        with Image.open(path) as image:
            shown = Summary.Image(
                height=image.height, width=image.width, colorspace=3, encoded_image_string=as_gif(image)
            )
        writer = self._writer(level)
        writer._get_file_writer().add_summary(
            Summary(value=[Summary.Value(tag="samples", image=shown)]), step
        )
        writer.flush()

    def alarm(self, level: int, step: int, rule: str, text: str) -> None:
        self._writer(level).add_text("alarms", text, step)

    def result(self, line: Mapping[str, Any]) -> None:
        writer, step = self._writer(line.get("level") or 1), line.get("step") or 0
        if line["value"] is not None:
            writer.add_scalar(f"result/{line['protocol']}", line["value"], step)
        writer.add_text(f"result/{line['protocol']}/settings", json.dumps(line), step)
        writer.flush()

    def finish(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _writer(self, level: int) -> "SummaryWriter":
        from torch.utils.tensorboard import SummaryWriter

        if level not in self._writers:
            self._writers[level] = SummaryWriter(str(self._folder / f"level{level}"))
        return self._writers[level]

    def _recorder(self, name: str) -> Callable[[Head, object, Tensor], None]:
        def record(head: Head, args: object, scores: Tensor) -> None:
            # The discriminators' update scores real clips, then fakes; in the generator's the discriminators
            # stand still.
            if torch.is_grad_enabled() and head.score.weight.requires_grad:
                self._scores[name] = [*self._scores[name][-1:], scores.detach()]

        return record
