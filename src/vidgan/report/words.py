"""Numbers, settings and commands as people write them."""

import json
import shlex
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from vidgan.spec import TAG


def number(value: float | None, digits: int = 4) -> str:
    """A number with thousands separated, a true minus sign and as many digits as it needs."""
    if value is None:
        return "not finite"
    if float(value).is_integer() and abs(value) < 1e15:
        text = f"{int(value):,}"
    elif 1e-4 <= abs(value) < 1e6:
        text = f"{value:,.{digits}g}" if abs(value) < 1000 else f"{value:,.0f}"
    else:
        text = f"{value:.{digits - 1}e}"
    return text.replace("-", "−")


def plain(value: Any) -> str:
    """A value of a result or a setting as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, str):
        return value
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return ", ".join(number(v, 3) if isinstance(v, float) else plain(v) for v in value) or "–"
    return json.dumps(value)


def count(how_many: float, noun: str, plural: str | None = None) -> str:
    """``1 clip``, ``2 clips``."""
    return f"{number(how_many)} {noun if how_many == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def when(stamp: str) -> str:
    """A time stamp for people."""
    try:
        return f"{datetime.fromisoformat(stamp):%d %B %Y, %H:%M %Z}".lstrip("0")
    except ValueError:
        return stamp


def shell(*words: object) -> str:
    """A command line."""
    return shlex.join(map(str, words))


def resuming(record: Mapping[str, Any]) -> str:
    """The command that resumes a run as it was last given."""
    words = [record, *record.get("resumed", [])][-1].get("command")
    known = words if isinstance(words, list) and words else ["vidgan", "train", "..."]
    return shell(*known, *(["--resume"] if "--resume" not in known else []))


def spec_lines(name: str, value: Any, depth: int = 0) -> Iterator[str]:
    """A spec's JSON as lines ``name: value``, indented by depth; the class's name stands beside the field's."""
    pad = "  " * depth
    if isinstance(value, dict):
        yield f"{pad}{name}: {value.get(TAG, '')}".rstrip()
        for key, inner in value.items():
            if key != TAG:
                yield from spec_lines(key, inner, depth + 1)
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for i, item in enumerate(value):
            yield from spec_lines(f"{name}.{i}", item, depth)
    else:
        yield f"{pad}{name}: {exact(value)}"


def exact(value: Any) -> str:
    """A setting with all its digits."""
    if isinstance(value, list):
        return " ".join(exact(item) for item in value) or "–"
    return value if isinstance(value, str) else json.dumps(value)
