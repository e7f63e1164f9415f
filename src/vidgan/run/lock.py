"""The lock of a run directory: one training at a time, on this machine or another that shares the file system.

A file says who trains there: host, process, and which boot of the machine it runs under. The process holds the system's
lock on it (flock), which ends with the process, whatever ends it, and which most shared file systems pass on to other
machines. Where they do not, the file tells: its holder writes a new number into it every few seconds, and whoever finds
one of another machine watches it for a while before taking it for dead. A holder that is done removes the file.

A process that is killed ends thread by thread, and the system lets its lock go with the last of them: who finds the
lock of a process that has ended waits for it.
"""

import contextlib
import json
import os
import secrets
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from vidgan.errors import UserError
from vidgan.files import is_file_of, is_free, parse_json
from vidgan.forms import TEXT, WHOLE, Fields, fits
from vidgan.names import tell

NAME: Final = "training.lock"
"""in the run directory, while it is trained"""
BEAT: Final = 5.0
"""seconds after which the holder shows that it is alive"""
WATCH: Final = 20.0
"""seconds after which a holder on another machine that shows nothing counts as dead"""
ENDING: Final = 20.0
"""seconds after which the lock of a process that has ended counts as held by something else; a process with much memory
on a GPU takes some to end"""

HOLDER: Final = Fields(
    {"host": TEXT, "boot": TEXT, "pid": WHOLE, "started": TEXT, "token": TEXT, "beat": WHOLE}
)


class Holder(NamedTuple):
    """Who trains in a run directory."""

    host: str
    boot: str
    """the machine since it was started; no two have the same"""
    pid: int
    started: str
    """when the process was started, in the system's own count; a number of a process is used again"""
    token: str
    """this lock among all"""
    beat: int
    """larger whenever it is read later"""

    @classmethod
    def this(cls) -> Self:
        """This process."""
        pid = os.getpid()
        return cls(socket.gethostname(), boot(), pid, started(pid) or "", secrets.token_hex(8), 0)

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine since that was started."""
        return self.boot == boot() != ""

    @property
    def lives(self) -> bool:
        """Of another process of this machine, whether it is there still."""
        return self.pid != os.getpid() and started(self.pid) == self.started != ""

    @property
    def has_ended(self) -> bool:
        """Whether it ran on this machine and is not there any more."""
        return self.is_here and self.started != "" and not self.lives


class RunLock:
    """Held by the process that trains in a run directory, from :meth:`acquire` to :meth:`release` or its end.

    A process that has it may ask again, as a notebook does whose cell is run twice; it is released when all have.
    """

    _held: Final[dict[Path, "RunLock"]] = {}

    def __init__(self, path: Path, file: int, holder: Holder) -> None:
        self.path, self._file, self.holder, self._users = path, file, holder, 1
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._show_life, daemon=True)

    @classmethod
    def acquire(cls, folder: Path) -> Self:
        """Lock the run directory ``folder``, which is there.

        Raises:
            UserError: while another process trains there; names it and its host.
        """
        path = folder.resolve() / NAME
        held = cls._held.get(path)
        if held is not None and held.holder.pid == os.getpid():
            held._users += 1
            return held  # type: ignore[return-value]
        file = _locked(path)
        try:
            before = read_holder(file)
            if before is not None and (before.lives if before.is_here else _shows_life(path, before)):
                raise _refusal(folder, before)
            lock = cls(path, file, Holder.this())
            lock._write()
        except BaseException:
            os.close(file)
            raise
        if before is not None:
            tell(
                f"{path}: process {before.pid} on {before.host} has ended without a word; going on",
                sys.stderr,
            )
        lock._thread.start()
        cls._held[path] = lock
        return lock

    def release(self) -> None:
        """Let others train there; does nothing where it is done already."""
        self._users -= 1
        if self._users > 0 or self._done.is_set():
            return
        self._done.set()
        self._thread.join()
        self._held.pop(self.path, None)
        if is_file_of(self._file, self.path):
            self.path.unlink(missing_ok=True)  # while it is locked: nobody can have it
        os.close(self._file)

    def _write(self) -> None:
        text = json.dumps(self.holder._asdict()).encode()
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))
        os.fsync(self._file)

    def _show_life(self) -> None:
        while not self._done.wait(BEAT):
            with contextlib.suppress(OSError):  # a full disk ends the training elsewhere
                now = read_holder(self._file)
                if now is None or now.token != self.holder.token:
                    return  # this machine slept so long that another took the run for abandoned
                self.holder = self.holder._replace(beat=self.holder.beat + 1)
                self._write()


def read_holder(file: int) -> Holder | None:
    """Whom the open lock names; None where it is new or damaged."""
    try:
        content: Any = parse_json(os.pread(file, 4096, 0))
    except ValueError:
        return None
    return Holder(**{name: content[name] for name in Holder._fields}) if fits(content, HOLDER) else None


def boot() -> str:
    """What tells this machine since it was started from all others; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def started(pid: int) -> str | None:
    """When a process of this machine was started; None where there is none, or the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    ended = fields[0] in "ZX"  # a zombie: its parent has not asked for its status yet
    return None if ended else fields[19]


def _locked(path: Path) -> int:
    """The file at ``path``, open and locked; not locked where the file system has no locks.

    Raises:
        UserError: where another process has it, or where it stays locked though the process that it names has ended.
    """
    end: float | None = None
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        if not is_free(file):
            holder = read_holder(file)
            os.close(file)
            if holder is not None and not holder.has_ended:
                raise _refusal(path.parent, holder)
            # Its holder is ending, or another has just locked it and has not written into it yet.
            now = time.monotonic()
            end = now + ENDING if end is None else end
            if now >= end:
                raise _refusal(path.parent, holder)
            time.sleep(0.02)
            continue
        if is_file_of(file, path):
            return file
        os.close(file)  # its holder has just removed it


def _shows_life(path: Path, before: Holder) -> bool:
    """Whether a holder on another machine changes the file while it is watched."""
    tell(
        f"{path}: watching for {WATCH:g} s whether process {before.pid} on {before.host} is alive", sys.stderr
    )
    end = time.monotonic() + WATCH
    while time.monotonic() < end:
        time.sleep(min(BEAT, WATCH) / 5)
        try:
            file = os.open(path, os.O_RDONLY)  # anew: what a shared file system has kept is out of date
        except FileNotFoundError:
            return False
        try:
            now = read_holder(file)
        finally:
            os.close(file)
        if now is None or now != before:
            return now is not None
    return False


def _refusal(folder: Path, holder: Holder | None) -> UserError:
    who = "another process" if holder is None else f"process {holder.pid} on {holder.host}"
    if holder is not None and holder.has_ended:
        return UserError(
            f"{folder} was trained by {who}, which has ended, and is locked still: a part of that process is "
            "ending, or a process that it started goes on; end that, or train into another folder (--out)"
        )
    return UserError(
        f"{folder} is being trained by {who}: wait for it or end it, or train into another folder (--out)"
    )
