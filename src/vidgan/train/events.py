"""What training shows in TensorBoard: scalars, histograms of what critics give, animated samples."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from PIL import Image, ImageSequence
from torch import Tensor

from vidgan.errors import UserError
from vidgan.models.heads import Head
from vidgan.models.level import Game

FOLDER = "tensorboard"
"""in the run directory"""


class Events:
    """Writes event files of one level; needs the extra ``log``. What was logged after ``step`` is dropped.

    Raises:
        UserError: where TensorBoard is not installed.
    """

    def __init__(self, folder: Path, level: Game, index: int, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError("--tensorboard needs TensorBoard: pip install 'vidgan[log]'") from error
        self._writer = SummaryWriter(str(folder / f"level{index + 1}"), purge_step=step + 1)
        self._scores: dict[str, list[Tensor]] = {name: [] for name in level.critics}
        self._hooks = [
            level.critic(name).head.register_forward_hook(self._keeper(name)) for name in level.critics
        ]

    def tick(self, step: int, scalars: Mapping[str, float]) -> None:
        """The means of a tick, and the scores of the critics' last update."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        for name, last in self._scores.items():
            for kind, scores in zip(("real", "fake"), last, strict=True):
                self._writer.add_histogram(f"critic/{name}/{kind} scores", scores.float().cpu(), step)
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
        """Finish the file and leave the critics alone."""
        for hook in self._hooks:
            hook.remove()
        self._writer.close()

    def _keeper(self, name: str) -> Callable[[Head, object, Tensor], None]:
        def keep(head: Head, args: object, scores: Tensor) -> None:
            # The critics' update scores real clips, then fakes; in the generator's the critics stand still.
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
