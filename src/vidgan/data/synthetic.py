"""Built-in clips: coloured shapes that move over a softly shaded background, drawn from (seed, index) alone.

A class is a shape and a motion. The radius of every shape is half its height, so a square of radius r is
2r wide; edges are anti-aliased by the distance to the outline.
"""

import colorsys
import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidgan.bounds import Bounds, Count, Length, Seed
from vidgan.data.dataset import ClipInfo, Dataset, Frames
from vidgan.errors import did_you_mean
from vidgan.seeds import derive
from vidgan.spec import Spec, require, to_json

Plane = NDArray[np.float32]


# Signed distance (pixels) from the outline of a shape of radius r, negative inside.
def _disc(x: Plane, y: Plane, r: Plane) -> Plane:
    return np.sqrt(x * x + y * y) - r


def _square(x: Plane, y: Plane, r: Plane) -> Plane:
    return np.maximum(np.abs(x), np.abs(y)) - r


def _triangle(x: Plane, y: Plane, r: Plane) -> Plane:
    sides = np.maximum(np.abs(x) * np.float32(np.sqrt(3) / 2) - y * np.float32(0.5), y)
    return sides - r * np.float32(2 / 3)


def _cross(x: Plane, y: Plane, r: Plane) -> Plane:
    x, y, arm = np.abs(x), np.abs(y), r / 3
    return np.minimum(np.maximum(x - r, y - arm), np.maximum(x - arm, y - r))


class Shape(NamedTuple):
    """An outline."""

    distance: Callable[[Plane, Plane, Plane], Plane]
    """signed distance (pixels) at offsets (x, y) from the centre of mass, for the radius"""
    reach: float
    """farthest it goes from its centre along an axis, over the radius"""


SHAPES: Final[dict[str, Shape]] = {
    "disc": Shape(_disc, 1.0),
    "square": Shape(_square, 1.0),
    "triangle": Shape(_triangle, 4 / 3),
    "cross": Shape(_cross, 1.0),
}
MOTIONS: Final = ("right", "left", "down", "up", "circle", "grow")

FIRST: Final = 0.6
"""radius at which growing shapes begin, over the drawn radius: growth is as plain to see as the other motions"""
LARGEST: Final = 0.25
"""radius at which growing shapes end, as part of the side"""


class SyntheticSpec(Spec):
    """A set of built-in clips."""

    shapes: tuple[str, ...] = ("disc", "square")
    """of disc, square, triangle, cross"""
    motions: tuple[str, ...] = ("right", "left", "down", "grow")
    """of right, left, down, up, circle, grow"""
    size: Annotated[int, Bounds(8, 2**16)] = 24
    """height and width (pixels)"""
    frames: Length = 8
    """frames per clip"""
    clips: Count = 10_000
    """number of clips"""
    seed: Seed = 0
    """everything in a clip derives from it and the clip's number"""
    textured: bool = False
    """stripes on the shape, and a second, still shape that may hide it"""
    middle: bool = False
    """all begin in the middle, so that the first frame does not tell which way they go; what grows begins smaller"""

    def validate(self) -> None:
        for kind, given, known in (
            ("shape", self.shapes, list(SHAPES)),
            ("motion", self.motions, list(MOTIONS)),
        ):
            require(len(given) > 0, f"name at least one {kind}")
            for name in given:
                require(name in known, f"there is no {kind} {name!r}{did_you_mean(name, known)}")
            require(len(set(given)) == len(given), f"each {kind} can be named once, got {', '.join(given)}")


BUILT_IN: Final = {
    "synthetic": SyntheticSpec(),
    "synthetic-textured": SyntheticSpec(textured=True),
    "synthetic-open": SyntheticSpec(motions=("right", "left", "down", "up"), middle=True),
}
"""The sets that have a name, with these values to choose:"""
CHOSEN: Final = ("size", "frames", "clips", "seed")


class Scene(NamedTuple):
    """All that was drawn for a clip; lengths are parts of the side."""

    radius: float
    hue: float
    travel: float
    place: tuple[float, float]
    """where in the room left over the motion takes place, in [0, 1]"""
    phase: float
    base: NDArray[np.float32]
    """background colour (3,), in [0, 1]"""
    slope: NDArray[np.float32]
    """change of brightness from one side to the other, right and down (2,)"""
    hider: NDArray[np.float32]
    """for textured clips: place of the second shape and stripes' width (3,), in [0, 1]"""


class SyntheticDataset(Dataset):
    """The clips of a :class:`SyntheticSpec`; classes take turns."""

    def __init__(self, spec: SyntheticSpec) -> None:
        self.spec = spec
        chosen = {key: getattr(spec, key) for key in CHOSEN}
        self.source = next(
            (name for name, known in BUILT_IN.items() if spec == known.replace(**chosen)), "synthetic"
        )
        self._classes = tuple(f"{shape}-{motion}" for shape in spec.shapes for motion in spec.motions)

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classes

    @property
    def fingerprint(self) -> str:
        """Hash of the spec, which decides every pixel."""
        return hashlib.blake2b(json.dumps(to_json(self.spec)).encode(), digest_size=16).hexdigest()

    def __len__(self) -> int:
        return self.spec.clips

    def info(self, index: int) -> ClipInfo:
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        return ClipInfo(index % len(self._classes), self.spec.frames, self.spec.size, self.spec.size)

    def read(self, index: int, start: int, frames: int, stride: int = 1) -> Frames:
        return render(self.spec, index, np.asarray(self.frame_range(index, start, frames, stride)))


def draw_scene(spec: SyntheticSpec, index: int) -> Scene:
    """The random numbers of clip ``index``, always drawn in this order."""
    rng = np.random.Generator(np.random.PCG64(derive(spec.seed, "synthetic", index)))
    return Scene(
        radius=rng.uniform(0.11, 0.19),
        hue=rng.uniform(),
        travel=rng.uniform(0.25, 0.45),
        place=(rng.uniform(), rng.uniform()),
        phase=rng.uniform(),
        base=rng.uniform(0.15, 0.3, 3).astype(np.float32),
        slope=rng.uniform(-0.075, 0.075, 2).astype(np.float32),
        hider=rng.uniform(0, 1, 3).astype(np.float32),
    )


def path(spec: SyntheticSpec, motion: str, scene: Scene, when: Plane) -> tuple[Plane, Plane, Plane]:
    """Centre (x, y) and radius at the times ``when`` in [0, 1], as parts of the side; it stays inside the frame."""
    largest = LARGEST if motion == "grow" else scene.radius
    # The room is that of the set's widest shape, so that a place says nothing about the shape; half a pixel
    # is for the soft edge.
    edge = largest * max(SHAPES[shape].reach for shape in spec.shapes) + 0.5 / spec.size
    room = 0.5 - edge if spec.middle else 1 - 2 * edge
    travel = max(0.0, min(scene.travel, room))
    dx = {"right": travel, "left": -travel}.get(motion, 0.0)
    dy = {"down": travel, "up": -travel}.get(motion, 0.0)
    swing = travel / 2 if motion == "circle" else 0.0
    margin = edge + swing
    x, y = (
        margin + max(0.0, 1 - 2 * margin - abs(d)) * part + max(0.0, -d)
        for d, part in zip((dx, dy), scene.place, strict=True)
    )
    angle = 2 * np.pi * (when + scene.phase)
    if spec.middle:
        begin = 2 * np.pi * scene.phase
        x, y = 0.5 - swing * np.cos(begin), 0.5 - swing * np.sin(begin)
    first = FIRST * scene.radius if motion == "grow" else scene.radius
    return (
        x + dx * when + swing * np.cos(angle),
        y + dy * when + swing * np.sin(angle),
        first + (largest - first) * when,
    )


def render(spec: SyntheticSpec, index: int, steps: NDArray[np.int64]) -> Frames:
    """Frames ``steps`` of clip ``index``: (T, size, size, 3) uint8."""
    scene, side = draw_scene(spec, index), spec.size
    shape, motion = divmod(index % (len(spec.shapes) * len(spec.motions)), len(spec.motions))
    when = (steps / max(1, spec.frames - 1)).astype(np.float32)
    x, y, radius = (side * part[:, None, None] for part in path(spec, spec.motions[motion], scene, when))
    grid = np.arange(side, dtype=np.float32) + np.float32(0.5)
    right, down = (grid / side - np.float32(0.5))[None, :], (grid / side - np.float32(0.5))[:, None]
    shade = scene.slope[0] * right + scene.slope[1] * down
    picture = np.broadcast_to(scene.base + shade[:, :, None], (len(steps), side, side, 3))
    colour = np.asarray(colorsys.hsv_to_rgb(scene.hue, 0.9, 0.95), np.float32)
    local_x, local_y = grid[None, None, :] - x, grid[None, :, None] - y
    covered = coverage(SHAPES[spec.shapes[shape]].distance(local_x, local_y, radius))
    paint = np.broadcast_to(colour, picture.shape)
    if spec.textured:
        stripes = np.sin((local_x + local_y) * (2 + 4 * scene.hider[2]) * np.pi / side * 4)
        paint = colour * (0.75 + 0.25 * stripes)[..., None]
    picture = picture + (paint - picture) * covered[..., None]
    if spec.textured:
        hide_x, hide_y = (side * (0.2 + 0.6 * part) for part in scene.hider[:2])
        size = np.full((1, 1, 1), 0.12 * side, np.float32)
        front = coverage(_square(grid[None, None, :] - hide_x, grid[None, :, None] - hide_y, size))
        picture = picture + (1 - colour - picture) * front[..., None]
    return (picture.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def coverage(distance: Plane) -> Plane:
    """Share of a pixel that lies inside an outline at this signed distance (pixels)."""
    return (0.5 - distance).clip(0, 1).astype(np.float32)
