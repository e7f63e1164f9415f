"""Curves of several runs in one chart each, what the collapse detector sees of them, and how they stand."""

import math
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from markupsafe import Markup

from vidgan.errors import UserError
from vidgan.report.charts import Axis, Chart, Curve, Point, chart, speed
from vidgan.report.collect import Alarm, Collected, Tick, collect
from vidgan.report.page import environment
from vidgan.report.words import count, duration, number
from vidgan.run.collapse import RULES, CollapseSpec
from vidgan.run.lock import NAME, Holder, read_holder

SIGNALS: Final = "Alarm signals"
HIGHEST: Final = 2.0
"""severity up to which signals are drawn; from 1 on a rule holds"""
FIRST: Final = ("Losses", "Speed", SIGNALS)
"""charts that are shown at first"""


class Standing(NamedTuple):
    """How a run stands."""

    name: str
    state: str
    """training, finished or stopped"""
    shown: Collected


def standing(name: str, path: Path) -> Standing:
    """How a run stands; raises :class:`UserError` where it cannot be read."""
    shown = collect(path)
    rounds = len(list(shown.run.experiment.rounds))
    trains = holder_of(path) is not None
    return Standing(
        name, "training" if trains else "finished" if len(shown.finished) >= rounds else "stopped", shown
    )


def holder_of(path: Path) -> Holder | None:
    """The process of this machine that trains in a run directory, if one does."""
    try:
        file = os.open(path / NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        holder = read_holder(file)
    finally:
        os.close(file)
    return holder if holder is not None and holder.is_here and holder.lives else None


def stop(path: Path) -> int:
    """Tell the process that trains in a run directory to save and end; its number.

    Raises:
        UserError: where none does on this machine.
    """
    holder = holder_of(path)
    if holder is None:
        raise UserError(f"nobody trains in {path} on this machine")
    os.kill(holder.pid, signal.SIGTERM)
    return holder.pid


def table_of(runs: Sequence[Standing]) -> str:
    """A row for each run, as HTML."""
    rows = Markup("").join(
        Markup(
            "<tr><th scope=row>{}</th><td data-is=experiment>{}</td><td data-is=state>{}</td>"
            '<td data-is="so far">{}</td><td data-is=alarms>{}</td></tr>'
        ).format(
            run.name,
            run.shown.run.experiment.name,
            run.state,
            progress(run.shown),
            ", ".join(dict.fromkeys(alarm.rule for tick in run.shown.ticks for alarm in tick.alarms))
            or "none",
        )
        for run in runs
    )
    head = Markup("").join(
        map(Markup("<th scope=col>{}</th>").format, ("run", "experiment", "state", "so far", "alarms"))
    )
    return Markup(
        '<div class="wide stacked" tabindex="0" role="region" aria-label="runs"><table><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(head, rows)


def progress(shown: Collected) -> str:
    """How far a run is, in words."""
    if not shown.ticks:
        return "not begun, or before its first log line"
    last, experiment = shown.ticks[-1], shown.run.experiment
    level = f"level {last.level}, " if len(experiment.levels) > 1 else ""
    planned = count(experiment.steps_of(last.level - 1), "step")
    return f"{level}{number(last.step)} of {planned}, {duration(last.seconds)}"


def by_level(runs: Sequence[Standing]) -> dict[str, Sequence[Tick]]:
    """The log lines of each level of each run, by a name for its curve."""
    found: dict[str, Sequence[Tick]] = {}
    for run in runs:
        levels = sorted({tick.level for tick in run.shown.ticks})
        for level in levels:
            name = run.name + (f", level {level}" if len(run.shown.run.experiment.levels) > 1 else "")
            found[name] = [tick for tick in run.shown.ticks if tick.level == level]
    return found


def overlaid(logs: Mapping[str, Sequence[Tick]]) -> list[Chart]:
    """A chart for every logged value, with a curve for every run that has it; speed comes last."""
    scalars = dict.fromkeys(name for ticks in logs.values() for tick in ticks for name in tick.scalars)
    alarms = [
        Alarm(f"{alarm.rule} ({run})", alarm.onset, alarm.text)
        for run, ticks in logs.items()
        for tick in ticks
        for alarm in tick.alarms
    ]
    found = []
    for scalar in scalars:
        group, _, curve = scalar.rpartition("/")
        points: dict[str, list[Point]] = {
            run: own
            for run, ticks in logs.items()
            if (own := [(tick.step, tick.scalars[scalar]) for tick in ticks if scalar in tick.scalars])
        }
        of_group = chart(group, points, alarms)
        found.append(of_group._replace(title=f"{of_group.title}: {curve.replace('_', ' ')}"))
    rates = {run: own for run, ticks in logs.items() if (own := speed(ticks))}
    return [*found, chart("speed", rates, ())] if rates else found


def signals(name: str, ticks: Sequence[Tick], spec: CollapseSpec) -> Chart | None:
    """What every rule of the collapse detector makes of a run, 1 being its threshold; None without log lines."""
    found: dict[str, list[Point]] = {}
    for tick in ticks:
        for rule in RULES:
            seen = [each.severity for each in rule.read(spec, tick.scalars).values()]
            if seen:
                found.setdefault(rule.name, []).append((tick.step, min(max(seen), HIGHEST)))
    if not found:
        return None
    # The seventh and later ones are dotted: there are six colours.
    styles = (f"curve c{i % 6}{' real' if i >= 6 else ''}" for i in range(len(found)))
    curves = [Curve(rule, style, points) for (rule, points), style in zip(found.items(), styles, strict=True)]
    drawn = chart("", found, [alarm for tick in ticks for alarm in tick.alarms])
    y = Axis(0.0, HIGHEST * 1.05, drawn.y.begin, drawn.y.end)
    return Chart(f"{SIGNALS}: {name}", "severity; 1 is the threshold", curves, drawn.alarms, drawn.x, y)


def all_charts(runs: Sequence[Standing]) -> list[Chart]:
    """Every chart of some runs."""
    logs = by_level(runs)
    specs = {run.name: run.shown.run.experiment.reporting.collapse for run in runs}
    watched = [
        drawn
        for name, ticks in logs.items()
        if (drawn := signals(name, ticks, specs[name.rpartition(", level ")[0] or name])) is not None
    ]
    return [*overlaid(logs), *watched]


def kind_of(drawn: Chart) -> str:
    """What a chart is listed as."""
    return drawn.title.partition(":")[0]


def charts_as_html(drawn: Sequence[Chart]) -> str:
    """Charts as HTML, and below them what alarms say."""
    macro = environment().get_template("chart.html").module.chart  # type: ignore[attr-defined]
    told = dict.fromkeys(alarm.text for each in drawn for alarm in each.alarms if math.isfinite(alarm.onset))
    words = Markup("").join(Markup("<li>{}</li>").format(text) for text in told)
    below = Markup('<h3>Alarms</h3><ul class="alarms">{}</ul>').format(words) if told else Markup("")
    return Markup('<div class="charts">{}</div>{}').format(Markup("").join(map(macro, drawn)), below)
