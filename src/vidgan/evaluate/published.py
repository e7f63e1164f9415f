"""Numbers that the five papers print, each with the paper that printed it and the protocol it was made by."""

import functools
import importlib.resources
import json
from collections.abc import Mapping
from typing import Any, NamedTuple


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
    text = importlib.resources.files("vidgan.evaluate").joinpath("published.json").read_text("utf-8")
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
