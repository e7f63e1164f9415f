"""Commands that run beside the page: each a process of its own, so that a long one makes nobody wait."""

import itertools
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from markupsafe import Markup

from vidgan.errors import UserError
from vidgan.names import printable
from vidgan.studio.clips import message

MOST: Final = 4
"""jobs that run at once: each takes all cores that it gets"""
LINES: Final = 12
"""last lines of what a job says that are shown"""
TAIL: Final = 2**14
"""bytes of it that are read"""
SECONDS: Final = 300
"""that a command whose answer is waited for may take"""


class Job:
    """A command that runs, or ran."""

    def __init__(self, number: int, title: str, words: Sequence[str], said: Path) -> None:
        self.number, self.title, self.words, self.said = number, title, tuple(words), said
        with said.open("wb") as file:
            # A session of its own: Ctrl-C that ends the studio does not reach it.
            self.process = subprocess.Popen(
                command(words), stdout=file, stderr=file, stdin=subprocess.DEVNULL, start_new_session=True
            )

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    @property
    def state(self) -> str:
        """In words."""
        status = self.process.poll()
        return "running" if status is None else "done" if status == 0 else f"ended with status {status}"

    def stop(self) -> None:
        """Ask it to end; training saves first."""
        if self.runs:
            self.process.send_signal(signal.SIGTERM)

    def lines(self) -> list[str]:
        """The last lines that it has said."""
        with self.said.open("rb") as file:
            file.seek(max(0, self.said.stat().st_size - TAIL))
            text = file.read().decode(errors="replace")
        return [printable(line.rpartition("\r")[2]) for line in text.splitlines() if line.strip()][-LINES:]


class Jobs:
    """The jobs of a studio. Those that train go on when it ends.

    Args:
        folder: for what they say.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers, self._lock = folder, itertools.count(1), threading.Lock()
        self.all: list[Job] = []

    def start(self, title: str, words: Sequence[str]) -> Job:
        """Start ``vidgan`` with ``words``.

        Raises:
            UserError: while too many run.
        """
        with self._lock:
            if sum(job.runs for job in self.all) >= MOST:
                raise UserError(f"{MOST} commands run already: wait for one, or stop it")
            number = next(self._numbers)
            job = Job(number, title, words, self._folder / f"job-{number}.txt")
            self.all.append(job)
            return job


def answer_of(words: Sequence[str], seconds: float = SECONDS) -> str:
    """What ``vidgan`` with ``words`` prints; raises :class:`UserError` with its line where it fails."""
    try:
        done = subprocess.run(
            command(words), capture_output=True, stdin=subprocess.DEVNULL, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"it took more than {seconds:g} s: use the command itself, {shell(words)}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it failed without a word"]
        raise UserError(printable(said[-1].removeprefix("vidgan: error: ")))
    return done.stdout.decode(errors="replace")


def command(words: Sequence[str]) -> list[str]:
    """The command line of a process."""
    return [sys.executable, "-m", "vidgan", *words]


def shell(words: Sequence[str]) -> str:
    """The command line as a person types it."""
    return shlex.join(["vidgan", *words])


def commands_of(jobs: Jobs) -> str:
    """The commands that were started here, with what they say, as HTML; the newest first."""
    parts = [
        Markup("<details{}><summary>{}: {}</summary><pre>{}</pre></details>").format(
            Markup(" open") if job.runs or job.process.poll() else "",
            job.title,
            job.state,
            "\n".join(job.lines()),
        )
        for job in reversed(jobs.all[-20:])
    ]
    return Markup("").join(parts) or message("None has been started from here.")
