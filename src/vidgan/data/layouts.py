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
from vidgan.data.remote import Copied, Store
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

    def find_in(self, store: Store) -> FoundClips:
        """As :meth:`find`, in an object store.

        Raises:
            UserError: where it cannot be read, holds nothing usable, or the layout wants a folder on disk.
        """
        raise UserError(
            f"{store.url}: this layout is read from a folder on disk alone: copy it there; layouts folder, strips and "
            "tar are read from where they are"
        )


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

    def find_in(self, store: Store) -> FoundClips:
        return _classes_in(store, (*VIDEOS, WEBP), "videos", video_kind)


class Strips(Layout):
    """As :class:`Folder`, with an image per clip, its square frames side by side."""

    def find(self, source: Path) -> FoundClips:
        return _classes_of(source, list_files, IMAGES, "strip images", StripImage)

    def find_in(self, store: Store) -> FoundClips:
        return _classes_in(store, IMAGES, "strip images", lambda path: StripImage)


class FrameFolders(Layout):
    """As :class:`Folder`, with a folder per clip, whose images are its frames in the order of their numbers."""

    def find(self, source: Path) -> FoundClips:
        return _classes_of(source, list_folders, IMAGES, "folders of frame images", FrameFolder)


def video_kind(path: Path) -> type[ClipSource]:
    """What reads a video file."""
    return Animation if path.suffix.lower() == WEBP else VideoFile


def _video(path: Path, name: str, label: int) -> ClipSource:
    return video_kind(path)(path, name, label)


def _classes_in(
    store: Store, suffixes: tuple[str, ...], what: str, kind: Callable[[Path], type[ClipSource]]
) -> FoundClips:
    listing = store.list_files(suffixes)
    known = f"{what} ({', '.join(suffix[1:] for suffix in suffixes)})"
    if not listing.files:
        raise UserError("; ".join([f"{store.url} holds no {known}", *map(str, listing.remarks)]))
    places = [file.relative_to(listing.root).parts for file in listing.files]
    deep = {parts[0] for parts in places if len(parts) > 2}
    if listing.folders and all(name.lower() in PARTS and name in deep for name in listing.folders):
        raise _parts_of(store.url, listing.folders)

    def clip(file: Path, name: str, label: int) -> ClipSource:
        return Copied(file, name, label, kind=kind(file), store=store.url, known=store.stamp(file))

    return _labelled(listing, store.url, known, clip)


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
    if not listing.files:
        raise UserError(
            f"{source} holds no {known}, neither itself nor in folders, one per class; "
            f"{'; '.join([contents(source), *map(str, listing.remarks)])}"
        )
    folders = listing.folders
    if any(file.parent != source for file in listing.files) and all(
        _is_part(source / name) for name in folders
    ):
        raise _parts_of(source, folders)
    return _labelled(listing, source, known, clip)


def _labelled(
    listing: Listing, source: Path | str, known: str, clip: Callable[[Path, str, int], ClipSource]
) -> FoundClips:
    """Clips whose classes are the folders; where there are none, of one class.

    Raises:
        UserError: where a class has no clips.
    """
    folders = listing.by_folder()
    loose = folders.pop("")
    if not any(folders.values()):
        folders, loose = {"all": loose}, []
    if empty := [name for name, files in folders.items() if not files]:
        held = "; ".join(["", *map(str, listing.remarks)])
        raise UserError(
            f"class folders of {source} without {known}: {', '.join(empty)}; fill or remove them{held}"
        )
    sources = [
        clip(file, file.relative_to(listing.root).as_posix(), label)
        for label, files in enumerate(folders.values())
        for file in files
    ]
    left_out = [LeftOut(file.name, "lies in no class folder") for file in loose]
    return FoundClips(tuple(map(printable, folders)), sources, left_out, listing.remarks_on_classes())


def _parts_of(source: Path | str, folders: list[str]) -> UserError:
    return UserError(
        f"the folders of {source} ({some(folders, 4)}) are named as parts of a dataset and hold folders themselves: "
        f"prepare each apart, beginning with {source}/{folders[0]}"
    )


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
