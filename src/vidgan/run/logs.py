"""Logs: one JSON object per line, appended whole, cut back to a checkpoint on resume.

They are read leniently: a line that is damaged, or of another form than its file's lines have, is named and left out.
"""

import functools
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, Final, NamedTuple

from vidgan.errors import some
from vidgan.files import parse_json, read_bytes, write_bytes
from vidgan.forms import MAYBE, NUMBER, TEXT, WHOLE, Fields, Form, Table, fits
from vidgan.names import tell

LARGEST_LOG: Final = 2**32
"""bytes; a log of a million ticks has less"""

ALARM: Final = Fields({"rule": TEXT, "onset": WHOLE, "text": TEXT, "keeps": [WHOLE]})
TICK: Final = Fields(
    {"level": WHOLE, "step": WHOLE, "clips": WHOLE, "seconds": NUMBER, "scalars": Table(MAYBE)},
    {"alarms": [ALARM]},
)
"""a line of ``log.jsonl``"""

CLIPS: Final = Fields(known=dict.fromkeys(("frames", "whole", "stride", "size"), (int, NoneType)))
DRAW: Final = Fields(known={"count": (int, NoneType)}, null=True)
SAMPLING: Final = Fields(
    {"averaged": (bool,), "truncation": Fields(known={"sigma": NUMBER, "limit": NUMBER})}, null=True
)
RESULT: Final = Fields(
    {
        "protocol": TEXT,
        "value": MAYBE,
        "settings": Fields(known={"source": CLIPS, "sampling": SAMPLING, "real": DRAW, "features": (dict,)}),
    },
    {
        "step": (int, NoneType),
        "level": WHOLE,
        "seed": WHOLE,
        "clips": (int, NoneType),
        "values": (dict,),
        "deviation": Fields({"value": MAYBE, "over": TEXT}, null=True),
        "network": (dict, NoneType),
        "data": (str, NoneType),
        "real": Fields(known={"prepared": (dict, NoneType)}, null=True),
        "table": Fields({"rows": [TEXT], "columns": [TEXT], "counts": [[WHOLE]]}, null=True),
        "warnings": [TEXT],
        "larger_is_better": (bool,),
    },
)
"""a line of ``metrics.jsonl``: what every reader may rely on; what of its values a figure needs, the figure says"""


class Log:
    """A file of JSON lines that only grows, except on resume."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: dict[str, Any]) -> None:
        """Add a line; numbers that JSON cannot hold become null."""
        text = json.dumps(_plain(line), allow_nan=False) + "\n"
        with self.path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())

    def cut(self, stays: Callable[[dict[str, Any]], bool]) -> None:
        """Drop the lines for which ``stays`` is false, and a last line that was half-written; damaged ones stay."""
        if not self.path.exists():
            return
        content = _content(self.path)
        lines = content.split("\n")[:-1]
        kept = [line for line in lines if (value := _object(line)) is None or stays(value)]
        text = "".join(f"{line}\n" for line in kept)
        if text != content:
            write_bytes(self.path, text.encode(errors="surrogateescape"))


class Lines(NamedTuple):
    """What could be read of a log."""

    whole: list[dict[str, Any]]
    damaged: list[int]
    """numbers of the lines that could not be, from 1"""

    def words(self, path: Path) -> str | None:
        """What is left out, in a line; None where nothing is."""
        if not self.damaged:
            return None
        many = "s" * (len(self.damaged) > 1)
        numbers = some([str(number) for number in self.damaged], 5)
        return f"{path}: left out the damaged line{many} {numbers}"


def lines_of(path: Path, form: Form = (dict,)) -> Lines:
    """The whole lines of a log that have this form; a half-written last line counts as not there yet.

    Raises:
        UserError: if ``path`` is no file; a missing one has no lines.
    """
    found, damaged = [], []
    for number, text in enumerate(_content(path).split("\n")[:-1] if path.exists() else [], 1):
        value = _object(text)
        if value is not None and fits(value, form):
            found.append(value)
        elif text.strip():
            damaged.append(number)
    return Lines(found, damaged)


def read_lines(path: Path, form: Form = (dict,)) -> list[dict[str, Any]]:
    """:func:`lines_of` a log; a line on standard error names those that are left out."""
    lines = lines_of(path, form)
    if (words := lines.words(path)) is not None:
        say_once(words)
    return lines.whole


def read_ticks(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``log.jsonl``."""
    return read_lines(path, TICK)


def last_tick(path: Path, most: int = 2**20) -> dict[str, Any] | None:
    """The last line of a ``log.jsonl``, of which its last ``most`` bytes are read; None where that is no whole one."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - most))
        end = file.read().decode(errors="surrogateescape")
    line = _object(end.rstrip("\n").rpartition("\n")[2]) if end.endswith("\n") else None
    return line if line is not None and fits(line, TICK) else None


def read_results(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``metrics.jsonl``."""
    return read_lines(path, RESULT)


def seconds_logged(path: Path, level: int) -> float:
    """Seconds of training up to the last line of ``level``; 0 where there is none."""
    return next((line["seconds"] for line in reversed(read_ticks(path)) if line["level"] == level), 0.0)


@functools.cache  # a command reads a log several times, and says so once
def say_once(text: str) -> None:
    """Print a line on standard error, unless it was printed before."""
    tell(text, sys.stderr)


def _content(path: Path) -> str:
    return read_bytes(path, LARGEST_LOG).decode(errors="surrogateescape")


def _object(text: str) -> dict[str, Any] | None:
    """The object of a line; None where it is none."""
    try:
        text.encode()  # bytes that are no UTF-8 have become something that cannot be written again
        value = parse_json(text, constant=lambda word: None)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
