"""Charts of a training log: which scalars share one, how thousands of points become hundreds, where they are drawn."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from vidgan.report.collect import Alarm, Tick
from vidgan.report.words import number

MOST = 400
"""points that a curve keeps, about one per pixel of a chart"""
WIDTH, HEIGHT = 440, 250
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 42
"""margins around the plot, in units of the view box"""

OF_NETWORK = {
    "discriminator": "{}",
    "accuracy": "Accuracy of {}",
    "singular": "First singular values, {}",
}
"""titles of charts that each network has one of"""
TITLES = {
    "": "Scalars",
    "loss": "Losses",
    "gradient": "Gradient norms",
    "pixel": "Mean pixel value",
    "dark": "Dark videos",
    "motion": "Motion",
    "diversity": "Diversity within a class",
    "speed": "Speed",
}
UNITS = {
    "loss": "loss",
    "discriminator": "mean score",
    "gradient": "norm",
    "memory": "GiB",
    "accuracy": "share on the right side of 0",
    "singular": "value",
    "pixel": "value in [0, 1]",
    "dark": "share of videos",
    "motion": "mean difference of frames",
    "diversity": "mean distance of two clips",
    "speed": "clips / s",
}
SHARES = ("accuracy", "dark")
"""kinds that are shares of a whole: their axes span 0 to 1, so that noise does not look like a change"""
COLOURS = {"red": "c1", "green": "c2", "blue": "c0", "mean": "c5"}
"""styles of curves of colour channels and of their mean"""

Point = tuple[int, float | None]
"""A step and a value; None where it was not finite."""


class Axis(NamedTuple):
    """A linear map from values to places in the view box."""

    low: float
    high: float
    begin: float
    """place of ``low``"""
    end: float
    """place of ``high``"""

    def place(self, value: float) -> float:
        """Where a value stands."""
        return self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin)

    def ticks(self, whole: bool = False) -> list[tuple[float, str]]:
        """About five values in range, 1, 2 or 5 times a power of ten apart, and their texts, no wider than the margin.

        Args:
            whole: only integers.
        """
        rough = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        values = [round(i * step, 12 - math.floor(math.log10(step))) for i in range(first, last + 1)]
        decimals = 0 if whole else max(0, -math.floor(math.log10(step) + 1e-9))
        return [
            (value, (f"{value:.3g}" if wide else f"{value:,.{decimals}f}").replace("-", "−"))
            for value in values
            if not whole or value.is_integer()
            for wide in [decimals > 4 or abs(value) >= 1e7]
        ]


class Curve(NamedTuple):
    """A scalar over training."""

    name: str
    style: str
    """its CSS classes"""
    points: Sequence[Point]

    @property
    def last(self) -> float | None:
        """The last value."""
        return self.points[-1][1]

    @property
    def gaps(self) -> list[int]:
        """Steps at which it was not finite."""
        return [step for step, value in self.points if value is None]

    @property
    def summary(self) -> str:
        """The curve in words."""
        finite = [(value, step) for step, value in self.points if value is not None]
        if not finite:
            return f"{self.name}: no finite value"
        (low, at_low), (high, at_high), (last, at_last) = min(finite), max(finite), finite[-1]
        return (
            f"{self.name}: {number(last)} at step {number(at_last)}; least {number(low)} at {number(at_low)}, "
            f"greatest {number(high)} at {number(at_high)}"
        )

    def lines(self, x: Axis, y: Axis) -> list[list[tuple[float, float]]]:
        """Places of the curve's points, thinned: a list per stretch without a gap."""
        found: list[list[tuple[float, float]]] = [[]]
        for step, value in thin(self.points):
            if value is None:
                found.append([])
            else:
                found[-1].append((x.place(step), y.place(value)))
        return [line for line in found if line]


class Chart(NamedTuple):
    """Curves of one kind, which share both axes."""

    title: str
    unit: str
    curves: Sequence[Curve]
    alarms: Sequence[Alarm]
    """where the collapse detector found that something began"""
    x: Axis
    y: Axis


def charts(ticks: Sequence[Tick]) -> list[Chart]:
    """Charts of one level's log lines: ``a/b/c`` is the curve ``c`` in the chart ``a/b``; speed comes last."""
    groups: dict[str, dict[str, list[Point]]] = {}
    for tick in ticks:
        for name, value in tick.scalars.items():
            group, _, curve = name.rpartition("/")
            groups.setdefault(group, {}).setdefault(curve.replace("_", " "), []).append((tick.step, value))
    alarms = [alarm for tick in ticks for alarm in tick.alarms]
    found = [chart(group, curves, alarms) for group, curves in groups.items()]
    rates = speed(ticks)
    return [*found, chart("speed", {"clips / s": rates}, ())] if rates else found


def chart(group: str, points: dict[str, list[Point]], alarms: Sequence[Alarm]) -> Chart:
    """The chart of a group of scalars."""
    kind, _, network = group.partition("/")
    title = TITLES.get(group, group)
    if kind in OF_NETWORK and network:
        text = OF_NETWORK[kind].format(network if network == "generator" else f"discriminator “{network}”")
        title = text[0].upper() + text[1:]
    curves = [Curve(name, style(name, i), own) for i, (name, own) in enumerate(points.items())]
    values = [value for own in points.values() for _, value in own if value is not None]
    last = max(step for own in points.values() for step, _ in own)
    x = Axis(0, max(last, 1), LEFT, WIDTH - RIGHT)
    low, high = span([*values, *((0.0, 1.0) if kind in SHARES else ())])
    return Chart(title, UNITS.get(kind, "value"), curves, alarms, x, Axis(low, high, HEIGHT - BOTTOM, TOP))


def span(values: list[float]) -> tuple[float, float]:
    """Range of an axis: the values' own and a little more."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    pad = 0.05 * (high - low) or 0.1 * abs(high) or 1.0
    return low - pad, high + pad


def style(name: str, index: int) -> str:
    """CSS classes of a curve: a colour has its own, and on real clips it is dotted (as Du 2020, Figure 4.5)."""
    real, _, colour = name.partition(" ")
    dotted = " real" if real == "real" and colour in COLOURS else ""
    return f"curve {COLOURS.get(colour, f'c{index % 6}')}{dotted}"


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
