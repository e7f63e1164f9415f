"""How datasets lie on disk before they are prepared. To add a published dataset, add its layout here.

A layout lists the clips of a source folder with their classes, without reading them; what a clip is read
from stands in :mod:`vidgan.data.sources`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from vidgan.data.sources import ClipSource, StripImage, VideoFile
from vidgan.errors import UserError
from vidgan.spec import Spec

VIDEOS = (".mp4", ".avi", ".webm", ".mkv", ".mov", ".gif")
IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


class LeftOut(NamedTuple):
    """A source that is not part of the prepared dataset, and why."""

    name: str
    """path below the source folder"""
    reason: str
    """a short phrase"""


class Found(NamedTuple):
    """What a layout found in a source folder."""

    classes: tuple[str, ...]
    """class names in label order; ``("all",)`` where the data has no classes"""
    sources: list[ClipSource]
    """clips to be, in a fixed order"""
    left_out: list[LeftOut]
    """files that look like clips but belong to no class"""


class Layout(Spec, ABC):
    """A way in which a dataset lies on disk."""

    @abstractmethod
    def find(self, source: Path) -> Found:
        """List the clips below ``source``.

        Raises:
            UserError: where the folder is missing, holds nothing usable or is of another layout.
        """


class Folder(Layout):
    """One folder of videos per class, named as the class; or the videos themselves, without classes."""

    def find(self, source: Path) -> Found:
        return _classes_of(source, VIDEOS, "videos", VideoFile)


class Strips(Layout):
    """As :class:`Folder`, with an image per clip, its square frames side by side."""

    def find(self, source: Path) -> Found:
        return _classes_of(source, IMAGES, "strip images", StripImage)


def _classes_of(source: Path, suffixes: tuple[str, ...], what: str, kind: type[ClipSource]) -> Found:
    if not source.is_dir():
        raise UserError(f"no folder at {source}: give the folder that holds the {what}")
    known = f"{what} ({', '.join(suffix[1:] for suffix in suffixes)})"
    loose = _files(source.iterdir(), suffixes)
    folders = {
        folder.name: _files(folder.rglob("*"), suffixes)
        for folder in sorted(source.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    }
    if not loose and not any(folders.values()):
        raise UserError(f"{source} holds no {known}, neither itself nor in folders, one per class")
    if not any(folders.values()):
        folders, loose = {"all": loose}, []
    if empty := [name for name, files in folders.items() if not files]:
        raise UserError(f"class folders of {source} without {known}: {', '.join(empty)}; fill or remove them")
    sources = [
        kind(path=file, name=file.relative_to(source).as_posix(), label=label)
        for label, files in enumerate(folders.values())
        for file in files
    ]
    left_out = [LeftOut(file.name, "lies in no class folder") for file in loose]
    return Found(tuple(folders), sources, left_out)


def _files(paths: Iterable[Path], suffixes: tuple[str, ...]) -> list[Path]:
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in suffixes and path.is_file() and not path.name.startswith(".")
    )
