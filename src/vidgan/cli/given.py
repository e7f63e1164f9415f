"""What ``vidgan predict`` continues: frames of a video, of a picture of frames, of a folder, or clips of a dataset."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidgan.cli.shared import say
from vidgan.data.animation import WEBP, Animation, is_animation
from vidgan.data.codecs import Frame
from vidgan.data.dataset import Dataset, Frames
from vidgan.data.images import IMAGES, FrameFolder, StripImage
from vidgan.data.open import is_named
from vidgan.data.remote import is_url
from vidgan.data.resize import Resizer
from vidgan.data.store import INDEX
from vidgan.data.synthetic import BUILT_IN
from vidgan.data.video import BrokenClipError, ClipSource, VideoFile
from vidgan.data.window import Place, WindowSpec, cut, random_clip
from vidgan.errors import UserError, did_you_mean
from vidgan.models.level import LevelSpec
from vidgan.report.words import count as counted
from vidgan.run.data import open_data
from vidgan.run.experiment import Experiment
from vidgan.seeds import derive


class Source(NamedTuple):
    """What is taken from a video: frames (T, size, size, 3)."""

    name: str
    """of the video"""
    given: Frames
    """conditioning frames"""
    truth: Frames | None
    """as many frames as are made after them; None where the video ends before"""
    label: str | None = None
    """class of the clip; None where that is not known"""


def read_source(path: Path, level: LevelSpec, start: int, length: int) -> Source:
    """What ``level`` is given of a video from frame ``start`` on, and the ``length`` frames that follow.

    Resized and cropped to the centre.

    Raises:
        UserError: if the video is missing, broken or too short.
    """
    if not path.is_file() and not path.is_dir():
        raise UserError(f"there is no video {path}")
    count, stride = level.context_frames, level.stride
    wanted = range(start, start + (count + length) * stride, stride)
    needed = wanted[count - 1] + 1
    frames, held = read_frames(path, level.size, wanted)
    if len(frames) < count:
        raise UserError(
            f"{path.name} has {counted(held, 'frame')}; the model is given frames up to number {needed}"
        )
    height, width = frames[0].shape[:2]
    if height != width:
        say(
            f"{path.name} is not square: the middle {level.size}x{level.size} of {width}x{height} pixels is continued"
        )
    top, left = ((side - level.size) // 2 for side in (height, width))
    square = np.stack(frames)[:, top : top + level.size, left : left + level.size]
    given, after = square[:count], square[count:]
    return Source(path.name, np.ascontiguousarray(given), after if len(after) == length else None)


def read_frames(path: Path, size: int, wanted: range) -> tuple[list[Frame], int]:
    """The frames with these numbers, as far as there are any, and how many there are up to the last of them.

    The shorter side is resized to ``size`` pixels. Frames of an image stand side by side in it.

    Raises:
        UserError: if the file cannot be decoded.
    """
    frames, held = [], 0
    try:
        opened = clip_at(path).open(Resizer(size, "bilinear"))
        for held, frame in enumerate(islice(opened.frames, wanted[-1] + 1), 1):
            if held - 1 in wanted:
                frames.append(frame)
    except BrokenClipError as error:
        raise UserError(f"{path} is not a video that can be read: {error}") from error
    for remark in opened.remarks:
        say(f"{path.name}: {remark}")
    return frames, held


def clip_at(path: Path) -> ClipSource:
    """What reads the file or folder at ``path``; a WebP is an animation, or an image of frames side by side."""
    if path.is_dir():
        return FrameFolder(path, path.name, 0)
    image = path.suffix.lower() in IMAGES and not is_animation(path)
    kind = StripImage if image else Animation if path.suffix.lower() == WEBP else VideoFile
    return kind(path, path.name, 0)


def is_dataset(named: str) -> bool:
    """Whether this is what :func:`vidgan.open_dataset` opens by name: prepared or built-in clips, or one's own."""
    return named in BUILT_IN or is_named(named) or is_url(named) or (Path(named) / INDEX).is_file()


def chosen_clips(dataset: Dataset, named: Sequence[str], random: int | None, seed: int) -> list[int]:
    """The numbers of clips that are named, by number (from 0) or name, and of ``random`` ones drawn by ``seed``.

    Raises:
        UserError: if there is no such clip, or none is asked for.
    """
    if not named and random is None:
        raise UserError(
            f"{dataset.source} has {counted(len(dataset), 'clip')}: say which by --clips, or how many by --random"
        )
    names = {dataset.name(index): index for index in range(len(dataset))} if named else {}
    found = []
    for each in named:
        if each in names:
            found.append(names[each])
        elif each.isdecimal() and int(each) < len(dataset):
            found.append(int(each))
        else:
            raise UserError(
                f"{dataset.source} has no clip {each!r}{did_you_mean(each, list(names))}; clips are named, or "
                f"numbered from 0 to {len(dataset) - 1}"
            )
    drawn = derive(seed, "predicted clips")
    return found + [random_clip(len(dataset), drawn, n) for n in range(random or 0)]


def clip_of(dataset: Dataset, index: int, level: LevelSpec, start: int, length: int) -> Source:
    """As :func:`read_source`, of clip ``index`` of a dataset.

    Raises:
        UserError: if the clip is too short or too small.
    """
    info, name = dataset.info(index), dataset.name(index)
    window = WindowSpec(size=level.size, frames=level.context_frames + length, stride=level.stride)
    whole = start + window.span <= info.frames
    if not whole:
        window = window.replace(frames=level.context_frames)
    if fault := window.fault(info._replace(frames=info.frames - start)):
        raise UserError(f"{name} cannot be continued from frame {start} on: {fault}")
    top, left = ((side - level.size) // 2 for side in window.fitted(info))
    frames = cut(dataset, window, Place(clip=index, start=start, top=top, left=left, flip=False))
    given, after = frames[: level.context_frames], frames[level.context_frames :]
    return Source(name, given, after if whole else None, dataset.classes[info.label])


def sources_of(
    named: str,
    experiment: Experiment,
    clips: Sequence[str],
    random: int | None,
    seed: int,
    start: int,
    length: int,
) -> dict[str, Source]:
    """What is continued, by the folder below ``--out`` that it is written to: "" for a video that stands alone.

    Raises:
        UserError: if there is none, or clips are chosen of what is no dataset.
    """
    level = experiment.levels[0]
    if not is_dataset(named):
        if clips or random is not None:
            raise UserError(f"--clips and --random choose clips of a dataset, and {named} is none")
        return {"": read_source(Path(named), level, start, length)}
    dataset = open_data(named, experiment)
    numbers = chosen_clips(dataset, clips, random, seed)
    return {f"{index:05d}": clip_of(dataset, index, level, start, length) for index in dict.fromkeys(numbers)}
