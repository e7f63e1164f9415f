"""The files below a folder, found in one walk, and remarks on what is not among them: nothing is skipped in silence."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from vidgan.errors import UserError, some

NAMED = 3
"""sources that a remark names"""


class Remark(NamedTuple):
    """What a user should know of some sources, told once for all of them."""

    what: str
    """a short phrase, such as ``dead links``"""
    number: int
    """sources that it is true of"""
    names: tuple[str, ...]
    """the first of them: paths below the source folder"""

    def __str__(self) -> str:
        more = [""] * (self.number - len(self.names))
        return f"{self.what}: {self.number} ({some([*self.names, *more], len(self.names))})"


class Remarks:
    """Collects remarks; of each, the names of the first sources are kept."""

    def __init__(self, remarks: Iterable[Remark] = ()) -> None:
        self._counts: dict[str, int] = {}
        self._names: dict[str, list[str]] = {}
        for remark in remarks:
            self._counts[remark.what] = remark.number
            self._names[remark.what] = list(remark.names)

    def add(self, what: str, name: str) -> None:
        """``what`` is true of ``name``, too."""
        self._counts[what] = self._counts.get(what, 0) + 1
        names = self._names.setdefault(what, [])
        if len(names) < NAMED:
            names.append(name)

    def all(self) -> tuple[Remark, ...]:
        """One for each phrase, in the order in which they came."""
        return tuple(Remark(what, count, tuple(self._names[what])) for what, count in self._counts.items())


class Listing(NamedTuple):
    """What there is below a folder."""

    root: Path
    files: list[Path]
    """with one of the suffixes that were asked for, sorted"""
    folders: list[str]
    """names of the folders in it, sorted, hidden ones apart"""
    remarks: tuple[Remark, ...]
    """on what else there is: files of other suffixes, dead links, ..."""

    def by_folder(self) -> dict[str, list[Path]]:
        """The files below each of the folders; those that lie in the root itself under an empty name."""
        found: dict[str, list[Path]] = {"": [], **{name: [] for name in self.folders}}
        for file in self.files:
            parts = file.relative_to(self.root).parts
            found[parts[0] if len(parts) > 1 else ""].append(file)
        return found


def list_files(root: Path, suffixes: Sequence[str], beside: Sequence[str] = (), deep: bool = True) -> Listing:
    """The files below ``root`` with one of ``suffixes`` (lower case); links are followed, hidden files passed over.

    Args:
        beside: suffixes of files that belong to the data but are no clips; no remark is made on them.
        deep: look into folders, too.

    Raises:
        UserError: where ``root`` itself cannot be read.
    """
    remarks = Remarks()
    files: list[Path] = []
    folders: list[str] = []

    def told(what: str, path: str) -> None:
        remarks.add(what, os.path.relpath(path, root))

    left: list[tuple[str, frozenset[tuple[int, int]]]] = [(str(root), frozenset())]
    while left:
        folder, above = left.pop()
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
            state = os.stat(folder)
        except OSError as error:
            if not above:
                raise UserError(f"{folder} cannot be read: {error.strerror}") from error
            told(f"folders that cannot be read ({error.strerror})", folder)
            continue
        around, deeper = above | {(state.st_dev, state.st_ino)}, []
        for entry in entries:
            suffix, hidden = Path(entry.name).suffix.lower(), entry.name.startswith(".")
            kind = _kind(entry)
            if kind == "folder" and hidden:
                told("hidden folders", entry.path)
            elif kind == "folder":
                if not above:
                    folders.append(entry.name)
                if entry.is_symlink() and _place(entry) in around:
                    told("links to a folder that they lie in", entry.path)
                elif deep:
                    deeper.append((entry.path, around))
                else:
                    told("folders that are not looked into", entry.path)
            elif kind != "file":
                told(kind, entry.path)
            elif suffix not in suffixes:
                if suffix not in beside and not hidden:
                    told(f"{suffix or 'nameless'} files, which are not read", entry.path)
            elif hidden:
                told("hidden files", entry.path)
            else:
                files.append(Path(entry.path))
        left += reversed(deeper)

    return Listing(root, sorted(files), folders, remarks.all())


def _kind(entry: "os.DirEntry[str]") -> str:
    """``folder``, ``file``, or what else it is, in the plural."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
        return "dead links" if entry.is_symlink() and not os.path.exists(entry.path) else "pipes and devices"
    except OSError:  # a link in a circle
        return "dead links"


def _place(entry: "os.DirEntry[str]") -> tuple[int, int]:
    state = entry.stat()
    return state.st_dev, state.st_ino
