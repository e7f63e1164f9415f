"""Files appear whole or not at all: write beside the target, flush to disk, rename. And they are read with care."""

import contextlib
import errno
import fcntl
import hashlib
import io
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

from vidgan.errors import UserError

SUMS: Final = "SHA256SUMS"
"""of a folder's other files; ``sha256sum -c`` reads it"""
BEGINNING: Final = 40
"""characters of a name that its temporary file has too, which may not be longer than names can be"""
LARGEST_JSON: Final = 2**28
"""bytes; what is larger is none of our records"""
LARGEST_FILE: Final = 2**38
"""bytes; nothing that is read to its end is larger, and a disk that is damaged tells of terabytes"""
BUSY: Final = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
"""how systems say that another process has the lock of a file"""


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to disk and rename it to ``path``.

    Raises whatever ``write`` raises (``OSError`` for a full disk); ``path`` then keeps its old content.
    """
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name[:BEGINNING]}.", suffix=f".part{path.suffix}"
    )
    os.close(handle)
    part = Path(name)
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.chmod(0o666 & ~_umask())
        part.replace(path)
        sync_folder(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_folder(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary folder beside ``path`` and rename it to ``path``, which is new or empty.

    Raises whatever ``write`` raises, and ``OSError`` where ``path`` is not empty; nothing is left then.
    """
    part = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:BEGINNING]}.", suffix=".part"))
    try:
        write(part)
        part.chmod(0o777 & ~_umask())
        part.replace(path)
        sync_folder(path.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def write_sums(folder: Path) -> None:
    """Write :data:`SUMS` of all files in ``folder``, as ``sha256sum`` does."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    lines = [f"{_sum(file)}  {file.relative_to(folder).as_posix()}\n" for file in files]
    write_text(folder / SUMS, "".join(lines))


def require_sums(folder: Path, *needed: str, name: str | None = None) -> None:
    """Raise :class:`UserError` unless the files in ``folder`` are as they were written, and ``needed`` among them.

    Args:
        name: what the folder is called in the message; None: its path.
    """
    called = name or folder
    try:
        *lines, end = read_bytes(folder / SUMS, LARGEST_JSON).decode().split("\n")
        sums = {own: value for value, _, own in (line.partition("  ") for line in lines)}
        changed = [
            each for each in {**sums, **dict.fromkeys(needed)} if _sum(folder / each) != sums.get(each)
        ]
    except (OSError, ValueError, UserError) as error:
        raise UserError(f"{called} is damaged: {error}") from error
    if changed or end:
        raise UserError(f"{called} is damaged: {', '.join(changed) or SUMS} is not as it was written")


def _sum(file: Path) -> str:
    with open_regular(file) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_bytes(path: Path, content: bytes) -> None:
    """``content``, whole or not at all."""

    def write(part: Path) -> None:
        part.write_bytes(content)

    write_whole(path, write)


def write_text(path: Path, text: str) -> None:
    """``text`` as UTF-8, whole or not at all; bytes of names that are no UTF-8 become escapes."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """``value`` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def require_regular(path: Path) -> None:
    """Raise :class:`UserError` unless ``path`` is a file or a link to one: reading a pipe or a device may never end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise UserError(f"there is no file {path}") from error
    if not stat.S_ISREG(mode):
        raise UserError(f"{path} is a folder, a pipe or a device, not a file")


def open_regular(path: Path, most: int = LARGEST_FILE) -> io.BufferedReader:
    """The file ``path``, open to be read to its end.

    Raises:
        UserError: if it is missing, no file, holds more than ``most`` bytes, or cannot be opened.
    """
    require_regular(path)
    try:
        if (size := path.stat().st_size) > most:
            raise UserError(f"{path} is too large to be what it should be: {size} bytes")
        return path.open("rb")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def read_bytes(path: Path, most: int) -> bytes:
    """All bytes of the file ``path``; raises as :func:`open_regular`, and where it cannot be read."""
    with open_regular(path, most) as file:
        try:
            return file.read()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def read_json(path: Path, most: int = LARGEST_JSON) -> Any:
    """The value in the JSON file ``path``; raises :class:`UserError`, one line, where there is none."""
    content = read_bytes(path, most)
    try:
        return parse_json(content)
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def no_number(word: str) -> NoReturn:
    """Refuses NaN and Infinity, which are no JSON."""
    raise ValueError(f"{word} is no number of JSON")


def parse_json(text: str | bytes, constant: Callable[[str], Any] = no_number) -> Any:
    """The value of a JSON text; ``constant`` says what NaN and Infinity are.

    Raises:
        ValueError: where it is none, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def default_cache() -> Path:
    """``vidgan`` in the user's cache folder, where what can be made or fetched again is kept by default."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vidgan"


def is_free(file: int, shared: bool = False) -> bool:
    """Lock an open file (flock); False where another process has it. Where the file system has no locks, it is free.

    Args:
        file: open for writing: NFS passes an exclusive lock on as one of fcntl's, which a file has that is written.
        shared: whether others may have such a lock too.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in BUSY
    return True


@contextlib.contextmanager
def locked(path: Path) -> Iterator[BinaryIO]:
    """The file at ``path``, made where there is none, open to be read and written, once no other process has it.

    Its holder may rename or remove it. The lock ends with the process, whatever ends it.
    """
    while True:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b") as file:
            while not is_free(file.fileno()):
                time.sleep(0.05)
            if is_file_of(file.fileno(), path):
                yield file
                return


def is_file_of(file: int, path: Path) -> bool:
    """Whether the open ``file`` is still the one at ``path``, which others may have renamed or removed."""
    try:
        there = path.stat()
    except OSError:
        return False
    own = os.fstat(file)
    return (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_folder(folder: Path) -> None:
    """Flush to disk which files ``folder`` has."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
