"""How data lie on disk before they are prepared: the contract, and folders of one's own.

A layout lists the clips of a source folder with their classes, without reading them; what a clip is read
from stands in :mod:`vidgan.data.video`. Published datasets have a file each in :mod:`vidgan.data.published`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar, NamedTuple

from vidgan.data.animation import WEBP, Animation
from vidgan.data.images import IMAGES, FrameFolder, StripImage
from vidgan.data.listing import Listing, Remark, list_files, list_folders
from vidgan.data.video import VIDEOS, ClipSource, VideoFile
from vidgan.errors import UserError, did_you_mean, some
from vidgan.names import printable
from vidgan.spec import Spec, require

PARTS = ("train", "training", "val", "valid", "validation", "test", "testing")


class LeftOut(NamedTuple):
    """A source that is not part of the prepared dataset, and why."""

    name: str
    """path below the source folder"""
    reason: str
    """a short phrase"""


class FoundClips(NamedTuple):
    """What a layout found in a source folder."""

    classes: tuple[str, ...]
    """class names in label order; ``("all",)`` where the data has no classes"""
    sources: list[ClipSource]
    """clips to be, in a fixed order"""
    left_out: list[LeftOut]
    """what looks like a clip but belongs to no class, or is listed but not there"""
    remarks: tuple[Remark, ...] = ()
    """on what else there is and is not read"""


class Layout(Spec, ABC):
    """A way in which a dataset lies on disk."""

    @abstractmethod
    def find(self, source: Path) -> FoundClips:
        """List the clips below ``source``.

        Raises:
            UserError: where the folder is missing, holds nothing usable or is of another layout.
        """


class Split(Layout, ABC):
    """A layout whose clips come in official splits."""

    splits: ClassVar[tuple[str, ...]]
    """their names"""
    split: str = "train"
    """the split to prepare"""

    def validate(self) -> None:
        hint = did_you_mean(self.split, list(self.splits))
        known = ", ".join(self.splits)
        require(self.split in self.splits, f"the splits are {known}, not {self.split!r}{hint}")


class Folder(Layout):
    """One folder of videos per class, named as the class; or the videos themselves, without classes."""

    def find(self, source: Path) -> FoundClips:
        return _classes_of(source, list_files, (*VIDEOS, WEBP), "videos", _video)


class Strips(Layout):
    """As :class:`Folder`, with an image per clip, its square frames side by side."""

    def find(self, source: Path) -> FoundClips:
        return _classes_of(source, list_files, IMAGES, "strip images", StripImage)


class FrameFolders(Layout):
    """As :class:`Folder`, with a folder per clip, whose images are its frames in the order of their numbers."""

    def find(self, source: Path) -> FoundClips:
        return _classes_of(source, list_folders, IMAGES, "folders of frame images", FrameFolder)


def _video(path: Path, name: str, label: int) -> ClipSource:
    return (Animation if path.suffix.lower() == WEBP else VideoFile)(path, name, label)


def _classes_of(
    source: Path,
    find: Callable[[Path, tuple[str, ...]], Listing],
    suffixes: tuple[str, ...],
    what: str,
    clip: Callable[[Path, str, int], ClipSource],
) -> FoundClips:
    require_folder(source, what)
    known = f"{what} ({', '.join(suffix[1:] for suffix in suffixes)})"
    listing = find(source, suffixes)
    folders = listing.by_folder()
    loose = folders.pop("")
    if not listing.files:
        raise UserError(
            f"{source} holds no {known}, neither itself nor in folders, one per class; "
            f"{'; '.join([contents(source), *map(str, listing.remarks)])}"
        )
    if not any(folders.values()):
        folders, loose = {"all": loose}, []
    if folders and all(_is_part(source / name) for name in folders):
        raise UserError(
            f"the folders of {source} ({some(list(folders), 4)}) are named as parts of a dataset and hold folders "
            f"themselves: prepare each apart, beginning with {source / next(iter(folders))}"
        )
    if empty := [name for name, files in folders.items() if not files]:
        held = "; ".join(["", *map(str, listing.remarks)])
        raise UserError(
            f"class folders of {source} without {known}: {', '.join(empty)}; fill or remove them{held}"
        )
    sources = [
        clip(file, file.relative_to(source).as_posix(), label)
        for label, files in enumerate(folders.values())
        for file in files
    ]
    left_out = [LeftOut(file.name, "lies in no class folder") for file in loose]
    return FoundClips(tuple(map(printable, folders)), sources, left_out, listing.remarks_on_classes())


def _is_part(folder: Path) -> bool:
    # Their classes lie one level deeper; taken for classes themselves, all clips would have one label.
    return folder.name.lower() in PARTS and any(path.is_dir() for path in folder.iterdir())


def require_folder(source: Path, what: str) -> None:
    """Raise :class:`UserError` unless ``source`` is a folder; ``what`` it should hold."""
    if not source.is_dir():
        raise UserError(f"no folder at {source}: give the folder that holds the {what}")


def contents(folder: Path) -> str:
    """What ``folder`` holds, in a few words: ``it holds the folders a, b and 12 .png files (x.png, ...)``."""
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    folders = [path.name for path in entries if path.is_dir()]
    kinds: dict[str, list[str]] = {}
    for path in entries:
        if not path.is_dir():
            kinds.setdefault(path.suffix or "nameless", []).append(path.name)
    parts = []
    if folders:
        parts.append(f"the folder{'s' * (len(folders) > 1)} {some(folders, 4)}")
    for kind, names in sorted(kinds.items(), key=lambda pair: -len(pair[1]))[:3]:
        many = len(names) > 1
        parts.append(f"{len(names)} {kind} file{'s' * many} ({names[0]}{', ...' * many})")
    return f"it holds {' and '.join(parts) if parts else 'nothing'}"


def files_of(paths: Iterable[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """The files among ``paths`` with one of these suffixes, sorted, hidden ones apart."""
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in suffixes and path.is_file() and not path.name.startswith(".")
    )


def below(source: Path, dataset: str, *names: str) -> Path:
    """The first of the folders ``names`` (below ``source``, ``.`` being itself) that is there.

    Raises:
        UserError: where none is, with what was found.
    """
    require_folder(source, dataset)
    for name in names:
        if (source / name).is_dir():
            return source / name
    raise not_this(source, dataset, f"no folder {' or '.join(names)}")


def not_this(source: Path, dataset: str, lacks: str) -> UserError:
    """The one line for a folder that is not the dataset it was said to be, with what was found."""
    return UserError(
        f"{source} is not {dataset} as it is published: {lacks}; {contents(source)}. Give the folder that "
        "holds it, or another --layout"
    )
