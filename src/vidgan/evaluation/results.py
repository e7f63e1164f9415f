"""Results side by side: like beside like, and what papers published."""

import functools
import importlib.resources
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


class Published(NamedTuple):
    """A printed number."""

    model: str
    value: float
    printed_by: str
    """short name of the paper in whose table it stands"""
    where: str
    """table or section"""
    data: str
    protocol: str | None
    """name of the protocol; None where there is none of this kind here"""
    frames: int | None = None
    """frames per clip, as far as printed"""
    stride: int | None = None
    """source frames from one frame to the next, as far as printed; for cascades, that of their last level"""
    size: int | None = None
    """pixels, as far as printed"""
    deviation: float | None = None
    cited: str | None = None
    """whom the paper quotes, where the number is not its own"""
    presumed: str | None = None
    """what about the protocol is presumed, not printed"""
    split: str | None = None
    truncated: bool = False
    note: str | None = None


LAYOUTS = {"Ucf101": "UCF-101", "Bair": "BAIR", "Bdd100k": "BDD100K"}
"""dataset by the layout that prepared data were read with; for Kinetics the number of classes decides"""


@functools.cache
def published() -> tuple[Published, ...]:
    """All rows of ``published.json``."""
    text = importlib.resources.files("vidgan.evaluation").joinpath("published.json").read_text("utf-8")
    return tuple(Published(**row) for row in json.loads(text))


def dataset_of(line: Mapping[str, Any]) -> str | None:
    """The published dataset that a result was made with, as far as its record tells."""
    real = line.get("real")
    prepared = real.get("prepared") if isinstance(real, dict) else None
    layout = prepared.get("layout") if isinstance(prepared, dict) else None
    name = layout.get("is") if isinstance(layout, dict) else None
    if name == "Kinetics" and isinstance(real, dict):
        return f"Kinetics-{real.get('classes')}"
    return LAYOUTS.get(str(name))


def beside(line: Mapping[str, Any], data: str | None) -> list[Published]:
    """The published numbers that a result may stand beside: of its protocol, data, length, stride, size and
    truncation.

    What a row leaves open fits anything; so does the stride of files that are compared with no real clips.

    Args:
        data: the dataset, for results that do not tell it.
    """
    settings = line["settings"]
    source, sampling = settings.get("source") or {}, settings.get("sampling")
    truncated = isinstance(sampling, dict) and sampling.get("truncation") != {"is": "Scaled", "sigma": 1.0}
    known = dataset_of(line) or data
    stride = None if sampling is None and settings.get("real") is None else source.get("stride")
    return [
        row
        for row in published()
        if row.protocol == line["protocol"]
        and known is not None
        and row.data.lower() == known.lower()
        and row.frames in (None, source.get("frames"))
        and (stride is None or row.stride in (None, stride))
        and row.size in (None, source.get("size"))
        and row.truncated == truncated
    ]
