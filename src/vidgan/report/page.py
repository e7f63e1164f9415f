"""The report: one page that shows a run, needs no network and can be kept beside a paper."""

import itertools
from datetime import datetime
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from vidgan.files import write_text
from vidgan.report.changes import deviations, is_tiny
from vidgan.report.collect import Collected, Tick, collect
from vidgan.report.curves import Panel, panels
from vidgan.report.motion import motion
from vidgan.report.pictures import by_class, over_training
from vidgan.report.results import results
from vidgan.report.svg import chart, classes, summary
from vidgan.report.words import command, count, duration, number, resuming, rows, spec_lines
from vidgan.run.directory import Budget

NAME = "report.html"


def write_report(run_path: Path, refresh: int | None = None) -> Path:
    """Write ``report.html`` into a run directory, whole or not at all; its path.

    What the run has not made yet is named on the page with the command that makes it. With ``refresh``, a
    browser loads the page again after so many seconds.

    Raises:
        UserError: if ``run_path`` is no run directory.
    """
    path = run_path / NAME
    write_text(path, page(collect(run_path), refresh))
    return path


def page(shown: Collected, refresh: int | None = None) -> str:
    """The page as HTML text."""
    files = resources.files("vidgan.report")
    texts = {name: (files / name).read_text("utf-8") for name in ("page.html", "style.css", "script.js")}
    experiment = shown.run.experiment
    return Template(texts["page.html"]).substitute(
        refresh="" if refresh is None else f'<meta http-equiv="refresh" content="{refresh}">\n',
        style=texts["style.css"],
        script=texts["script.js"],
        name=escape(experiment.name),
        description=escape(experiment.description),
        shrunk=shrunk(shown),
        source=f"<p class=source>After {escape(experiment.source)}.</p>" if experiment.source else "",
        facts=facts(shown) + origin(shown),
        problems="".join(f"<p class=missing>{escape(problem)}; left out.</p>" for problem in shown.problems),
        deviations=deviations(shown),
        results=results(shown),
        classes=by_class(shown),
        fixed=over_training(shown),
        motion=motion(shown),
        curves=curves(shown),
        spec=escape("\n".join(spec_lines("experiment", shown.record["experiment"]))),
    )


def facts(shown: Collected) -> str:
    """What was trained, on what, how long."""
    data, training = shown.run.data, shown.run.experiment.training
    top = shown.run.experiment.levels[-1]
    classes = count(len(data.class_names), "class", "classes")
    return rows(
        [
            ("Videos", f"{count(top.frames, 'frame')} of {top.size} × {top.size}"),
            ("Data", f"{escape(data.source)}: {count(data.clips, 'clip')}, {classes}"),
            *(
                (f"Level {level}" if several else "Training", text)
                for level, several, text in progress(shown)
            ),
            *([("Budget", budget(shown.run.budget))] if shown.run.budget else []),
            ("Batch", count(training.batch.global_batch, "clip")),
            ("Seed", str(training.seed)),
        ]
    )


def budget(given: Budget) -> str:
    """The time to train for, and the step that was measured to fill it."""
    return (
        f"{duration(3600 * given.hours)} at {number(1000 * given.step_seconds)} ms a step "
        f"(mean of {number(given.measured)}, reading data left out): {count(given.steps, 'step')}"
    )


def shrunk(shown: Collected) -> str:
    """What a run with ``--tiny`` really is; its description is still the preset's."""
    if not is_tiny(shown.record):
        return ""
    experiment = shown.run.experiment
    top = experiment.levels[-1]
    size = f"{count(top.frames, 'frame')} of {top.size} × {top.size}"
    return (
        "<p class=shrunk><strong>Shrunk by <code>--tiny</code></strong>, to try the code and not to judge it: "
        f"{size}, {count(experiment.classes, 'class', 'classes')}, networks of almost no width. "
        "The description above is the preset's.</p>"
    )


def progress(shown: Collected) -> list[tuple[int, bool, str]]:
    """How far each level is."""
    experiment = shown.run.experiment
    levels = [index + 1 for index in experiment.rounds]
    found = []
    for level in levels:
        planned = experiment.steps_of(level - 1)
        ticks = [tick for tick in shown.ticks if tick.level == level]
        if ticks:
            last = ticks[-1]
            state = "finished" if level in shown.finished else "not finished"
            seen = f"{count(last.step, 'step')} (of at most {number(planned)}), {count(last.clips, 'clip')}"
            text = f"{seen}, {duration(last.seconds)}; {state}"
        else:
            text = f"not begun, or not yet at its first log line; {count(planned, 'step')} at most"
        found.append((level, len(levels) > 1, text))
    return found


def origin(shown: Collected) -> str:
    """How the run was made."""
    record = shown.record
    words = record.get("command")
    versions = [
        f"{name} {record[name]}" for name in ("vidgan", "torch", "numpy", "python") if record.get(name)
    ]
    machine = [str(record["device"])] if record.get("device") else []
    machine += [count(int(record["threads"]), "thread")] if record.get("threads") else []
    known = [
        ("Command", command(*map(str, words)) if isinstance(words, list) and words else ""),
        ("Versions", escape(", ".join(versions))),
        ("Commit", f"<code>{escape(str(record['commit']))}</code>" if record.get("commit") else ""),
        ("Machine", escape(", ".join(machine))),
        ("Started", escape(when(str(record.get("created", ""))))),
        ("Data hash", f"<code>{escape(shown.run.data.fingerprint)}</code>"),
    ]
    return rows([(term, text) for term, text in known if text])


def when(stamp: str) -> str:
    """A time stamp for people."""
    try:
        return f"{datetime.fromisoformat(stamp):%d %B %Y, %H:%M %Z}".lstrip("0")
    except ValueError:
        return stamp


def curves(shown: Collected) -> str:
    """Charts of every level."""
    if not shown.ticks:
        tick = count(shown.run.experiment.reporting.tick, "step")
        return (
            f'<p class="missing">The log is empty: training writes a line every {tick}; '
            f"{resuming(shown.record)} goes on.</p>"
        )
    found = ""
    ordered = sorted(shown.ticks, key=lambda tick: tick.level)
    for level, ticks in itertools.groupby(ordered, key=lambda tick: tick.level):
        heading = f"<h3>Level {level}</h3>" if len(shown.run.experiment.levels) > 1 else ""
        found += heading + level_curves(list(ticks))
    every = number(shown.run.experiment.reporting.tick)
    note = f"Each point is the mean over the steps since the one before it, {every} as a rule."
    return (
        f"{found}<p class=note>{note} Long curves keep the least and the greatest value of every stretch.</p>"
    )


def level_curves(ticks: list[Tick]) -> str:
    """Charts of one level, side by side where there is room."""
    alarms = [alarm for tick in ticks for alarm in tick.alarms]
    said = "".join(f"<p class=warning><strong>Alarm:</strong> {escape(alarm.text)}.</p>" for alarm in alarms)
    return f"{said}<div class=charts>{''.join(figure(panel) for panel in panels(ticks))}</div>"


def figure(panel: Panel) -> str:
    """A chart with its title, its legend and what it cannot show."""
    legend = "".join(
        f'<li class="{classes(series.name, i)}" title="{escape(summary(series))}"><i></i>{escape(series.name)} '
        f"<b>{number(series.points[-1][1])}</b></li>"
        for i, series in enumerate(panel.series)
    )
    lost = [
        f"{series.name} is not finite at {count(len(gaps), 'point')}, first at step {number(gaps[0])}"
        for series in panel.series
        if (gaps := [step for step, value in series.points if value is None])
    ]
    said = f"<p class=missing>{escape('; '.join(lost))}.</p>" if lost else ""
    return (
        f"<figure class=chart><figcaption><h4>{escape(panel.title)}</h4><ul class=legend>{legend}</ul></figcaption>"
        f"{chart(panel)}{said}</figure>"
    )
