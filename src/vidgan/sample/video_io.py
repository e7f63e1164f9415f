"""Videos as files and pictures: mp4, gif, webp, strips and grids."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple

import av
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vidgan.data.animation import COUNT
from vidgan.errors import UserError
from vidgan.files import write_whole
from vidgan.names import ffmpeg_file

Clip = NDArray[np.uint8]
"""Frames (T, H, W, 3), uint8 RGB."""
RATES: Final = (0.1, 1000.0)
"""Slowest and fastest, in frames per second: animations count whole milliseconds, of at least one."""


def save_video(video: Tensor | NDArray[Any], path: str | Path, fps: float = 12.0) -> None:
    """Write one video, whole or not at all, in the format of ``path``'s suffix; see :func:`write_clip`.

    Args:
        video: float (T, 3, H, W) in [-1, 1], or uint8 (T, H, W, 3).
        fps: frames per second; strips and arrays do not keep it.

    Raises:
        UserError: for a video of another shape or type, an unknown suffix, an impossible frame rate or a folder that
            is not there.
    """
    if not (folder := Path(path).absolute().parent).is_dir():
        raise UserError(f"{path} cannot be written: there is no folder {folder}")
    given = (video if isinstance(video, Tensor) else torch.from_numpy(np.array(video))).detach().cpu()
    if given.is_floating_point() and given.ndim == 4 and given.shape[1] == 3 and given.numel():
        if not given.isfinite().all():
            raise UserError(
                "a video of floats has values in [-1, 1], and this one has some that are not finite"
            )
        given = to_bytes(given[None].float())[0]
    if given.dtype != torch.uint8 or given.ndim != 4 or given.shape[3] != 3 or not given.numel():
        shape = tuple(given.shape)
        raise UserError(
            f"a video is float (T, 3, H, W) in [-1, 1] or uint8 (T, H, W, 3), got {given.dtype} {shape}"
        )
    write_clip(Path(path), given.numpy(), fps)


def to_bytes(video: Tensor) -> Tensor:
    """Video (n T 3 H W) in [-1, 1] -> uint8 (n T H W 3), rounded to the nearest value."""
    return ((video.permute(0, 1, 3, 4, 2) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


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


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Write one RGB image (H, W, 3) as PNG."""
    write_whole(path, lambda part: Image.fromarray(image).save(part, format="PNG"))


def _mp4(path: Path, frames: Iterable[Clip], fps: float) -> None:
    coming = iter(frames)
    first = next(coming)
    # Colours are kept for 2x2 pixels, so odd sides are made even by repeating the last row or column.
    more = [(0, side % 2) for side in first.shape[:2]]
    with av.open(ffmpeg_file(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("h264", rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = (side + side % 2 for side in first.shape[:2])
        stream.pix_fmt = "yuv420p"
        # Visually lossless for small videos. With macroblock trees x264 makes other files of the same small video from
        # one time to the next.
        stream.options = {"crf": "14", "x264-params": "mbtree=0"}
        for frame in itertools.chain([first], coming):
            even = np.pad(frame, (*more, (0, 0)), mode="edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, "rgb24")))
        container.mux(stream.encode(None))


def _animation(kind: str, **options: bool) -> Callable[[Path, Clip, float], None]:
    def write(path: Path, clip: Clip, fps: float) -> None:
        # A frame that repeats is written once and shown longer; so that none is lost, their number is told.
        told: dict[str, Any] = {"xmp": COUNT.format(len(clip)).encode()} if kind == "WEBP" else {}
        first, *rest = (Image.fromarray(frame) for frame in clip)
        first.save(
            path,
            format=kind,
            save_all=True,
            append_images=rest,
            duration=round(1000 / fps),
            loop=0,
            **told,
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


Videos = NDArray[np.uint8]
"""Clips (N, T, H, W, 3), uint8 RGB."""


def grid(videos: Videos, columns: int, gap: int = 2, scale: int = 1) -> Videos:
    """Clips (N, T, H, W, 3) side by side, ``columns`` to a row: one clip (T, H', W', 3).

    Args:
        gap: black pixels between clips.
        scale: every pixel becomes scale x scale pixels.
    """
    videos = enlarge(videos, scale)
    count, steps, height, width, colours = videos.shape
    rows = -(-count // columns)
    canvas = np.zeros((steps, rows * (height + gap) - gap, columns * (width + gap) - gap, colours), np.uint8)
    for i, video in enumerate(videos):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        canvas[:, top : top + height, left : left + width] = video
    return canvas


def blocks(videos: Videos, count: int, columns: int) -> Videos:
    """Clips (N, T, H, W, 3), of which number i is of block i % ``count``: one clip (T, H', W', 3).

    Each block has ``columns`` clips to a row, and the blocks form a square, row by row (Clark et al. 2019, Figure 4).
    """
    each = [grid(videos[block::count], columns) for block in range(count)]
    return grid(np.stack(each), max(1, round(count**0.5)), gap=8)


def strip(videos: Videos, gap: int = 2, scale: int = 1) -> Videos:
    """A still picture (H', W', 3): a row per clip, its frames from left to right."""
    frames = videos.reshape(-1, 1, *videos.shape[2:])
    return grid(frames, columns=videos.shape[1], gap=gap, scale=scale)[0]


def raster(clip: Clip) -> NDArray[np.uint8]:
    """All frames of a clip (T, H, W, 3) in raster order, as Clark et al. 2019 print one (Figure 5): (H', W', 3)."""
    return grid(clip[:, None], columns=raster_columns(len(clip)))[0]


def raster_columns(count: int) -> int:
    """Columns of a picture of so many frames: the fewest, from its square root to twice that, of which the last row is
    full; else its square root, rounded up."""
    least = math.isqrt(count - 1) + 1
    return next((columns for columns in range(least, 2 * least + 1) if count % columns == 0), least)


def columns_of_time(videos: Videos, rows: int) -> NDArray[np.uint8]:
    """A still picture (H', W', 3) of videos (N, T, H, W, 3) as Clark et al. 2019 print interpolations (D.2).

    Each column is a video; ``rows`` of its frames, evenly spread from first to last, stand below each other.
    """
    steps = np.linspace(0, videos.shape[1] - 1, min(rows, videos.shape[1])).round().astype(int)
    return strip(np.ascontiguousarray(videos[:, steps].swapaxes(0, 1)))


def enlarge(videos: Videos, scale: int) -> Videos:
    """Nearest-neighbour enlargement of height and width by a whole number."""
    return videos if scale == 1 else videos.repeat(scale, axis=-3).repeat(scale, axis=-2)


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


class Row(NamedTuple):
    """Videos that stand beside each other."""

    name: str
    videos: Videos
    """clips (N, T', h, w, 3), uint8; T' divides the frames of the longest row, h its height"""


def stand_in_time(rows: Sequence[Row], steps: Sequence[int], frames: int) -> list[Videos]:
    """Every row at the size of the largest, with what it shows at ``steps`` of a video of ``frames`` frames.

    Raises:
        UserError: if a size does not divide the largest.
    """
    size = max(row.videos.shape[-2] for row in rows)
    shown = []
    for row in rows:
        own, length = row.videos.shape[-2], row.videos.shape[1]
        if size % own:
            raise UserError(f"{row.name} has {own} pixels a side, which cannot be enlarged to {size}")
        places = [step * length // frames for step in steps]
        shown.append(enlarge(row.videos[:, places], size // own))
    return shown


def spread(frames: int, count: int) -> list[int]:
    """``count`` steps of a video, evenly from the first to the last; all of them where it has fewer."""
    return [int(step) for step in np.linspace(0, frames - 1, min(count, frames)).round()]


def as_strip(shown: Sequence[Videos]) -> NDArray[np.uint8]:
    """A still picture (H', W', 3): for each clip its rows, with time to the right (SSW-GAN, Figures 4 and 10)."""
    by_clip = np.stack(shown, axis=1)
    return strip(by_clip.reshape(-1, *by_clip.shape[2:]))


def as_film(shown: Sequence[Videos]) -> Videos:
    """A video (T, H', W', 3): a column per clip, a row per row (SSW-GAN, D)."""
    return grid(np.concatenate(shown), columns=len(shown[0]))
