"""Train on a torch Dataset of one's own; nothing is prepared beforehand.

python examples/own_dataset.py --out runs/balls --steps 20
vidgan train demo --data examples/own_dataset.py:clips --out runs/balls
"""

import argparse

import numpy as np
import torch
from numpy.typing import NDArray

import vidgan


class Balls(torch.utils.data.Dataset[tuple[NDArray[np.uint8], int]]):
    """A bright ball that moves right or left. Item i is a function of i, so that a resumed run sees the same."""

    classes = ("right", "left")  # names in label order; optional
    fingerprint = "balls 1"  # changes when the clips do, so that a resumed run notices; optional

    def __init__(self, clips: int = 256, frames: int = 16, size: int = 32) -> None:
        self.clips, self.frames, self.size = clips, frames, size

    def __len__(self) -> int:
        return self.clips

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], int]:
        label = index % 2
        rng = np.random.default_rng(index)
        y, x = rng.uniform(8, self.size - 8, 2)
        steps = np.arange(self.frames) - self.frames / 2
        centres = x + steps * (1 if label == 0 else -1)
        rows, columns = np.mgrid[: self.size, : self.size]
        distance = np.hypot(rows - y, columns - centres[:, None, None])  # (T, H, W)
        grey = 255 * np.clip(5 - distance, 0, 1)
        return np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8), label  # (T, H, W, 3) uint8


def clips() -> Balls:
    return Balls()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="runs/balls")
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    trainer = vidgan.Trainer(vidgan.preset("demo"), vidgan.open_dataset(clips()), out=args.out)
    trainer.fit(steps=args.steps)
    print(vidgan.load(args.out).class_names)
