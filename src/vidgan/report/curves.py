"""Curves from log lines: which numbers share a chart, and how thousands of points become hundreds."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from vidgan.report.collect import Alarm, Tick

MOST = 400
"""points that a curve keeps, about one per pixel of a chart"""

OF_NETWORK = {
    "discriminator": "{}",
    "accuracy": "Accuracy of {}",
    "singular": "First singular values, {}",
}
"""Headings of charts that each network has one of"""
TITLES = {
    "": "Scalars",
    "loss": "Losses",
    "gradient": "Gradient norms",
    "pixel": "Mean pixel value",
    "dark": "Dark videos",
    "motion": "Motion",
    "diversity": "Diversity within a class",
}
UNITS = {
    "loss": "loss",
    "discriminator": "mean output",
    "gradient": "norm",
    "memory": "GiB",
    "accuracy": "share on the right side of 0",
    "singular": "value",
    "pixel": "value in [0, 1]",
    "dark": "share of videos",
    "motion": "mean difference of frames",
    "diversity": "mean distance of two clips",
}
SHARES = ("accuracy", "dark")
"""kinds that are shares of a whole: their axes reach from 0 to 1, so that no noise looks like a change"""

Point = tuple[int, float | None]
"""A step and a value; None where it was not finite."""


class Series(NamedTuple):
    """A curve."""

    name: str
    points: Sequence[Point]


class Panel(NamedTuple):
    """A chart: curves of one kind, which share an axis."""

    title: str
    unit: str
    series: Sequence[Series]
    marks: Sequence[Alarm] = ()
    """where the collapse detector saw something begin"""
    reach: Sequence[float] = ()
    """values that the vertical axis shows in any case"""


def panels(ticks: Sequence[Tick]) -> list[Panel]:
    """Charts of one level's log lines: ``a/b/c`` is the curve ``c`` in the chart ``a/b``; speed comes last."""
    names = list(dict.fromkeys(name for tick in ticks for name in tick.scalars))
    groups: dict[str, list[Series]] = {}
    for name in names:
        title, _, curve = name.rpartition("/")
        points = [(tick.step, tick.scalars[name]) for tick in ticks if name in tick.scalars]
        groups.setdefault(title, []).append(Series(curve.replace("_", " "), points))
    marks = [alarm for tick in ticks for alarm in tick.alarms]
    found = [
        Panel(title_of(group), unit_of(group), series, marks, reach_of(group))
        for group, series in groups.items()
    ]
    rates = speed(ticks)
    return [*found, Panel("Speed", "clips / s", [Series("clips / s", rates)])] if rates else found


def title_of(group: str) -> str:
    """A heading for a group of scalars."""
    kind, _, name = group.partition("/")
    if kind in OF_NETWORK and name:
        network = name if name == "generator" else f"discriminator “{name}”"
        text = OF_NETWORK[kind].format(network)
        return text[0].upper() + text[1:]
    return TITLES.get(group, group)


def unit_of(group: str) -> str:
    """What the vertical axis shows."""
    return UNITS.get(group.partition("/")[0], "value")


def reach_of(group: str) -> Sequence[float]:
    """What the vertical axis shows whatever the values are."""
    return (0.0, 1.0) if group.partition("/")[0] in SHARES else ()


def speed(ticks: Sequence[Tick]) -> list[Point]:
    """Clips per second between one log line and the next of a level."""
    pairs = itertools.pairwise([Tick(0, 0, 0, 0.0, {}), *ticks])
    return [
        (tick.step, (tick.clips - before.clips) / (tick.seconds - before.seconds))
        for before, tick in pairs
        if tick.seconds > before.seconds and tick.clips >= before.clips
    ]


def thin(points: Sequence[Point], most: int = MOST) -> Sequence[Point]:
    """At most ``most`` points and the gaps between them.

    The points are cut into buckets; each keeps its least and its greatest value, so that no spike is lost, and
    the first value that is not finite. First and last point stay.
    """
    if len(points) <= most:
        return points
    buckets = most // 2 - 1
    kept = {0, len(points) - 1}
    edges = [len(points) * i // buckets for i in range(buckets + 1)]
    for begin, end in itertools.pairwise(edges):
        finite = [(value, i) for i in range(begin, end) if (value := points[i][1]) is not None]
        if finite:
            kept |= {min(finite)[1], max(finite)[1]}
        kept |= set([i for i in range(begin, end) if points[i][1] is None][:1])
    return [points[i] for i in sorted(kept)]


def pieces(points: Sequence[Point]) -> list[list[tuple[int, float]]]:
    """The runs of finite points between gaps."""
    found: list[list[tuple[int, float]]] = [[]]
    for step, value in points:
        if value is None:
            found.append([])
        else:
            found[-1].append((step, value))
    return [piece for piece in found if piece]
