"""Motion as colours: the hue is the direction, the saturation the speed."""

import numpy as np
from numpy.typing import NDArray

from vidgan.sample.grids import Videos


def colour_wheel(motion: NDArray[np.floating], fastest: float) -> Videos:
    """Motion (... 2 H W), to the right and downwards, as colours (... H W 3), uint8 RGB.

    What rests is white; to the right is red, then clockwise: downwards yellow-green, to the left cyan, upwards violet.

    Our choice: hue and saturation of HSV; the paper's figure does not say which wheel it uses.

    Args:
        fastest: speed at which colours are full, in the motion's unit; what is faster looks the same.
    """
    right, down = np.moveaxis(motion.astype(np.float64), -3, 0)
    sixths = np.arctan2(down, right) / (2 * np.pi) % 1 * 6
    full = np.clip(np.hypot(right, down) / max(fastest, np.finfo(np.float64).tiny), 0, 1)
    # HSV to RGB at value 1: a colour channel falls from 1 by the saturation where its hue is far.
    places = [(first + sixths) % 6 for first in (5, 3, 1)]
    channels = [1 - full * np.clip(np.minimum(place, 4 - place), 0, 1) for place in places]
    return np.round(255 * np.stack(channels, axis=-1)).astype(np.uint8)


def under(video: Videos, motion: NDArray[np.floating], fastest: float) -> Videos:
    """A video (T H W 3) over the colours of its last frames' motion (t 2 H W): one clip (T 2H W 3).

    Frames that were given in front have no motion; they stand over grey.
    """
    below = np.full_like(video, 128)
    below[len(video) - len(motion) :] = colour_wheel(motion, fastest)
    return np.concatenate([video, below], axis=1)
