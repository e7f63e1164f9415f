"""What training shows in TensorBoard: scalars, histograms of what critics give, animated samples."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image, ImageSequence
from torch import Tensor, nn

from vidgan.errors import UserError
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
        self._scores: dict[str, Tensor] = {}
        self._hooks = [level.critic(name).register_forward_hook(self._keeper(name)) for name in level.critics]

    def tick(self, step: int, scalars: Mapping[str, float]) -> None:
        """The means of a tick, and the scores of the critics' last update."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        for name, scores in self._scores.items():
            self._writer.add_histogram(name, scores.float().cpu(), step)
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

    def _keeper(self, name: str) -> Callable[[nn.Module, object, tuple[Tensor, ...]], None]:
        def keep(module: nn.Module, args: object, scores: tuple[Tensor, ...]) -> None:
            # The critics' update judges real clips and fakes together, the generator's fakes alone.
            if len(scores) == 2:
                for kind, given in zip(("real", "fake"), scores, strict=True):
                    self._scores[f"critic/{name}/{kind} scores"] = given.detach()

        return keep


def as_gif(image: Image.Image) -> bytes:
    """An animation in GIF's 256 colours, as fast as it was."""
    frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
    buffer = io.BytesIO()
    duration = int(image.info.get("duration", 125))
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0)
    return buffer.getvalue()
