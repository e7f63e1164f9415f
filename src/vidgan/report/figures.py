"""Figures for papers, drawn by matplotlib: curves with their deviations as SVG, PDF or PNG."""

import importlib.util
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vidgan.errors import UserError
from vidgan.files import write_whole
from vidgan.forms import NUMBER, WHOLE, Fields, Form, Table, fits
from vidgan.names import printable
from vidgan.report.collect import finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

SUFFIXES: Final = (".svg", ".pdf", ".png")
WIDTH, HEIGHT, LINE = 3.4, 2.6, 0.19
"""inches of a plot, and of a line of the legend"""
LETTERS = 52
"""letters that a plot is wide, about"""
DENSE = 40
"""points beyond which a curve has a band instead of markers and error bars"""
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Okabe and Ito's, which can be told apart by most colour-blind people; markers and dashes help in black and white"""
MARKERS: Final = "os^DvPX"
DASHES: Final = ("-", "--", "-.", ":")
STYLE: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "axes.titlesize": 9.0,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.formatter.useoffset": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "errorbar.capsize": 2.0,
    "legend.frameon": False,
    "savefig.dpi": 200.0,
    "pdf.fonttype": 42,  # TrueType: conferences refuse Type 3
    "svg.hashsalt": "vidgan",  # else identifiers differ from run to run
    "text.parse_math": False,  # a name may have dollars in it
}
UNDATED: Final[Mapping[str, Mapping[str, None]]] = {
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".png": {"Software": None},
}
"""Nothing in a file tells when and by which version it was drawn, so that it changes only with what it shows."""


class Point(NamedTuple):
    """A value and the deviation of its repetitions."""

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


def normalised(plot: Plot) -> Plot:
    """The same with y from 0, the lowest value of all its curves, to 1, the highest (SSW-GAN, Figure 6).

    Raises:
        UserError: if all values are the same.
    """
    values = [point.y for curve in plot.curves for point in curve.points]
    low, high = min(values), max(values)
    if low == high:
        raise UserError(f"{plot.title} is {low:g} everywhere: there is no lowest and highest to normalise by")

    def moved(point: Point) -> Point:
        width = None if point.deviation is None else point.deviation / (high - low)
        return Point(point.x, (point.y - low) / (high - low), width)

    curves = [curve._replace(points=[moved(point) for point in curve.points]) for curve in plot.curves]
    return plot._replace(y=f"{plot.y}, normalised", curves=curves)


def check_target(path: Path) -> None:
    """Raise :class:`UserError` unless a figure can be drawn to ``path``: call this before anything is computed."""
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UserError(f"{path} cannot be written: {path.parent} is not a folder, or {path.name} is one")
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("figures need matplotlib: pip install 'vidgan[plot]'")


def save(path: Path, plots: Sequence[Plot]) -> None:
    """Draw ``plots`` into a file, whole or not at all: SVG, PDF or PNG by its suffix.

    The same plots give the same bytes, as long as matplotlib is the same.

    Raises:
        UserError: for another suffix, a missing folder, or where matplotlib is missing.
    """
    check_target(path)
    from matplotlib import rc_context

    with rc_context(STYLE):
        drawn = draw(plots)
        metadata = dict(UNDATED[path.suffix])
        write_whole(path, lambda part: drawn.savefig(part, format=path.suffix[1:], metadata=metadata))


def draw(plots: Sequence[Plot]) -> "Figure":
    """Plots above one legend, two in a row, which fits a page; curves of one name look alike in all of them."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(curve.name for plot in plots for curve in plot.curves))
    columns = min(2, len(plots))
    rows = math.ceil(len(plots) / columns)
    labels = [textwrap.fill(printable(name), LETTERS * columns - 6) for name in names]
    beside = max(1, min(len(names), LETTERS * columns // (6 + max(map(len, labels)))))
    lines = sum(label.count("\n") + 1 for label in labels) / beside
    with rc_context(STYLE):
        figure = Figure((WIDTH * columns, HEIGHT * rows + LINE * (lines + 1)), layout="constrained")
        grid = list(figure.subplots(rows, columns, squeeze=False).flat)
        handles: dict[str, Line2D] = {}
        for axes, plot in zip(grid, plots, strict=False):
            handles = draw_plot(axes, plot, names) | handles
        for axes in grid[len(plots) :]:
            axes.remove()
        figure.legend([handles[name] for name in names], labels, loc="outside lower center", ncols=beside)
    return figure


def draw_plot(axes: "Axes", plot: Plot, names: Sequence[str]) -> "dict[str, Line2D]":
    """One plot; the line of each curve by its name. A curve looks as its place in ``names`` says."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    handles = {}
    for curve in plot.curves:
        place = names.index(curve.name)
        colour, dense = COLOURS[place % len(COLOURS)], len(curve.points) > DENSE
        marker = "" if dense else MARKERS[place % len(MARKERS)]
        x, y = [p.x for p in curve.points], [p.y for p in curve.points]
        (handles[curve.name],) = axes.plot(x, y, DASHES[place % len(DASHES)], color=colour, marker=marker)
        spread = [(p.x, p.y, p.deviation) for p in curve.points if p.deviation is not None]
        if spread:
            x, y, deviation = map(list, zip(*spread, strict=True))
            if dense:
                low, high = ([a + sign * b for a, b in zip(y, deviation, strict=True)] for sign in (-1, 1))
                axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
            else:
                axes.errorbar(x, y, deviation, fmt="none", ecolor=colour, elinewidth=0.9)
    if all(float(p.x).is_integer() for curve in plot.curves for p in curve.points):
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set(title=textwrap.fill(printable(plot.title), LETTERS - 14), xlabel=plot.x, ylabel=plot.y)
    return handles


def truncation(name: str, results: Sequence[tuple[float, Mapping[str, Any]]]) -> list[Plot]:
    """A plot per protocol: values of the run ``name`` against the deviation of the noise, from (sigma, result) pairs.

    Values that are not finite are left out.

    Raises:
        UserError: if none is finite.
    """
    points: dict[str, list[Point]] = {}
    for sigma, line in sorted(results, key=lambda pair: pair[0]):
        if (value := finite(line["value"])) is not None:
            spread = line.get("deviation")
            deviation = finite(spread.get("value")) if isinstance(spread, dict) else None
            points.setdefault(line["protocol"], []).append(Point(sigma, value, deviation))
    if not points:
        raise UserError("none of the results is a finite number, so there is nothing to draw")
    x = "deviation of the noise (sigma)"
    return [Plot(protocol, x, "value", [Curve(name, found)]) for protocol, found in points.items()]


FUTURES: Final = Fields({"best_of": Table([NUMBER])}, {"copy_last_per_frame": [NUMBER]})
"""what a result of ssim-best-of-100 has among its values"""


def best_of(name: str, line: Mapping[str, Any]) -> Plot:
    """SSIM over predicted frames from a result of ssim-best-of-100: a curve per number of predictions, and that of
    the copied frame (Luc et al. 2020, Figure 5)."""
    values = line["values"]
    curves = {f"best of {number}": ssim for number, ssim in values["best_of"].items()}
    if "copy_last_per_frame" in values:
        curves["copy of the last given frame"] = values["copy_last_per_frame"]
    step = "" if line.get("step") is None else f", step {line['step']}"
    points = {key: [Point(i, value, None) for i, value in enumerate(ssim, 1)] for key, ssim in curves.items()}
    clips = "" if line.get("clips") is None else f", {line['clips']} clips"
    return Plot(f"{name}{step}{clips}", "predicted frame", "SSIM", [Curve(*pair) for pair in points.items()])


BY_FRAME_AND_RING: Final[Form] = [[NUMBER]]
SPECTRA: Final = Fields(
    dict.fromkeys(("real", "real_deviation", "fake", "fake_deviation"), BY_FRAME_AND_RING)
)
"""what a result of psd has among its values"""


def spectra(line: Mapping[str, Any]) -> list[Plot]:
    """A plot per frame from a result of psd: power spectra, generated beside real, with the deviation over groups of
    clips (SSW-GAN, appendix E, Figure 9).

    Our choice: from the first ring on. The ring before it is the mean brightness, which says nothing about sharpness.

    Raises:
        UserError: if the result's frames or rings do not agree.
    """
    values, positions = line["values"], line["settings"].get("features", {}).get("positions", [])
    curves = [values[name] for name in SPECTRA.needed]
    rings = {len(ring) for curve in curves for ring in curve}
    if not fits(positions, [WHOLE]) or {len(curve) for curve in curves} != {len(positions)} or len(rings) > 1:
        raise UserError(
            "the newest result of psd is damaged: its spectra are not of as many frames and rings"
        )
    return [
        Plot(
            f"frame {position}",
            "cycles per frame's side",
            "log10 of power",
            [
                Curve(name, list(logarithms(values[side][i], values[f"{side}_deviation"][i])))
                for side, name in (("real", "real"), ("fake", "generated"))
            ],
        )
        for i, position in enumerate(positions)
    ]


def logarithms(means: Sequence[float], deviations: Sequence[float]) -> Iterator[Point]:
    """Base-ten logarithms of rings from the first on, with the deviations that go with them; no point for no power."""
    for ring, (mean, deviation) in enumerate(zip(means, deviations, strict=True)):
        if ring > 0 and mean > 0:
            yield Point(ring, math.log10(mean), deviation / (mean * math.log(10)))
