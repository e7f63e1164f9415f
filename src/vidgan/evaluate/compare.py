"""Results side by side, as far as they may stand so: unlike protocols apart, with the fields in which they differ."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vidgan.spec import differences

Line = Mapping[str, Any]

FREE = ("seed", "runs", "sampling")
"""settings that do not set results apart by themselves: repetitions, and how a model was sampled, which is
compared where it is known of both"""


class Entry(NamedTuple):
    """A result and where it was found."""

    name: str
    line: Line


class Group(NamedTuple):
    """Results that may be compared."""

    protocol: str
    entries: Sequence[Entry]
    differs: Sequence[str]
    """in what it differs from the first group of its protocol, ``field: there -> here``"""


def measurement(line: Line) -> dict[str, Any]:
    """What two results must have in common: settings, the weights' file, and the real data if it compares with any."""
    settings = {name: value for name, value in line["settings"].items() if name not in FREE}
    network = line.get("network") or {}
    found: dict[str, Any] = {"settings": settings}
    found["weights"] = {name: network[name] for name in ("sha256", "mean_sha256") if name in network}
    found["real data"] = line.get("data") if settings.get("real") is not None else None
    return found


def groups(entries: Sequence[Entry]) -> list[Group]:
    """Comparable results together, protocols in order of their first appearance.

    Of files nothing is known about sampling: they stand in every group of the same measurement.
    """
    found: list[Group] = []
    names = list(dict.fromkeys(entry.line["protocol"] for entry in entries))
    for name in names:
        own = [entry for entry in entries if entry.line["protocol"] == name]
        first: dict[str, Any] | None = None
        for key in dict.fromkeys(_text(measurement(entry.line)) for entry in own):
            same = [entry for entry in own if _text(measurement(entry.line)) == key]
            ways = list(
                dict.fromkeys(_text(way) for e in same if (way := e.line["settings"].get("sampling")))
            )
            known: list[str | None] = [*ways]
            for way in known or [None]:
                together = [e for e in same if _text(e.line["settings"].get("sampling")) in (way, "null")]
                whole = {**json.loads(key), "sampling": None if way is None else json.loads(way)}
                differs: Sequence[str] = ()
                if first is None:
                    first = whole
                else:
                    differs = [_short(text) for text in differences(first, whole) if not _left_open(text)]
                found.append(Group(name, newest(together), differs))
    return found


def newest(entries: Sequence[Entry]) -> list[Entry]:
    """The last result of each source and step."""
    last = {(entry.name, entry.line.get("step")): entry for entry in entries}
    return list(last.values())


def _left_open(text: str) -> bool:
    """Whether a difference only says that of files it is not known how they were sampled."""
    return text.startswith("sampling: None ->") or (text.startswith("sampling:") and text.endswith("-> None"))


def _short(text: str) -> str:
    return text.removeprefix("settings.")


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
