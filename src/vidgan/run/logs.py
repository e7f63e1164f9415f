"""Logs: one JSON object per line, appended whole, cut back to a checkpoint on resume."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vidgan.files import write_text


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
        """Drop the lines for which ``stays`` is false, and a last line that was half-written."""
        kept = [line for line in _whole_lines(self.path) if stays(json.loads(line))]
        text = "".join(f"{line}\n" for line in kept)
        if self.path.exists() and self.path.stat().st_size != len(text.encode()):
            write_text(self.path, text)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a log; a half-written last line is left out, a missing file has none."""
    return [json.loads(line) for line in _whole_lines(path)]


def seconds_logged(path: Path, level: int) -> float:
    """Seconds of training up to the last line of ``level``; 0 where there is none."""
    return next((line["seconds"] for line in reversed(read_lines(path)) if line["level"] == level), 0.0)


def _whole_lines(path: Path) -> list[str]:
    return path.read_text("utf-8").split("\n")[:-1] if path.exists() else []


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
