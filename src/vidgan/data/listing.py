"""The files below a folder, found in one walk, and remarks on what is not among them: nothing is skipped in silence."""

import os
from collections.abc import Iterable, Iterator, Sequence
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
    """with one of the suffixes that were asked for, or the folders that hold such files; sorted"""
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

    def remarks_on_classes(self) -> tuple[Remark, ...]:
        """The remarks, where folders are classes: also on folders in these, whose names do not count."""
        remarks = Remarks(self.remarks)
        deep = (file.relative_to(self.root).parts for file in self.files)
        for folder in dict.fromkeys("/".join(parts[:2]) for parts in deep if len(parts) > 2):
            remarks.add("folders in class folders, which are no classes themselves", folder)
        return remarks.all()


def list_files(root: Path, suffixes: Sequence[str], beside: Sequence[str] = (), deep: bool = True) -> Listing:
    """The files below ``root`` with one of ``suffixes`` (lower case); links are followed, hidden files passed over.

    Args:
        beside: suffixes of files that belong to the data but are no clips; no remark is made on them.
        deep: look into folders, too.

    Raises:
        UserError: where ``root`` itself cannot be read.
    """
    walk = _Walk(root, suffixes, beside, deep)
    files = [Path(folder, name) for folder, names in walk.found() for name in names]
    return Listing(root, sorted(files), walk.folders, walk.remarks.all())


def list_folders(root: Path, suffixes: Sequence[str]) -> Listing:
    """As :func:`list_files`, with the folders below ``root`` that hold such files in place of the files."""
    walk, holding = _Walk(root, suffixes), []
    for folder, names in walk.found():
        if folder == str(root):
            for name in names:
                walk.remarks.add("files that lie in no folder of their own", name)
        elif names:
            holding.append(Path(folder))
    top = {folder.name for folder in holding if folder.parent == root}
    return Listing(
        root, sorted(holding), [name for name in walk.folders if name not in top], walk.remarks.all()
    )


class _Walk:
    """One walk through a tree: no file is looked at twice, nor kept unless whoever walks keeps it."""

    def __init__(
        self, root: Path, suffixes: Sequence[str], beside: Sequence[str] = (), deep: bool = True
    ) -> None:
        self.root, self.suffixes, self.beside, self.deep = root, suffixes, beside, deep
        self.remarks = Remarks()
        self.folders: list[str] = []
        """those in the root"""

    def found(self) -> Iterator[tuple[str, list[str]]]:
        """Every folder, the root first, with the names of its files that have one of the suffixes."""
        left: list[tuple[str, frozenset[tuple[int, int]]]] = [(str(self.root), frozenset())]
        while left:
            folder, above = left.pop()
            try:
                with os.scandir(folder) as scan:
                    entries = sorted(scan, key=lambda entry: entry.name)
                state = os.stat(folder)
            except OSError as error:
                if not above:
                    raise UserError(f"{folder} cannot be read: {error.strerror}") from error
                self._remark(f"folders that cannot be read ({error.strerror})", folder)
                continue
            around = above | {(state.st_dev, state.st_ino)}
            names, inner = [], []
            for entry in entries:
                kind = _kind(entry)
                if kind == "file" and self._is_wanted(entry):
                    names.append(entry.name)
                elif kind == "folder" and not entry.name.startswith("."):
                    if not above:
                        self.folders.append(entry.name)
                    if entry.is_symlink() and _place(entry) in around:
                        self._remark("links to a folder that they lie in", entry.path)
                    elif self.deep:
                        inner.append((entry.path, around))
                    else:
                        self._remark("folders that are not looked into", entry.path)
                elif kind == "folder":
                    self._remark("hidden folders", entry.path)
                elif kind != "file":
                    self._remark(kind, entry.path)
            yield folder, names
            left += reversed(inner)

    def _is_wanted(self, entry: "os.DirEntry[str]") -> bool:
        suffix, hidden = Path(entry.name).suffix.lower(), entry.name.startswith(".")
        if suffix not in self.suffixes:
            if suffix not in self.beside and not hidden:
                self._remark(f"{suffix or 'nameless'} files, which are not read", entry.path)
            return False
        if hidden:
            self._remark("hidden files", entry.path)
        return not hidden

    def _remark(self, what: str, path: str) -> None:
        self.remarks.add(what, os.path.relpath(path, self.root))


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
