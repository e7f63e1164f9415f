"""Line charts as inline SVG."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from vidgan.report.collect import Alarm
from vidgan.report.curves import Panel, Series, pieces, thin
from vidgan.report.words import number

WIDTH, HEIGHT = 440, 250
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 42
"""margins around the plot, in units of the view box"""

COLOURS = {"red": "c1", "green": "c2", "blue": "c0"}
"""Styles of curves of colour channels"""


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

    def ticks(self, about: int) -> list[float]:
        """Round values in range, 1, 2 or 5 times a power of ten apart."""
        rough = (self.high - self.low) / about
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(i * step, 12 - math.floor(math.log10(step))) for i in range(first, last + 1)]

    def data(self) -> str:
        """The map as text, for scripts."""
        return f"{self.low!r} {self.high!r} {self.begin:g} {self.end:g}"


def chart(panel: Panel) -> str:
    """A panel as an SVG element; its curves share both axes."""
    steps = [step for series in panel.series for step, _ in series.points]
    values = [value for series in panel.series for _, value in series.points if value is not None]
    x = Axis(0, max([*steps, 1]), LEFT, WIDTH - RIGHT)
    low, high = span([*values, *panel.reach])
    y = Axis(low, high, HEIGHT - BOTTOM, TOP)
    lines = [line(series, i, x, y) for i, series in enumerate(panel.series)]
    said = f"{panel.title}. {'. '.join(summary(series) for series in panel.series)}."
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(said)}" '
        f'data-x="{x.data()}" data-y="{y.data()}">'
        f'<g class="grid">{gridlines(x, y)}</g>{"".join(lines)}{"".join(mark(alarm, x, y) for alarm in panel.marks)}'
        f'<g class="ticks">{tick_labels(x, y)}</g>{axis_titles(panel)}</svg>'
    )


def mark(alarm: Alarm, x: Axis, y: Axis) -> str:
    """A line where something began that the collapse detector saw, with its words to hover over."""
    place = x.place(alarm.onset)
    return (
        f'<g class="alarm" data-rule="{escape(alarm.rule)}"><title>{escape(alarm.text)}</title>'
        f'<line x1="{place:.2f}" x2="{place:.2f}" y1="{y.begin}" y2="{y.end}"/>'
        f'<text x="{place + 3:.2f}" y="{y.end + 9}">{escape(alarm.rule)}</text></g>'
    )


def span(values: list[float]) -> tuple[float, float]:
    """Range of an axis: the values' own and a little more."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    pad = 0.05 * (high - low) or 0.1 * abs(high) or 1.0
    return low - pad, high + pad


def line(series: Series, index: int, x: Axis, y: Axis) -> str:
    """A curve: polylines between gaps, dots where a point has no neighbour, and a title to hover over."""
    drawn = []
    for piece in pieces(thin(series.points)):
        places = [(x.place(step), y.place(value)) for step, value in piece]
        if len(places) == 1:
            drawn.append(f'<circle cx="{places[0][0]:.2f}" cy="{places[0][1]:.2f}" r="2.2"/>')
        else:
            drawn.append(f'<polyline points="{" ".join(f"{a:.2f},{b:.2f}" for a, b in places)}"/>')
    return (
        f'<g class="{classes(series.name, index)}" data-name="{escape(series.name)}">'
        f"<title>{escape(summary(series))}</title>{''.join(drawn)}</g>"
    )


def classes(name: str, index: int) -> str:
    """Style of a curve: what is measured on real clips is dotted (as Du 2020, Figure 4.5), a colour has its own."""
    real, _, colour = name.partition(" ")
    style = COLOURS.get(colour, f"c{index % 6}")
    return f"curve {style} real" if real == "real" and colour in COLOURS else f"curve {style}"


def summary(series: Series) -> str:
    """A curve in words."""
    finite = [(value, step) for step, value in series.points if value is not None]
    if not finite:
        return f"{series.name}: no finite value"
    (low, at_low), (high, at_high), (last, at_last) = min(finite), max(finite), finite[-1]
    return (
        f"{series.name}: {number(last)} at step {number(at_last)}; least {number(low)} at {number(at_low)}, "
        f"greatest {number(high)} at {number(at_high)}"
    )


def gridlines(x: Axis, y: Axis) -> str:
    """Horizontal lines at the ticks, a stronger one at zero, and marks below."""
    across = "".join(
        f'<line{" class=" + chr(34) + "zero" + chr(34) if value == 0 else ""} x1="{x.begin}" x2="{x.end}" '
        f'y1="{y.place(value):.2f}" y2="{y.place(value):.2f}"/>'
        for value in y.ticks(5)
    )
    below = "".join(
        f'<line class="mark" x1="{x.place(value):.2f}" x2="{x.place(value):.2f}" '
        f'y1="{y.begin}" y2="{y.begin + 4}"/>'
        for value in x_ticks(x)
    )
    return f'{across}{below}<line class="mark" x1="{x.begin}" x2="{x.end}" y1="{y.begin}" y2="{y.begin}"/>'


def x_ticks(x: Axis) -> list[float]:
    """Whole steps."""
    return [value for value in x.ticks(5) if value == int(value)]


def tick_labels(x: Axis, y: Axis) -> str:
    """Numbers beside both axes."""
    beside = y.ticks(5)
    decimals = decimals_of(beside)
    labels = [
        f'<text class="y" x="{x.begin - 7}" y="{y.place(value):.2f}" dy="0.32em">{tick_text(value, decimals)}</text>'
        for value in beside
    ]
    labels += [
        f'<text class="x" x="{x.place(value):.2f}" y="{y.begin + 17}">{tick_text(value, 0)}</text>'
        for value in x_ticks(x)
    ]
    return "".join(labels)


def decimals_of(ticks: Sequence[float]) -> int:
    """Digits behind the point that tell neighbouring ticks apart."""
    return max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9)) if len(ticks) > 1 else 2


def tick_text(value: float, decimals: int) -> str:
    """A number beside an axis, no wider than the margin."""
    wide = decimals > 4 or abs(value) >= 1e7
    text = f"{value:.3g}" if wide else f"{value:,.{decimals}f}"
    return text.replace("-", "−")


def axis_titles(panel: Panel) -> str:
    """What the axes show."""
    middle = (TOP + HEIGHT - BOTTOM) / 2
    return (
        f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}">step</text>'
        f'<text class="axis" transform="translate(12 {middle}) rotate(-90)">{escape(panel.unit)}</text>'
    )
