"""Logs: one JSON object per line, appended whole, cut back to a checkpoint on resume."""

import json
import math
import os
from pathlib import Path
from typing import Any


class Log:
    """A file of JSON lines that only grows, except on resume."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def offset(self) -> int:
        """Length in bytes."""
        return self.path.stat().st_size if self.path.exists() else 0

    def append(self, line: dict[str, Any]) -> None:
        """Add a line; numbers that JSON cannot hold become null."""
        text = json.dumps(_plain(line), allow_nan=False) + "\n"
        with self.path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())

    def cut(self, offset: int) -> int:
        """Drop everything after ``offset`` bytes; the number of bytes dropped."""
        dropped = max(0, self.offset - offset)
        if dropped:
            os.truncate(self.path, offset)
        return dropped


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a log; a half-written last line is left out, a missing file has none."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
