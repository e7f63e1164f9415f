"""Sources that lie in an object store, such as S3, or inside another file: a clip is copied while it is read.

Whatever fsspec opens can be named: ``s3://bucket/folder``, ``gs://...``, ``memory://...``; drivers beyond its own are
packages of their own. Only names and sizes are listed beforehand, so every machine fetches its own part of the clips
(``vidgan prepare --shard``), each of them once, into a temporary file that goes when the clip is done.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from vidgan.data.codecs import Frame
from vidgan.data.listing import Listing, Remarks
from vidgan.data.resize import Resizer
from vidgan.data.timeline import MAX_GAP
from vidgan.data.video import ClipSource, Opened
from vidgan.errors import UserError

CHANGES: Final = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")
"""what drivers call the mark of a file that another one of its name has not"""
BLOCK: Final = 2**16
"""bytes that are read at a time where only parts of a file are wanted"""


def is_url(source: str) -> bool:
    """Whether ``source`` names a place in an object store, and not a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", source) is not None


def source_of(text: str | Path) -> Path | str:
    """A folder, or the URL of one in an object store."""
    return text if isinstance(text, str) and is_url(text) else Path(text)


class FileStamp(NamedTuple):
    """What tells whether a file is still the same."""

    size: int
    """bytes"""
    changed: int
    """another number where it was written anew"""


class Store:
    """A folder of an object store.

    Args:
        url: such as ``s3://bucket/folder``.

    Raises:
        UserError: where no driver is installed for it.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url.rstrip("/")
        try:
            self._system, root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:  # fsspec names the package that is missing
            raise UserError(f"{url} cannot be read: {words_of(error)}") from error
        self.root = Path("/", root)
        """the folder as the store calls it; where that begins with a bucket's name, with a slash in front"""
        self._slash = root.startswith("/")
        self._stamps: dict[Path, FileStamp] = {}

    def list_files(self, suffixes: Sequence[str]) -> Listing:
        """The files below the folder with one of ``suffixes``, hidden ones apart, as those of a folder on disk.

        Raises:
            UserError: where it cannot be listed.
        """
        try:
            found: dict[str, dict[str, Any]] = self._system.find(self._own(self.root), detail=True)
        except Exception as error:  # drivers raise what they like: no key, no bucket, no network
            raise UserError(f"{self.url} cannot be listed: {words_of(error)}") from error
        remarks, files, folders = Remarks(), [], set()
        for name, facts in sorted(found.items()):
            path = Path("/", name)
            below = path.relative_to(self.root)
            if any(part.startswith(".") for part in below.parts):
                continue
            if len(below.parts) > 1:
                folders.add(below.parts[0])
            if path.suffix.lower() in suffixes:
                files.append(path)
                self._stamps[path] = _stamp_of(facts)
            else:
                remarks.add(f"{path.suffix or 'nameless'} files, which are not read", below.as_posix())
        return Listing(self.root, files, sorted(folders), remarks.all())

    def stamp(self, path: Path) -> FileStamp:
        """Of a file that was listed."""
        return self._stamps[path]

    def open(self, path: Path, block: int | None = None) -> IO[bytes]:
        """A file, to be read at any place; raises :class:`UserError` where there is none.

        Args:
            block: bytes that are fetched at a time; None: as the driver likes.
        """
        named = {} if block is None else {"block_size": block}
        try:
            file: IO[bytes] = self._system.open(self._own(path), "rb", **named)
        except Exception as error:
            raise UserError(f"{path} of {self.url} cannot be read: {words_of(error)}") from error
        return file

    def sizes(self) -> dict[str, int]:
        """Bytes of each file that lies in the folder itself, by its name, as it is now.

        Raises:
            UserError: where it cannot be listed.
        """
        try:
            self._system.invalidate_cache()
            found: list[dict[str, Any]] = self._system.ls(self._own(self.root), detail=True)
        except Exception as error:
            raise UserError(f"{self.url} cannot be listed: {words_of(error)}") from error
        return {Path(facts["name"]).name: int(facts.get("size") or 0) for facts in found}

    def read_bytes(self, name: str, most: int) -> bytes | None:
        """All bytes of a file of the folder, as it is now; None where there is none.

        Raises:
            UserError: where it cannot be read, or holds more than ``most`` bytes.
        """
        try:
            self._system.invalidate_cache()
            with self._system.open(self._own(self.root / name), "rb") as file:
                content: bytes = file.read(most + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as error:
            raise UserError(f"{name} of {self.url} cannot be read: {words_of(error)}") from error
        if len(content) > most:
            raise UserError(f"{name} of {self.url} is too large to be what it should be")
        return content

    def _own(self, path: Path) -> str:
        return str(path) if self._slash else str(path)[1:]


def _stamp_of(facts: dict[str, Any]) -> FileStamp:
    mark = next((str(facts[name]) for name in CHANGES if name in facts), "")
    digest = hashlib.blake2b(mark.encode(), digest_size=6).digest()
    return FileStamp(int(facts.get("size") or 0), int.from_bytes(digest, "little"))


def words_of(error: Exception) -> str:
    """What a driver says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


@dataclass(frozen=True, kw_only=True)
class Copied(ClipSource):
    """A clip that is copied into a temporary file while it is read: out of a store, out of a larger file, or both."""

    kind: type[ClipSource]
    """what the file is, by itself"""
    store: str | None
    """URL of the store that has it; None: it lies on disk"""
    known: FileStamp
    """of the whole file"""
    part: tuple[int, int] | None = None
    """where it begins in the file, and its size (bytes); None: it is the file"""

    def stamp(self) -> tuple[int, int]:
        return self.known

    def open(self, resizer: Resizer, max_gap: float = MAX_GAP) -> Opened:
        # Its own name stays, by whose ending readers know what it is.
        folder = Path(tempfile.mkdtemp(prefix="vidgan-"))
        copy = folder / Path(self.name).name
        try:
            self._copy(copy)
            opened = self.kind(copy, self.name, self.label).open(resizer, max_gap)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return opened._replace(frames=_then_removed(opened.frames, folder))

    def _copy(self, to: Path) -> None:
        # Drivers read ahead by a block, s3fs by 50 MiB, which of a small part of a file would be most of the work.
        block = None if self.part is None else min(self.part[1], BLOCK)
        with closing(
            Store(self.store).open(self.path, block) if self.store else self.path.open("rb")
        ) as source:
            try:
                first, left = self.part or (0, self.known.size)
                source.seek(first)
                with to.open("wb") as file:
                    while left and (data := source.read(min(left, 2**22))):
                        file.write(data)
                        left -= len(data)
            except Exception as error:
                # No fault of the clip, which would be left out of the data for good.
                raise UserError(
                    f"{self.path} of {self.store or 'this disk'} could not be read to its end: {words_of(error)}; the "
                    "same command resumes"
                ) from error
        if left:
            raise UserError(f"{self.path} has become shorter while it was read: run the same command again")


def _then_removed(frames: Iterator[Frame], folder: Path) -> Iterator[Frame]:
    try:
        yield from frames
    finally:
        shutil.rmtree(folder, ignore_errors=True)
