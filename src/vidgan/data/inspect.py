"""What is in a prepared dataset: counts, problems, and a contact sheet."""

import contextlib
import importlib.util
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vidgan.data.dataset import Dataset, Frames
from vidgan.data.fetched import open_stored
from vidgan.data.layouts import LeftOut
from vidgan.data.listing import Remark
from vidgan.data.rates import mixed_rates
from vidgan.data.store import PreparedDataset
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError
from vidgan.files import write_whole
from vidgan.names import printable


class Problem(NamedTuple):
    """A clip that cannot be used as it should be."""

    name: str
    """source name of the clip"""
    reason: str
    """a short phrase"""


class ClassCount(NamedTuple):
    """What a dataset holds of one class."""

    name: str
    clips: int
    shortest: int
    """frames of the shortest clip"""
    median: float
    """frames"""
    longest: int
    """frames of the longest clip"""


class Inspection(NamedTuple):
    """What is in a prepared dataset."""

    classes: list[ClassCount]
    """one entry per class, in label order"""
    left_out: tuple[LeftOut, ...]
    """sources that could not be used when it was prepared"""
    remarks: tuple[Remark, ...]
    """on what was not read then, and on clips that can be used but should be known of"""
    problems: list[Problem]
    """clips that are short, small or damaged"""


def inspect(
    folder: str | Path, *, frames: int = 1, stride: int = 1, size: int = 1, checksums: bool = True
) -> Inspection:
    """Look through the prepared dataset in ``folder``, which may be the URL of one in an object store.

    Args:
        frames: of the window that every clip must hold.
        stride: source frames from one frame of the window to the next.
        size: side of the square that every clip must hold (pixels).
        checksums: read all data and compare them with the checksums taken while preparing.

    Raises:
        UserError: where there is no prepared dataset.
    """
    window = WindowSpec(size=size, frames=frames, stride=stride)
    dataset = open_stored(folder)
    found = list(problems(dataset, window, checksums))
    return Inspection(class_counts(dataset), dataset.index.left_out, remarks_on(dataset), found)


def remarks_on(dataset: PreparedDataset) -> tuple[Remark, ...]:
    """What was remarked when it was prepared, and whether frame rates are mixed."""
    mixed = mixed_rates(dataset)
    return dataset.index.remarks if mixed is None else (*dataset.index.remarks, mixed)


def class_counts(dataset: Dataset) -> list[ClassCount]:
    """One entry per class that has clips, in label order."""
    labels, lengths = dataset.labels(), dataset.sizes()[:, 0]
    counts = []
    for label, name in enumerate(dataset.classes):
        frames = lengths[labels == label]
        if not len(frames):  # of one's own data; prepared classes have a clip each
            continue
        counts.append(
            ClassCount(name, len(frames), int(frames.min()), float(np.median(frames)), int(frames.max()))
        )
    return counts


def mean_length(dataset: Dataset) -> tuple[float, float | None]:
    """Mean frames of a clip, and mean seconds of the clips whose frame rates are known; None: they are of none."""
    frames = dataset.sizes()[:, 0]
    seconds = frames / dataset.rates()
    known = seconds[~np.isnan(seconds)]
    return float(frames.mean()), float(known.mean()) if len(known) else None


def problems(dataset: Dataset, window: WindowSpec, checksums: bool) -> Iterator[Problem]:
    """Clips without room for ``window`` and, of prepared data with ``checksums`` (reads all bytes), damaged clips."""
    crcs = dataset.index.clips["crc"] if isinstance(dataset, PreparedDataset) else ()
    for index in range(len(dataset)):
        if fault := window.fault(dataset.info(index)):
            yield Problem(dataset.name(index), fault)
        if not checksums or not isinstance(dataset, PreparedDataset):
            continue
        try:
            if zlib.crc32(dataset.clip_bytes(index)) != crcs[index]:
                yield Problem(dataset.name(index), "damaged: its checksum does not fit")
        except UserError as error:
            if dataset.shards is not None:
                raise  # the store's fault: the other clips of the shard would say the same
            yield Problem(dataset.name(index), str(error))


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
CLASSES, CLIPS, FRAMES = 40, 3, 4
"""at most so many classes, clips of each, frames of each clip (evenly over its length)"""
SIDE, GAP, TEXT, LETTERS = 64, 2, 19, 13
"""height of a frame, space between frames, height of a line of text and of its letters (pixels)"""
PAPER, INK = (250, 250, 248), (30, 30, 30)


def write_contact_sheet(dataset: Dataset, path: Path) -> None:
    """Write a PNG with a row per class, its name above: the first clips and their frames over time.

    The first line says what is shown.

    Of more classes than :data:`CLASSES`, that many are shown, evenly over the list.

    Raises:
        UserError: where a clip cannot be read.
        OSError: where the file cannot be written.
    """
    picture = contact_sheet(dataset)

    def write(part: Path) -> None:
        picture.save(part, "PNG")

    write_whole(path, write)


def contact_sheet(dataset: Dataset) -> Image.Image:
    """The picture itself."""
    labels = dataset.labels()
    count = min(CLASSES, len(dataset.classes))
    shown = np.linspace(0, len(dataset.classes) - 1, count).round().astype(int).tolist()
    rows = [(label, np.flatnonzero(labels == label)) for label in shown]
    strips = [[clip_strip(dataset, int(index)) for index in clips[:CLIPS]] for _, clips in rows]
    title = title_of(dataset, count)
    font = font_for("".join([title, *(dataset.classes[label] for label in shown)]))
    width = max(sum(strip.shape[1] + 3 * GAP for strip in row) for row in strips)
    width = max(width, math.ceil(font.getlength(title)) + 3 * GAP)
    canvas = Image.new("RGB", (width + 3 * GAP, TEXT + (SIDE + TEXT + 3 * GAP) * count + GAP), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((3 * GAP, GAP), title, INK, font)
    for number, ((label, clips), row) in enumerate(zip(rows, strips, strict=True)):
        top = GAP + TEXT + number * (SIDE + TEXT + 3 * GAP)
        name = drawable(printable(dataset.classes[label]), font)
        draw.text((3 * GAP, top), f"{name}: {len(clips)} clip{'s' * (len(clips) > 1)}", INK, font)
        left = 3 * GAP
        for strip in row:
            canvas.paste(Image.fromarray(strip), (left, top + TEXT))
            left += strip.shape[1] + 3 * GAP
    return canvas


FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial.ttf")
"""that are looked for where names have letters beyond ASCII, which Pillow's own font does not have"""


def font_for(text: str) -> Font:
    """A font that is there and has the letters of ``text``, as far as one is known to."""
    spec = None if text.isascii() else importlib.util.find_spec("matplotlib")
    own = (
        []
        if spec is None or spec.origin is None
        else [f"{Path(spec.origin).parent}/mpl-data/fonts/ttf/{FONTS[0]}"]
    )
    for name in () if text.isascii() else (*FONTS, *own):
        with contextlib.suppress(OSError):
            return ImageFont.truetype(name, LETTERS)
    return ImageFont.load_default(LETTERS)


def drawable(text: str, font: Font) -> str:
    r"""``text`` with what the font has no picture of as escapes (``\u4e2d``)."""
    missing = bytes(font.getmask("\U0010ffff"))
    return "".join(
        c if c.isascii() or bytes(font.getmask(c)) != missing else c.encode("unicode_escape").decode()
        for c in text
    )


def title_of(dataset: Dataset, classes: int) -> str:
    """What the picture shows: of how much, how much."""
    known = len(dataset.classes)
    held = f"{len(dataset)} clips, {known} classes" if known > 1 else f"{len(dataset)} clips without classes"
    left = "" if classes == known else f", {classes} of them here"
    return f"{held}{left}: the first {CLIPS}{' of each' * (known > 1)}, {FRAMES} frames evenly over each clip"


def clip_strip(dataset: Dataset, index: int) -> Frames:
    """(SIDE, W, 3): frames evenly over clip ``index``, side by side."""
    length = dataset.info(index).frames
    places = np.linspace(0, length - 1, min(FRAMES, length)).round().astype(int).tolist()
    frames = [Image.fromarray(dataset.read(index, place, 1)[0]) for place in places]
    scaled = [
        frame.resize((max(1, round(SIDE * frame.width / frame.height)), SIDE), Image.Resampling.BICUBIC)
        for frame in frames
    ]
    gap = np.full((SIDE, GAP, 3), PAPER, np.uint8)
    parts = [part for frame in scaled for part in (np.asarray(frame), gap)]
    return np.concatenate(parts[:-1], axis=1)
