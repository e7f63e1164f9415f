"""A prepared dataset in an object store, such as S3: its shards come to this machine's disk as they are first read.

The cache is a folder per dataset, named by its fingerprint: a prepared dataset that may lack shards, the same for all
places that hold these data. Processes of a machine share it. A shard is written to a file beside its place under a
lock, so that one process fetches it while others wait for it; is compared with the checksums of the index; and is then
renamed. What a process that was killed had of it stays, and the next one goes on from there.

Nothing is removed again: random order comes to every shard in every epoch, so that a cache which is smaller than the
data would fetch nearly all of them anew each time.
"""

import errno
import os
import re
import shutil
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from vidgan.data.check import has_clips
from vidgan.data.remote import Store, is_url, words_of
from vidgan.data.store import (
    CLIPS,
    INDEX,
    LARGEST_TABLE,
    SOURCES,
    Index,
    PreparedDataset,
    ShardSource,
    checked_header,
    damaged_index,
    index_of,
    open_prepared,
    read_index,
    shard_sizes,
)
from vidgan.errors import UserError, some
from vidgan.files import LARGEST_JSON, default_cache, locked, parse_json, sync_folder, write_bytes
from vidgan.names import tell

VARIABLE: Final = "VIDGAN_DATA_CACHE"
"""of the environment: the folder of the cache"""
BLOCK: Final = 2**23
"""bytes that are fetched at a time"""
ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""how systems say that there is no room"""


def data_cache() -> Path:
    """Where data of object stores are kept: what :data:`VARIABLE` says, or ``data`` beside what else is kept."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else default_cache() / "data"


def open_stored(source: str | Path, cache: Path | None = None) -> PreparedDataset:
    """The prepared dataset in a folder, or at a URL.

    Args:
        cache: folder for data of object stores; None: :func:`data_cache`.

    Raises:
        UserError: as :func:`open_prepared` and :func:`open_fetched`.
    """
    if isinstance(source, str) and is_url(source):
        return open_fetched(source, cache or data_cache())
    return open_prepared(Path(source))


def open_fetched(url: str, cache: Path) -> PreparedDataset:
    """The prepared dataset in the folder ``url`` of an object store, whose shards are kept below ``cache``.

    Says where they are kept and how large they are, unless all are there already.

    Raises:
        UserError: where the store does not answer, there is no such dataset, a shard is missing or of another size,
            or the index cannot be kept.
    """
    store = Store(url)
    content = store.read_bytes(INDEX, LARGEST_JSON)
    if content is None:
        raise UserError(
            f"there is no prepared dataset at {url}: it has no {INDEX}; copy all of a folder there that `vidgan "
            "prepare` has made"
        )
    try:
        header = checked_header(parse_json(content), url)
    except ValueError as error:
        raise damaged_index(url, error) from error
    if re.fullmatch("[0-9a-f]{32}", header["fingerprint"]) is None:
        raise damaged_index(url, ValueError("its fingerprint is none"))
    folder = cache / header["fingerprint"]
    index = _kept_index(folder) or _fetch_index(store, content, header, folder)
    sizes = shard_sizes(index)
    missing = {name: size for name, size in sizes.items() if not _has(folder / name, size)}
    if missing:
        _require_shards(store, missing)
        if os.environ.get("LOCAL_RANK", "0") == "0":  # of torchrun: one process of a machine speaks
            tell(_told(url, folder, sum(sizes.values()), sum(missing.values())), sys.stderr, flush=True)
    dataset = PreparedDataset(folder, index.fingerprint, FetchedShards(store.url))
    dataset.index = index
    return dataset


class FetchedShards(ShardSource):
    """Those of a folder of an object store."""

    def __init__(self, url: str) -> None:
        self.url = url

    def fetch(self, file: Path, clips: NDArray[np.void]) -> None:
        size = int((clips["offset"] + clips["bytes"]).max())
        part = file.with_name(f".{file.name}.part")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with locked(part) as begun:
                if _has(file, size):  # another process has fetched it meanwhile
                    part.unlink()
                    return
                try:
                    is_right = self._fill(begun, file.name, clips, size)
                except OSError:  # a full disk is left no fuller
                    part.unlink(missing_ok=True)
                    raise
                if not is_right:
                    part.unlink()
                    raise UserError(
                        f"{file.name} of {self.url} is not as its index says, changed or damaged: copy it there anew "
                        "from where it was prepared"
                    )
                part.replace(file)
            sync_folder(file.parent)
        except OSError as error:
            raise _not_kept(file, error) from error

    def _fill(self, part: BinaryIO, name: str, clips: NDArray[np.void], size: int) -> bool:
        """Write a shard, going on where a process was killed; whether it has the clips of the index.

        Raises:
            OSError: where it cannot be written.
        """
        for had in dict.fromkeys((min(os.fstat(part.fileno()).st_size, size), 0)):
            part.truncate(had)
            self._copy(part, name, had, size)
            part.seek(0)
            if has_clips(part, clips):
                return True
        return False

    def _copy(self, part: BinaryIO, name: str, had: int, size: int) -> None:
        """Write the bytes from ``had`` to ``size``, or as many as there are."""
        store = Store(self.url)
        part.seek(had)
        with closing(store.open(store.root / name, BLOCK)) as source:
            left = size - had
            while left:
                try:
                    source.seek(size - left)
                    data = source.read(min(BLOCK, left))
                except Exception as error:  # drivers raise what they like
                    raise UserError(
                        f"{name} of {self.url} could not be read to its end: {words_of(error)}; the same command "
                        "resumes"
                    ) from error
                if not data:
                    break
                part.write(data)
                left -= len(data)
        part.flush()
        os.fsync(part.fileno())


def _kept_index(folder: Path) -> Index | None:
    try:
        return read_index(folder)
    except UserError:  # there is none, or a damaged one
        return None


def _fetch_index(store: Store, content: bytes, header: dict[str, Any], folder: Path) -> Index:
    """The index with this header, which is kept in ``folder``; one process fetches it, and others wait."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock_file = folder / ".index.part"
        with locked(lock_file):
            try:
                return _kept_index(folder) or _fetch_and_keep(store, content, header, folder)
            finally:
                lock_file.unlink(missing_ok=True)
    except OSError as error:
        raise _not_kept(folder, error) from error


def _fetch_and_keep(store: Store, content: bytes, header: dict[str, Any], folder: Path) -> Index:
    parts = {name: store.read_bytes(name, LARGEST_TABLE) for name in (CLIPS, SOURCES)}
    if lost := [name for name, data in parts.items() if data is None]:
        raise damaged_index(store.url, ValueError(f"{' and '.join(lost)} missing"))
    table, names = (data or b"" for data in parts.values())
    index = index_of(header, table, names, store.url)
    for name, data in ((CLIPS, table), (SOURCES, names), (INDEX, content)):
        write_bytes(folder / name, data)
    return index


def _require_shards(store: Store, missing: dict[str, int]) -> None:
    """Raise :class:`UserError` unless the store has all of these files, of these sizes (bytes)."""
    there = store.sizes()
    if lost := [name for name in missing if name not in there]:
        raise UserError(f"{some(lost, 3)} of {store.url} missing: copy all of the prepared folder there")
    for name, size in missing.items():
        if there[name] != size:
            raise UserError(
                f"{name} of {store.url} has {there[name]} bytes instead of {size}: copy it there anew from where it "
                "was prepared"
            )


def _has(file: Path, size: int) -> bool:
    """Whether a shard is in the cache; one of another size, which a disk has damaged, is removed."""
    try:
        if file.stat().st_size == size:
            return True
        file.unlink(missing_ok=True)
    except OSError:
        pass
    return False


def _told(url: str, folder: Path, whole: int, missing: int) -> str:
    free = shutil.disk_usage(folder).free
    there = f", {_size(whole - missing)} of them there" if whole > missing else ""
    short = f"; only {_size(free)} are free on that disk" if free < missing else ""
    return (
        f"{url}: shards are kept in {folder} as they are read, {_size(whole)} in all{there}{short} ({VARIABLE} names "
        "another folder)"
    )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _not_kept(place: Path, error: OSError) -> UserError:
    reason = error.strerror or str(error)
    advice = "free some room" if error.errno in ROOM else "mend that"
    return UserError(
        f"{place} cannot be written: {reason}; {advice}, or name a folder of another disk by {VARIABLE}"
    )
