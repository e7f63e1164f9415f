"""Figures for papers and pages: curves with error bars as one SVG file that needs nothing else."""

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

from vidgan.report.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, decimals_of, span, tick_text

TITLE, LINE = 26, 18
"""heights of a title and of a line of the legend, in units of the view box"""
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Okabe and Ito's, which can be told apart by most colour-blind people."""
STYLE: Final = (
    "text{font:12px sans-serif;fill:#333}.title{font-weight:bold;font-size:13px}"
    ".grid{stroke:#ddd;stroke-width:.6}.axis{stroke:#555;stroke-width:.8}"
)


class Point(NamedTuple):
    """A value, and how far its repetitions lie apart."""

    x: float
    y: float
    deviation: float | None
    """half the length of the error bar; None draws none"""


class Curve(NamedTuple):
    """Points in the order of x."""

    name: str
    points: Sequence[Point]


class Plot(NamedTuple):
    """Curves that share both axes."""

    title: str
    x: str
    y: str
    curves: Sequence[Curve]


def figure(plots: Sequence[Plot]) -> str:
    """Plots side by side as an SVG document."""
    lines = max(len(plot.curves) for plot in plots)
    width, height = WIDTH * len(plots), TITLE + HEIGHT + LINE * (lines + 1)
    drawn = "".join(
        f'<g transform="translate({WIDTH * i} 0)">{draw(plot)}</g>' for i, plot in enumerate(plots)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape("; ".join(plot.title for plot in plots))}"><style>{STYLE}</style>'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{drawn}</svg>\n'
    )


def draw(plot: Plot) -> str:
    """One plot with its title above and its legend below."""
    points = [point for curve in plot.curves for point in curve.points]
    ends = [p.y + sign * (p.deviation or 0) for p in points for sign in (-1, 1)]
    x = Axis(*span([p.x for p in points]), LEFT, WIDTH - RIGHT)
    y = Axis(*span(ends), HEIGHT - BOTTOM, TOP)
    curves = "".join(draw_curve(curve, i, x, y) for i, curve in enumerate(plot.curves))
    legend = "".join(
        f'<g transform="translate({LEFT} {HEIGHT + LINE * (i + 1)})">'
        f'<line x2="22" y1="-4" y2="-4" stroke="{colour(i)}" stroke-width="2"/>'
        f'<text x="30">{escape(curve.name)}</text></g>'
        for i, curve in enumerate(plot.curves)
    )
    middle = (LEFT + WIDTH - RIGHT) / 2
    return (
        f'<text class="title" x="{middle}" y="18" text-anchor="middle">{escape(plot.title)}</text>'
        f'<g transform="translate(0 {TITLE})">{axes(plot, x, y)}{curves}{legend}</g>'
    )


def colour(index: int) -> str:
    """That of the curve with this number."""
    return COLOURS[index % len(COLOURS)]


def draw_curve(curve: Curve, index: int, x: Axis, y: Axis) -> str:
    """A line through the points, a dot on each and a bar around it."""
    places = [(x.place(p.x), y.place(p.y)) for p in curve.points]
    bars = "".join(
        f'<line class="bar" x1="{a:.2f}" x2="{a:.2f}" y1="{y.place(p.y - p.deviation):.2f}" '
        f'y2="{y.place(p.y + p.deviation):.2f}"/>'
        for p, (a, _) in zip(curve.points, places, strict=True)
        if p.deviation is not None
    )
    dots = "".join(f'<circle cx="{a:.2f}" cy="{b:.2f}" r="2.2" stroke="none"/>' for a, b in places)
    line = " ".join(f"{a:.2f},{b:.2f}" for a, b in places)
    return (
        f'<g class="curve" data-name="{escape(curve.name)}" stroke="{colour(index)}" fill="{colour(index)}">'
        f'<title>{escape(curve.name)}</title><polyline points="{line}" fill="none" stroke-width="1.4"/>{bars}{dots}</g>'
    )


def axes(plot: Plot, x: Axis, y: Axis) -> str:
    """Lines at round values, numbers beside them, and what they count."""
    across, beside = x.ticks(5), y.ticks(5)
    drawn = [
        f'<line class="grid" x1="{x.begin}" x2="{x.end}" y1="{y.place(v):.2f}" y2="{y.place(v):.2f}"/>'
        f'<text x="{x.begin - 7}" y="{y.place(v):.2f}" dy="0.32em" text-anchor="end">'
        f"{tick_text(v, decimals_of(beside))}</text>"
        for v in beside
    ]
    drawn += [
        f'<line class="axis" x1="{x.place(v):.2f}" x2="{x.place(v):.2f}" y1="{y.begin}" y2="{y.begin + 4}"/>'
        f'<text x="{x.place(v):.2f}" y="{y.begin + 17}" text-anchor="middle">'
        f"{tick_text(v, decimals_of(across))}</text>"
        for v in across
    ]
    drawn.append(f'<line class="axis" x1="{x.begin}" x2="{x.end}" y1="{y.begin}" y2="{y.begin}"/>')
    middle = ((x.begin + x.end) / 2, (y.begin + y.end) / 2)
    drawn.append(f'<text x="{middle[0]}" y="{y.begin + 34}" text-anchor="middle">{escape(plot.x)}</text>')
    drawn.append(
        f'<text transform="translate(12 {middle[1]}) rotate(-90)" text-anchor="middle">{escape(plot.y)}</text>'
    )
    return "".join(drawn)
