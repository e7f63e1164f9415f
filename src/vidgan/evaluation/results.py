"""Results side by side: like beside like, and what papers published."""

import functools
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vidgan.evaluation.protocols import ALL
from vidgan.spec import differences, to_json

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
    found["real data"] = line.get("data") if looks_at_data(line) else None
    return found


def looks_at_data(line: Line) -> bool:
    """Whether a number depends on real data: it compares with them, or the model continues them."""
    sampling = line["settings"].get("sampling") or {}
    return line["settings"].get("real") is not None or bool(sampling.get("given"))


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
            ways = list(dict.fromkeys(_text(how) for e in same if (how := sampling_of(e.line))))
            known: list[str | None] = [*ways]
            for way in known or [None]:
                together = [e for e in same if _text(sampling_of(e.line)) in (way, "null")]
                whole = {**json.loads(key), "sampling": None if way is None else json.loads(way)}
                differs: Sequence[str] = ()
                if first is None:
                    first = whole
                else:
                    differs = [_short(text) for text in differences(first, whole) if not _left_open(text)]
                found.append(Group(name, newest(together), differs))
    return found


def sampling_of(line: Line) -> dict[str, Any] | None:
    """How the model of a result was sampled; None for files.

    Whole videos are what results have that say nothing of random windows.
    """
    found = line["settings"].get("sampling")
    return None if found is None else {"random_window": False, **found}


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
    category: str | None = None
    """the class whose clips alone are scored"""
    frames: int | None = None
    """frames per clip, as far as printed"""
    whole: int | None = None
    """frames of the videos whose first these are; None: no others"""
    stride: int | None = None
    """source frames from one frame to the next, as far as printed; for cascades, that of their last level"""
    size: int | None = None
    """pixels, as far as printed"""
    given: int | None = None
    """conditioning frames"""
    split: str | None = None
    """of the real data, as their layout calls it"""
    clips: int | None = None
    """evaluated clips (of the category); None where it is not printed, and the protocol's number is presumed"""
    real_clips: int | None = None
    """real clips, where it is printed; else as the protocol says"""
    windows: int | None = None
    """clips of each real video, where there are fewer videos than ``real_clips``"""
    runs: int | None = None
    """repetitions with other noise that ``deviation`` is over, where it is printed"""
    step: int | None = None
    """generator updates of the model (of each level), where they are not those of ``preset``"""
    deviation: float | None = None
    cited: str | None = None
    """whom the paper quotes, where the number is not its own"""
    presumed: str | None = None
    """what about the protocol is presumed, not printed"""
    truncated: bool = False
    note: str | None = None
    preset: str | None = None
    """the preset that describes the measured model; None where there is none here, or it is not the paper's"""


LAYOUTS = {"Ucf101": "UCF-101", "Bair": "BAIR", "Bdd100k": "BDD100K"}
"""dataset by the layout that prepared data were read with; for Kinetics the number of classes decides"""
AVERAGED = ("DVD-GAN", "TrIVD-GAN")
"""papers that sample with averaged weights alone"""
OF_ROWS = ("seed:", "runs:", "clips:", "sampling", "real.count:", "real.split:", "real.windows:")
"""settings that rows have of their own, or that are free"""


@functools.cache
def published() -> tuple[Published, ...]:
    """All rows of ``published.json``."""
    text = importlib.resources.files("vidgan.evaluation").joinpath("published.json").read_text("utf-8")
    return tuple(Published(**row) for row in json.loads(text))


def dataset_of(line: Line) -> str | None:
    """The published dataset that a result was made with, as far as its record tells."""
    name = _layout(line).get("is")
    return f"Kinetics-{line['real'].get('classes')}" if name == "Kinetics" else LAYOUTS.get(str(name))


def _layout(line: Line) -> Line:
    """The layout that a result's real data were prepared with; empty where they were not."""
    prepared = (line.get("real") or {}).get("prepared") or {}
    layout = prepared.get("layout")
    return layout if isinstance(layout, dict) else {}


def apart(row: Published, line: Line, data: str | None = None, split: str | None = None) -> list[str]:
    """What sets a result apart from a published number, as the number has it; nothing where they are alike.

    Alike are data, split, length, stride, size, given frames, truncation, averaging, numbers of clips, the step where a
    row has one, and all other settings of the protocol: everything but the seed and repetitions. What a row leaves open
    fits anything, and so does what is not known of files.

    Args:
        data: the dataset, for results that do not tell it.
        split: its split, likewise.
    """
    settings = line["settings"]
    source, sampling = settings.get("source") or {}, settings.get("sampling")
    known = sampling if isinstance(sampling, dict) else {}
    truncated = known.get("truncation") not in (None, {"is": "Scaled", "sigma": 1.0})
    named = ALL[line["protocol"]].protocol
    real, facts, per_class = settings.get("real") or {}, line.get("real") or {}, category_of(row, line)
    evaluated = settings.get("clips") if row.category is None else per_class.get("evaluated_clips_per_class")
    found: list[tuple[str, Any, Any]] = [
        ("data", row.data, next((name for name in (dataset_of(line), data) if name), None)),
        ("frames", row.frames, source.get("frames")),
        ("size", row.size, source.get("size")),
        ("clips", named.clips if row.clips is None else row.clips, evaluated),
    ]
    if source.get("whole") is not None:
        found.append(("frames in all", row.whole or row.frames, source["whole"]))
    if source.get("stride") and (
        known or real
    ):  # files that are compared with no real clips do not tell their stride
        found.append(("stride", row.stride, source.get("stride")))
    if looks_at_data(line):
        found.append(("split", row.split, _layout(line).get("split") or split))
    if line.get("step") is not None:  # finished videos do not tell theirs
        found.append(("step", row.step, line["step"]))
    if row.real_clips is not None:
        found.append(("real-clips", row.real_clips, real.get("count")))
    elif real and facts.get("not_taken") and real.get("count") != (named.real and named.real.count):
        found.append(("real-clips", "all", real.get("count")))
    if known:
        given = known.get("given")
        found += [("truncated", row.truncated, truncated)]
        found.append(("given frames", None if given is None else row.given, given))
        found.append(("averaged", True if row.printed_by in AVERAGED else None, known.get("averaged")))
    elif row.truncated:
        found.append(("truncated", True, False))
    said = [f"{name} {there}" for name, there, here in found if there is not None and not _equal(there, here)]
    free = (*OF_ROWS, *(("source.classes",) if row.category else ()))
    changed = [text for text in differences(to_json(named), settings) if not text.startswith(free)]
    return said + [text for text in changed if ": None -> " not in text]


def category_of(row: Published, line: Line) -> Mapping[str, Any]:
    """What a result has of the class that a row is of: ``per_class`` and ``evaluated_clips_per_class``."""
    values = line.get("values") or {}
    tables = {name: values.get(name) or {} for name in ("per_class", "evaluated_clips_per_class")}
    return {
        kind: found
        for kind, table in tables.items()
        for name, found in table.items()
        if row.category is not None and name.lower() == row.category
    }


def _equal(there: Any, here: Any) -> bool:
    return (
        there.lower() == here.lower() if isinstance(there, str) and isinstance(here, str) else there == here
    )


def beside(line: Line, data: str | None = None, split: str | None = None) -> list[Published]:
    """The published numbers that a result may stand beside; see :func:`apart`."""
    own = [row for row in published() if row.protocol == line["protocol"]]
    return [row for row in own if not apart(row, line, data, split)]


def nearest(line: Line, data: str | None, split: str | None) -> tuple[Published, list[str]]:
    """Of the published numbers of a result's protocol the one that the least sets apart, and what that is."""
    own = [(row, apart(row, line, data, split)) for row in published() if row.protocol == line["protocol"]]
    return min(own, key=lambda pair: len(pair[1]))
