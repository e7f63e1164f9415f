"""Motion fields of a trained predictor beside the true motion of the built-in clips.

``python experiments/motion_fields.py runs/tsru --clips 240 --picture fields.png`` continues held-out clips whose shapes
move by known steps, reads the motion field of each continuation (Luc et al. 2020, 4.4), and says for each direction
what the field is on the moving shape's visible pixels, and what it is elsewhere, where nothing moves. The picture has
one clip of each direction: what followed, the prediction, and its field.
"""

import argparse
import colorsys
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from predictor import open_predictor
from vidgan.data.loader import to_float
from vidgan.data.synthetic import SHAPES, SyntheticDataset, SyntheticSpec, coverage, draw_scene, path
from vidgan.errors import UserError
from vidgan.sample.model import Model
from vidgan.sample.video_io import colour_wheel, strip, to_bytes, write_image

DIRECTIONS: Final = ("right", "left", "down")
PICTURED, SCALE = 1, 3
NEAR = math.pi / 4
"""a field within this angle of the truth points the right way; a quarter of random directions do"""


class Moved(NamedTuple):
    """A clip that moves one way, and what a model makes of it."""

    real: NDArray[np.uint8]
    """given frames and what followed (C + T H W 3)"""
    made: NDArray[np.uint8]
    """the continuation (T H W 3)"""
    field: NDArray[np.float32]
    """its motion (T 2 H W), pixels per frame, to the right and downwards"""
    true: NDArray[np.float32]
    """motion of the shape (2,), likewise"""
    shape: NDArray[np.bool_]
    """where the shape is seen in what followed (T H W)"""


def motion_of(spec: SyntheticSpec, index: int) -> str:
    """The motion of clip ``index``."""
    return spec.motions[index % len(spec.motions)]


def moved(model: Model, held_out: SyntheticDataset, index: int) -> Moved:
    """Clip ``index`` and its continuation from a latent of zeros."""
    level = model.experiment.levels[0]
    given, length = level.context_frames, level.seen_frames
    real = held_out.read(index, 0, length, level.stride)
    frames = to_float(torch.from_numpy(real[None, :given]))[0]
    made = model.futures(frames, count=1, sigma=0, first=index)
    if made.motion is None:
        raise UserError("no recurrent unit of this model warps, so it has no motion fields")
    steps = np.arange(length) * level.stride
    true, shape = truth(held_out.spec, index, steps, real)
    return Moved(real, to_bytes(made.video).numpy()[0], made.motion.numpy()[0], true, shape[given:])


def truth(
    spec: SyntheticSpec, index: int, steps: NDArray[np.int64], real: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Motion of the shape per step (2,), and where frames ``real`` show it (T H W)."""
    scene, kinds = draw_scene(spec, index), len(spec.shapes) * len(spec.motions)
    when = (steps / (spec.frames - 1)).astype(np.float32)
    x, y, radius = (spec.size * part for part in path(spec, motion_of(spec, index), scene, when))
    grid = np.arange(spec.size, dtype=np.float32) + np.float32(0.5)
    away_x, away_y = grid[None, None, :] - x[:, None, None], grid[None, :, None] - y[:, None, None]
    shape = SHAPES[spec.shapes[index % kinds // len(spec.motions)]]
    covered = coverage(shape.distance(away_x, away_y, radius[:, None, None])) > 0.5
    # The second shape has the opposite colour of the first.
    front = 255 * (1 - np.asarray(colorsys.hsv_to_rgb(scene.hue, 0.9, 0.95)))
    hidden = np.abs(real - front).max(axis=3) < 2
    return np.array([x[1] - x[0], y[1] - y[0]], np.float32), covered & ~hidden


def row(direction: str, clips: Sequence[Moved]) -> str:
    """A row of the table: means over the clips of one direction."""
    true = np.mean([clip.true for clip in clips], axis=0)
    on = np.mean([inside(clip, clip.shape) for clip in clips], axis=0)
    off = np.mean([inside(clip, ~clip.shape) for clip in clips], axis=0)
    near = np.mean([right_way(clip) for clip in clips])
    return f"| {direction} | {pair(true)} | {pair(on)} | {pair(off)} | {near:.2f} |"


def inside(clip: Moved, where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The clip's mean field (2,) over some pixels of its frames."""
    mean: NDArray[np.float32] = np.moveaxis(clip.field, 1, 0)[:, where].mean(axis=1)
    return mean


def right_way(clip: Moved) -> float:
    """Share of the shape's pixels whose field, less the field's mean elsewhere, is near the true direction."""
    right, down = np.moveaxis(clip.field, 1, 0)[:, clip.shape] - inside(clip, ~clip.shape)[:, None]
    angle = np.arctan2(down, right) - np.arctan2(clip.true[1], clip.true[0])
    return float(np.mean(np.cos(angle) > math.cos(NEAR)))


def pair(motion: NDArray[np.float32]) -> str:
    """Motion (2,) in words of the table."""
    return f"{motion[0]:+.2f}, {motion[1]:+.2f}"


def rows_of(clip: Moved, fastest: float) -> Iterator[NDArray[np.uint8]]:
    """Rows of the picture (T H W 3): what followed, the prediction, and its field; given frames in front."""
    given = clip.real[: len(clip.real) - len(clip.made)]
    yield clip.real
    yield np.concatenate([given, clip.made])
    yield np.concatenate([np.full_like(given, 128), colour_wheel(clip.field, fastest)])


class Given(argparse.Namespace):
    """The command line."""

    run: Path
    clips: int
    picture: Path | None


def main(given: Given) -> None:
    """Print the table, and write the picture if asked."""
    model, held_out = open_predictor(given.run)
    groups: dict[str, list[Moved]] = {direction: [] for direction in DIRECTIONS}
    for index in range(given.clips * len(held_out.spec.motions) // len(DIRECTIONS)):
        if (direction := motion_of(held_out.spec, index)) in groups:
            clip = moved(model, held_out, index)
            if clip.shape.any():
                groups[direction].append(clip)
    print(f"step {model.step}; pixels per frame: to the right, downwards")
    print("| direction | true | field on the shape | field elsewhere | pixels that point the right way |")
    print("|---|---|---|---|---:|")
    for direction, clips in groups.items():
        print(row(direction, clips))
    if given.picture is not None:
        pictured = [clip for clips in groups.values() for clip in clips[:PICTURED]]
        fastest = max(float(np.hypot(clip.field[:, 0], clip.field[:, 1]).max()) for clip in pictured)
        rows = [each for clip in pictured for each in rows_of(clip, fastest)]
        write_image(given.picture, strip(np.stack(rows), scale=SCALE))
        print(f"wrote {given.picture}; full colour is {fastest:.2g} pixels per frame")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "run", type=Path, help="run of a predictor whose units warp, trained on built-in clips"
    )
    parser.add_argument("--clips", type=int, default=240, help="held-out clips that move (240)")
    parser.add_argument("--picture", type=Path, help="file for a picture (PNG)")
    try:
        main(parser.parse_args(namespace=Given()))
    except UserError as error:
        raise SystemExit(str(error)) from error
