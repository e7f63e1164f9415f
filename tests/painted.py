"""A dataset for tests whose pixels tell where they are from; at one clip, it may fail, or kill who reads it."""

import os
import signal
from pathlib import Path

import numpy as np

from vidgan.data.dataset import ClipInfo, Dataset, Frames
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError

WINDOW = WindowSpec(size=8, frames=3, stride=2)


class Painted(Dataset):
    """Clips whose every pixel says where it is from: (clip * 16 + time, row, column).

    Args:
        broken: clip that cannot be read.
        deadly: clip that kills the process that reads it; only the first time if ``once`` names a file to remember it.
        shape: height and width.
    """

    def __init__(
        self,
        clips: int,
        broken: int | None = None,
        deadly: int | None = None,
        once: Path | None = None,
        shape: tuple[int, int] = (8, 11),
    ) -> None:
        self.clips, self.broken, self.deadly, self.once, self.shape = clips, broken, deadly, once, shape

    @property
    def classes(self) -> tuple[str, ...]:
        return ("even", "odd")

    @property
    def fingerprint(self) -> str:
        return f"painted {self.clips}"

    def __len__(self) -> int:
        return self.clips

    def info(self, index: int) -> ClipInfo:
        return ClipInfo(index % 2, 7 + index % 3, *self.shape)

    def read(self, index: int, start: int, frames: int, stride: int = 1) -> Frames:
        if index == self.broken:
            raise UserError(f"clip {index} has vanished")
        if index == self.deadly and not (self.once is not None and self.once.exists()):
            if self.once is not None:
                self.once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        height, width = self.shape
        video = np.empty((frames, height, width, 3), np.uint8)
        video[..., 0] = (index * 16 + start + stride * np.arange(frames))[:, None, None]
        video[..., 1], video[..., 2] = np.arange(height)[:, None], np.arange(width)
        return video
