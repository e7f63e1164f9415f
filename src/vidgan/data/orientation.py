"""Which way up a picture is shown: the eight turns and mirrorings that a video's display matrix can ask for."""

from typing import Any, NamedTuple

import numpy as np
from av import VideoFrame

from vidgan.data.codecs import Frame


class Orientation(NamedTuple):
    """What is done to a picture, in this order, to show it upright."""

    transposed: bool = False
    """rows become columns"""
    mirrored: bool = False
    """left becomes right"""
    upside_down: bool = False
    """top becomes bottom"""

    def apply(self, picture: Frame) -> Frame:
        """``picture`` (H, W, 3) as it is shown."""
        shown = picture.swapaxes(0, 1) if self.transposed else picture
        if self.mirrored:
            shown = shown[:, ::-1]
        if self.upside_down:
            shown = shown[::-1]
        return np.ascontiguousarray(shown)


def orientation_of(frame: VideoFrame) -> Orientation | None:
    """What the display matrix of ``frame`` asks for; None where it has none.

    Containers give one to all frames, H.264's and HEVC's messages to the first frame that they are meant for.
    Of a matrix that turns by other angles, the nearest of the eight is taken.
    """
    held: Any = frame.side_data  # PyAV's own type for it knows motion vectors alone
    try:
        matrix = np.frombuffer(bytes(held["DISPLAYMATRIX"]), "=i4")
    except KeyError:
        return None
    # (x, y) is shown at (a x + c y, b x + d y); libavutil/display.h
    a, b, _, c, d = matrix[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, c < 0, b < 0)
    return Orientation(False, a < 0, d < 0)
