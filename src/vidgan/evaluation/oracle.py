"""An oracle for the built-in clips: from pixels alone, which shape moves and how, where, how large, in what colours.

It knows the demo's task - discs and squares that go right, left, up or down, or grow - and nothing of how
clips are made. What it cannot tell is None, so that a clip counts only if it plainly shows its class.
"""

import colorsys
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidgan.sample.video_io import Videos

Array = NDArray[np.float64]

# Thresholds. The clips' own values, over thousands of real ones, are given beside each.
CONTRAST: Final = 0.18
"""least colour distance of the object from the background, in [0, 1] colours (real: 0.45 and more)"""
SOLID: Final = (0.25, 0.85)
"""part of the object's contrast at which a pixel begins to count, and counts fully"""
LEAST_AREA: Final = 0.008
"""least area of the object in every frame, as part of the frame (real: 0.013 and more)"""
MOST_AREA: Final = 0.35
"""largest area in any frame (real: up to 0.25)"""
SPECKS: Final = 0.25
"""largest part of the counted pixels outside the object's surroundings (real: 0)"""
DISC: Final = (0.68, 0.86)
"""area over that of the box around it; a disc has pi / 4 = 0.785 (real: 0.75 to 0.84)"""
SQUARE: Final = (0.90, 1.08)
"""the same for a square, which fills its box (real: 0.99 to 1.02)"""
TRAVEL: Final = 0.12
"""least way of the centre from first to last frame, as part of the side (real: 0.25 to 0.45)"""
STRAIGHT: Final = 0.95
"""least correlation of the centre with time along the way (real: 0.999)"""
ASIDE: Final = 0.4
"""largest way across the direction of motion, as part of the way along it"""
GROWTH: Final = 1.4
"""least ratio of last to first area of what grows (real: 4 and more), and of what does not, most"""
FAITHFUL: Final = 0.5
"""largest relative change of area in what moves (real: 0.1)"""


class Recognised(NamedTuple):
    """What the oracle sees in a clip; None for what it cannot tell."""

    shape: str | None
    motion: str | None


def recognise(videos: Videos) -> list[Recognised]:
    """What the oracle sees in each clip of (N, T, H, W, 3) uint8, at least two frames long."""
    return seen_in(measure(videos), videos.shape[2])


def seen_in(measures: "Measures", side: int) -> list[Recognised]:
    """What was measured, in words; for clips of ``side`` pixels."""
    return [
        Recognised(
            shape_of(measures.fill[i]),
            motion_of(measures.x[i], measures.y[i], measures.area[i], side),
        )
        if measures.clear[i]
        else Recognised(None, None)
        for i in range(len(measures.clear))
    ]


class Measures(NamedTuple):
    """What is measured of the object in every frame, each (N, T) except ``clear`` (N,)."""

    clear: NDArray[np.bool_]
    """there is one object of plausible size in every frame"""
    x: Array
    y: Array
    """centre (pixels)"""
    area: Array
    """pixels"""
    fill: Array
    """area over that of the box around it"""
    colour: Array
    """mean of the object over its pixels and all frames, in [0, 1] (N, 3)"""
    behind: Array
    """mean of the background, in [0, 1] (N, 3)"""


class Traits(NamedTuple):
    """In what clips of one class may differ, each (N,) but for the background (N, 3)."""

    x: Array
    y: Array
    """centre, mean over frames, as part of the side"""
    size: Array
    """side of a square of the object's area, mean over frames, as part of the side"""
    speed: Array
    """way of the centre from first to last frame, of what grows the growth of its size, as part of the side"""
    hue: Array
    """of the object's mean colour, in turns [0, 1)"""
    background: Array
    """mean colour, in [0, 1]"""


def traits(measures: Measures, seen: list[Recognised], side: int) -> Traits:
    """What clips of ``side`` pixels show beside their class. Where nothing is seen, the numbers mean nothing."""
    sizes = np.sqrt(measures.area) / side
    way = np.hypot(measures.x[:, -1] - measures.x[:, 0], measures.y[:, -1] - measures.y[:, 0]) / side
    grows = np.array([each.motion == "grow" for each in seen], dtype=bool)
    return Traits(
        measures.x.mean(1) / side,
        measures.y.mean(1) / side,
        sizes.mean(1),
        np.where(grows, sizes[:, -1] - sizes[:, 0], way),
        np.array([colorsys.rgb_to_hsv(*colour)[0] for colour in measures.colour.tolist()]),
        measures.behind,
    )


def measure(videos: Videos) -> Measures:
    """Separate the object from the background by colour and measure it."""
    pixels = videos.astype(np.float64) / 255
    side = videos.shape[2] * videos.shape[3]
    behind = background(pixels)
    distance = np.linalg.norm(pixels - behind, axis=-1)
    flat = np.sort(distance.reshape(*distance.shape[:2], -1), axis=-1)
    # The object's own contrast: the median over about as many pixels as the smallest object has.
    contrast = flat[..., -max(3, int(LEAST_AREA * side)) :].mean(-1)
    low, high = SOLID
    share = distance / np.maximum(contrast, 1e-6)[..., None, None]
    mask = ((share - low) / (high - low)).clip(0, 1)
    area = mask.sum((2, 3))
    safe = np.maximum(area, 1e-6)
    columns, rows = np.arange(videos.shape[3]), np.arange(videos.shape[2])
    x, y = (mask.sum(2) * columns).sum(2) / safe, (mask.sum(3) * rows).sum(2) / safe
    width, height = mask.max(2).sum(2), mask.max(3).sum(2)
    # Whatever is farther from the centre than a square's corner could be is not part of the object.
    reach = 1.6 * np.sqrt(safe / np.pi) + 1
    far = np.hypot(columns - x[..., None, None], (rows - y[..., None])[..., None]) > reach[..., None, None]
    stray = (mask * far).sum((2, 3)) / safe
    clear = (
        (contrast.min(1) > CONTRAST)
        & (area.min(1) > LEAST_AREA * side)
        & (area.max(1) < MOST_AREA * side)
        & (stray.max(1) < SPECKS)
    )
    colour = (pixels * mask[..., None]).sum((1, 2, 3)) / np.maximum(mask.sum((1, 2, 3)), 1e-6)[:, None]
    fill = area / np.maximum(width * height, 1e-6)
    return Measures(clear, x, y, area, fill, colour, behind.mean((1, 2, 3)))


def background(pixels: Array) -> Array:
    """Each clip's background, a plane per colour fitted to the frames' borders: (N, 1, H, W, 3).

    The fit is repeated without the pixels that the first left far off: an object may touch the border.
    """
    clips, _, height, width, _ = pixels.shape
    still = np.median(pixels, axis=1)
    v, u = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    border = np.zeros((height, width), bool)
    border[:2], border[-2:], border[:, :2], border[:, -2:] = True, True, True, True
    design = np.stack([np.ones_like(u), u, v], axis=-1)
    fitted = np.empty((clips, 1, height, width, 3))
    for i in range(clips):
        a, b = design[border], still[i][border]
        near = np.linalg.norm(b - np.median(b, axis=0), axis=1)
        keep = near <= np.quantile(near, 0.7) + 0.02
        plane, *_ = np.linalg.lstsq(a[keep], b[keep], rcond=None)
        fitted[i, 0] = design @ plane
    return fitted


def shape_of(fill: Array) -> str | None:
    """Disc or square by the median share of its box that the object fills."""
    middle = float(np.median(fill))
    if DISC[0] <= middle <= DISC[1]:
        return "disc"
    if SQUARE[0] <= middle <= SQUARE[1]:
        return "square"
    return None


def motion_of(x: Array, y: Array, area: Array, side: int) -> str | None:
    """Right, left, down, up or grow, from centre (pixels) and area over time (T,)."""
    dx, dy = (x[-1] - x[0]) / side, (y[-1] - y[0]) / side
    time = np.arange(len(x), dtype=np.float64)
    if max(abs(dx), abs(dy)) < TRAVEL:
        grows = area[-1] > GROWTH * area[0] and _correlation(time, area) > STRAIGHT - 0.05
        return "grow" if grows else None
    along, way, across = (x, dx, dy) if abs(dx) > abs(dy) else (y, dy, dx)
    steady = abs(_correlation(time, along)) > STRAIGHT and abs(across) < ASIDE * abs(way)
    if not steady or np.ptp(area) > FAITHFUL * area.mean():
        return None
    if along is x:
        return "right" if dx > 0 else "left"
    return "down" if dy > 0 else "up"


def _correlation(a: Array, b: Array) -> float:
    if np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
