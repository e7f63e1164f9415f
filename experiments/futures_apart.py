"""Which motions a predictor's futures of the same frames show, and a picture of some.

``python experiments/futures_apart.py runs/variety --clips 48 --futures 16 --picture futures.png`` continues held-out
built-in clips, and counts what the oracle sees in each future, given frames included; SSIM and PSNR of a single future
and of the last given frame, copied, stand beside it. The picture has, for each of some clips that were not picked, what
really followed and three futures.
"""

import argparse
from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
import torch

from predictor import open_predictor
from vidgan.data.loader import to_float
from vidgan.errors import UserError
from vidgan.evaluation.metrics.frames import psnr, ssim
from vidgan.evaluation.oracle import recognise
from vidgan.sample.video_io import strip, to_bytes, write_image

PICTURED: Final = (6, 3)
"""clips of the picture, and futures of each"""
SCALE: Final = 3


class Given(argparse.Namespace):
    """The command line."""

    run: Path
    clips: int
    futures: int
    picture: Path | None


def main(given: Given) -> None:
    """Print the table, and write the picture if asked."""
    model, held_out = open_predictor(given.run)
    level = model.experiment.levels[0]
    real = np.stack(
        [held_out.read(index, 0, level.seen_frames, level.stride) for index in range(given.clips)]
    )
    first = torch.from_numpy(real[:, : level.context_frames])
    repeated = to_float(first.repeat_interleave(given.futures, dim=0))
    numbers = range(len(repeated))
    made = to_bytes(model.sampler().predict(repeated, numbers, [0] * len(numbers), 0).video).numpy()
    whole = np.concatenate([first.repeat_interleave(given.futures, dim=0).numpy(), made], axis=1)
    futures = whole.reshape(given.clips, given.futures, *whole.shape[1:])

    counts, kinds = Counter[str](), []
    for each in futures:
        seen = [clip.motion or "none" for clip in recognise(each)]
        counts.update(seen)
        kinds.append(len(set(seen) - {"none"}))
    print(f"step {model.step}; {given.clips} held-out clips, {given.futures} futures of each")
    for name, count in sorted(counts.items()):
        print(f"  {name:<8} {count / len(whole):.2f} of the futures")
    print(
        f"  kinds of motion among the futures of a clip: {np.mean(kinds):.2f} in the mean, {dict(Counter(kinds))}"
    )
    spread = np.abs(np.diff(futures.astype(np.float64), axis=1)).mean() / 255
    print(f"  mean difference of two futures of a clip: {spread:.4f}, pixels in [0, 1]")
    followed = real[:, None, level.context_frames :]
    copies = np.broadcast_to(real[:, None, level.context_frames - 1 : level.context_frames], followed.shape)
    for name, shown in (
        ("a single future", futures[:, :, level.context_frames :]),
        ("the copied frame", copies),
    ):
        same = np.broadcast_to(followed, shown.shape)
        print(
            f"  {name}, mean over frames: SSIM {ssim(shown, same).mean():.3f}, PSNR {psnr(shown, same).mean():.2f} dB"
        )
    if given.picture is not None:
        clips, number = PICTURED
        rows = [row for i in range(clips) for row in (real[i], *futures[i, :number])]
        write_image(given.picture, strip(np.stack(rows), scale=SCALE))
        print(f"wrote {given.picture}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run of a predictor that was trained on built-in clips")
    parser.add_argument("--clips", type=int, default=48, help="held-out clips (48)")
    parser.add_argument("--futures", type=int, default=16, help="futures of each (16)")
    parser.add_argument("--picture", type=Path, help="file for a picture (PNG)")
    try:
        main(parser.parse_args(namespace=Given()))
    except UserError as error:
        raise SystemExit(str(error)) from error
