"""Clips as parts of a page: moving pictures with alternative texts, inside the page itself."""

import base64
import io
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from markupsafe import Markup
from PIL import Image

from vidgan.sample.previews import FPS
from vidgan.sample.video_io import Clip, enlarge, strip

TILE: Final = 128
"""pixels that a clip is about wide on a page"""
WIDE: Final = 240
"""pixels that a list to choose from has at least: beside it on a phone stands nothing"""
QUALITY: Final = 90
"""of lossy WebP, which is made some twenty times faster than lossless: a page is looked at, not measured"""


class Shown(NamedTuple):
    """A clip on a page."""

    clip: Clip
    """frames (T, H, W, 3), uint8"""
    text: str
    """what it is"""
    pin: int | None = None
    """its number where it can be pinned"""
    pinned: bool = False


def grid_of(shown: Iterable[Shown], still: bool = False) -> Markup:
    """A list of clips as HTML; ``still`` shows frames side by side instead of moving ones."""
    items = Markup("").join(_item(each, still) for each in shown)
    return Markup('<ul class="clips{}">{}</ul>').format(Markup(" still") if still else "", items)


def message(text: str, kind: str = "missing") -> Markup:
    """A line that is read out when it appears."""
    return Markup('<p class="{}" role="status">{}</p>').format(kind, text)


def _item(shown: Shown, still: bool) -> Markup:
    height, width = shown.clip.shape[1:3]
    classes = [*(["pinned"] if shown.pinned else []), *(["broad"] if 2 * width > 3 * height else [])]
    if still:
        shown_frames = strip(shown.clip[None])
        picture = picture_of(shown_frames[None], f"{shown.text}, frames from left to right", width=None)
    else:
        scale = max(1, round(TILE / height))
        picture = picture_of(shown.clip, shown.text, width * scale)
    button = Markup()
    if shown.pin is not None:
        words = "Unpin" if shown.pinned else "Pin"
        button = Markup(
            '<button type="button" data-pin="{}" aria-pressed="{}" aria-label="{} {}">{}</button>'
        ).format(shown.pin, "true" if shown.pinned else "false", words, shown.text, words)
    return Markup('<li{}><figure>{}<figcaption title="{}">{}</figcaption></figure>{}</li>').format(
        Markup(' class="{}"').format(" ".join(classes)) if classes else "",
        picture,
        shown.text,
        shown.text,
        button,
    )


def picture_of(clip: Clip, text: str, width: int | None) -> Markup:
    """A clip (T, H, W, 3), or a single frame, as an image ``width`` pixels wide; None: its own."""
    own_height, own_width = clip.shape[1:3]
    shown = own_width if width is None else width
    return Markup('<img src="data:image/webp;base64,{}" alt="{}" width="{}" height="{}">').format(
        base64.b64encode(webp(clip)).decode("ascii"), text, shown, round(own_height * shown / own_width)
    )


def webp(clip: Clip) -> bytes:
    """Frames (T, H, W, 3) as an animated WebP that repeats; a single one as a lossless picture."""
    first, *rest = (Image.fromarray(frame) for frame in clip)
    file = io.BytesIO()
    if rest:
        first.save(
            file,
            "WEBP",
            save_all=True,
            append_images=rest,
            duration=round(1000 / FPS),
            loop=0,
            quality=QUALITY,
            method=2,
        )
    else:
        first.save(file, "WEBP", lossless=True)
    return file.getvalue()


def beside(levels: Sequence[Clip], gap: int = 2) -> Clip:
    """Clips of one video at several sizes and rates side by side, the first to the left: (T, H, W, 3).

    A smaller one is enlarged by a whole number, and stands in the middle of its place where that does not fill it; one
    with fewer frames shows each for longer.
    """
    height, steps = max(clip.shape[1] for clip in levels), max(len(clip) for clip in levels)
    parts = []
    for clip in levels:
        large = enlarge(clip[[step * len(clip) // steps for step in range(steps)]], height // clip.shape[1])
        above = (height - large.shape[1]) // 2
        parts.append(np.pad(large, ((0, 0), (above, height - large.shape[1] - above), (0, gap), (0, 0))))
    return np.concatenate(parts, axis=2)[:, :, :-gap]
