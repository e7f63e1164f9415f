"""Writing clips to files that people can open; each file appears whole or not at all."""

import itertools
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidgan.errors import UserError
from vidgan.files import write_whole

Clip = NDArray[np.uint8]
"""Frames (T, H, W, 3), uint8 RGB."""
RATES: Final = (0.1, 1000.0)
"""Slowest and fastest, in frames per second: animations count whole milliseconds, of at least one."""


def write_clip(path: Path, clip: Clip, fps: float) -> None:
    """Write frames (T, H, W, 3) in the format of ``path``'s suffix.

    ``.mp4`` is H.264 with halved colour resolution and is lossy; ``.gif`` keeps 256 colours; ``.webp``,
    ``.png`` (a strip: frames side by side) and ``.npy`` are lossless.

    Args:
        fps: frames per second; strips and arrays do not keep it.

    Raises:
        UserError: for an unknown suffix (names the known ones) or an impossible frame rate.
    """
    if path.suffix not in FORMATS:
        raise UserError(f"cannot write {path.name}: known formats are {', '.join(FORMATS)}")
    check_rate(fps)
    write_whole(path, lambda part: FORMATS[path.suffix](part, clip, fps))


def write_stream(path: Path, frames: Iterable[Clip], fps: float) -> None:
    """Write frames (H, W, 3), at least one, to an ``.mp4`` as they come; no more than a few are held at a time.

    Raises:
        UserError: for an impossible frame rate.
    """
    check_rate(fps)
    write_whole(path, lambda part: _mp4(part, frames, fps))


def check_rate(fps: float) -> None:
    """Raise :class:`UserError` for a frame rate that files cannot hold."""
    low, high = RATES
    if not low <= fps <= high:
        raise UserError(f"frames per second must be {low:g} to {high:g}, got {fps:g}")


def write_frames(folder: Path, clip: Clip) -> None:
    """Write every frame as ``00000.png``, ``00001.png``, ... into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, frame in enumerate(clip):
        write_image(folder / f"{i:05d}.png", frame)


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Write one RGB image (H, W, 3) as PNG."""
    write_whole(path, lambda part: Image.fromarray(image).save(part, format="PNG"))


def _mp4(path: Path, frames: Iterable[Clip], fps: float) -> None:
    coming = iter(frames)
    first = next(coming)
    # Colours are kept for 2x2 pixels, so odd sides are made even by repeating the last row or column.
    more = [(0, side % 2) for side in first.shape[:2]]
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("h264", rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = (side + side % 2 for side in first.shape[:2])
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "14"}  # visually lossless for small videos
        for frame in itertools.chain([first], coming):
            even = np.pad(frame, (*more, (0, 0)), mode="edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, "rgb24")))
        container.mux(stream.encode(None))


def _animation(kind: str, **options: bool) -> Callable[[Path, Clip, float], None]:
    def write(path: Path, clip: Clip, fps: float) -> None:
        first, *rest = (Image.fromarray(frame) for frame in clip)
        first.save(
            path,
            format=kind,
            save_all=True,
            append_images=rest,
            duration=round(1000 / fps),
            loop=0,
            **options,
        )

    return write


def _strip(path: Path, clip: Clip, fps: float) -> None:
    Image.fromarray(np.concatenate(list(clip), axis=1)).save(path, format="PNG")


def _array(path: Path, clip: Clip, fps: float) -> None:
    np.save(path, clip, allow_pickle=False)


FORMATS: Final[dict[str, Callable[[Path, Clip, float], None]]] = {
    ".mp4": _mp4,
    ".gif": _animation("GIF", optimize=False),
    ".webp": _animation("WEBP", lossless=True),
    ".png": _strip,
    ".npy": _array,
}
