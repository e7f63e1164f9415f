"""The report: one page that shows a run, needs no network and can be kept beside a paper."""

import base64
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import jinja2

from vidgan.evaluation.protocols import ALL
from vidgan.files import write_text
from vidgan.report import words
from vidgan.report.changes import changes, is_tiny, sharing, shorten
from vidgan.report.charts import HEIGHT, WIDTH, Chart, charts
from vidgan.report.collect import (
    ClassClips,
    Collected,
    FixedSample,
    Picture,
    Tick,
    collect,
    finite,
)
from vidgan.run.best import best_of
from vidgan.sample.previews import COLUMNS, ROWS
from vidgan.spec import TAG
from vidgan.user_code import Files, load_files

NAME: Final = "report.html"
BUDGET: Final = 12_000_000
"""bytes of pictures in a section; a page must open on a phone"""
STEPS: Final = 10
"""steps at which fixed latents are shown"""
PER_CLASS: Final = 4
"""clips of a class"""
TILE: Final = 96
"""side of a clip on a wide screen, CSS pixels, about"""
GAP: Final = 2
"""pixels between the clips of a preview"""
LARGEST: Final = 24
"""rows and columns of a table that is shown whole; a larger one is folded away, or its largest entries are listed"""
OPEN: Final = 8
"""changed settings that are shown at once; more are folded away"""


class Level(NamedTuple):
    """What there is of a level of the model."""

    number: int
    """from 1"""
    ticks: Sequence[Tick]
    """lines of the log"""
    planned: int
    """steps at most"""
    finished: bool
    fixed: Sequence[FixedSample]
    """those that are shown"""
    kept: int
    """how many samples from fixed latents there are"""
    charts: Sequence[Chart]


def write_report(
    run_path: str | Path, refresh: int | None = None, out: str | Path | None = None, code: Files = None
) -> Path:
    """Write ``report.html`` into a run directory, whole or not at all, and nothing else; its path.

    What the run has not made yet is named on the page with the command that makes it.

    Args:
        run_path: the run directory.
        refresh: seconds after which a browser loads the page again; None for a page that stays.
        out: another file to write.
        code: the user's Python file or files whose classes the experiment has.

    Raises:
        UserError: if ``run_path`` is no run directory.
    """
    load_files(code)
    path = Path(out or Path(run_path) / NAME)
    write_text(path, page(collect(Path(run_path)), refresh))
    return path


def page(shown: Collected, refresh: int | None = None) -> str:
    """The page as HTML text."""
    run, experiment = shown.run, shown.run.experiment
    results: dict[str, list[Mapping[str, Any]]] = {}
    for line in shown.metrics:
        of = f", level {line['level']}" if "level" in line else ""
        results.setdefault(f"{line['protocol']}{of}", []).append(line)
    return (
        environment()
        .get_template("page.html")
        .render(
            run=run,
            experiment=experiment,
            record=shown.record,
            problems=shown.problems,
            refresh=refresh,
            tiny=is_tiny(shown.record),
            sharing=sharing(shown.record, experiment),
            changes=changes(shown.record),
            levels=levels(shown),
            several=len(experiment.levels) > 1,
            classes=affordable(shown.classes),
            class_count=len(shown.classes),
            motion=shown.motion,
            views=shown.views,
            warps=experiment.levels[0].context_frames > 0 and experiment.levels[0].generator.warps,
            columns=column_classes(shown),
            results=results,
            best=best_of(shown.metrics),
        )
    )


@functools.cache
def environment() -> jinja2.Environment:
    """Templates that escape what they are given, and raise where they are given nothing."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("vidgan.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    helpers = (
        *(
            words.number,
            words.plain,
            words.count,
            words.duration,
            words.when,
            words.resuming,
            words.spec_lines,
        ),
        *(shorten, data_uri, enlarged, crop, settings, spread, tables, rectangular, commonest, finite),
    )
    made.filters |= {helper.__name__: helper for helper in helpers}
    made.globals |= {
        **{"shell": words.shell, "about": {name: each.about for name, each in ALL.items()}},
        **{"WIDTH": WIDTH, "HEIGHT": HEIGHT, "PER_CLASS": PER_CLASS, "LARGEST": LARGEST, "OPEN": OPEN},
        "PREVIEWS": COLUMNS * ROWS,
    }
    return made


def levels(shown: Collected) -> list[Level]:
    """The levels that are trained one after another, and what each has so far; levels trained together are one."""
    experiment = shown.run.experiment
    found = []
    for index in experiment.rounds:
        ticks = [tick for tick in shown.ticks if tick.level == index + 1]
        fixed = [sample for sample in shown.fixed if sample.level == index + 1]
        finished = index + 1 in shown.finished
        planned = experiment.steps_of(index)
        found.append(Level(index + 1, ticks, planned, finished, pick(fixed), len(fixed), charts(ticks)))
    return found


def pick(samples: Sequence[FixedSample]) -> Sequence[FixedSample]:
    """At most :data:`STEPS` samples within the budget, evenly over training, with the first and the last."""
    largest = max((sample.picture.bytes for sample in samples), default=1)
    most = min(len(samples), STEPS, max(2, BUDGET // max(1, largest)))
    if most < 2:
        return samples
    return [samples[round(i * (len(samples) - 1) / (most - 1))] for i in range(most)]


def affordable(classes: Sequence[ClassClips]) -> Sequence[ClassClips]:
    """The first classes, whose pictures fit the budget; one in any case."""
    pictures = [[*clips.fake[:PER_CLASS], *clips.real[:PER_CLASS]] for clips in classes]
    sums = itertools.accumulate(sum(picture.bytes for picture in own) for own in pictures)
    return classes[: max(1, sum(total <= BUDGET for total in sums))]


def column_classes(shown: Collected) -> list[str]:
    """The class of each column of the previews; none where a column does not show a single class."""
    experiment, names = shown.run.experiment, shown.run.class_names
    generates = experiment.conditional and not experiment.levels[0].context_frames
    if not generates or len(names) != experiment.classes or COLUMNS % len(names):
        return []
    return [names[i % len(names)] for i in range(COLUMNS)]


def data_uri(picture: Picture) -> str:
    """The file itself, inside the page."""
    return "data:image/webp;base64," + base64.b64encode(picture.path.read_bytes()).decode("ascii")


def enlarged(picture: Picture) -> int:
    """Width at which a clip is shown: a whole multiple of its own, near :data:`TILE`."""
    return picture.width * max(1, TILE // picture.width)


def crop(picture: Picture) -> str:
    """Sizes by which the style sheet cuts the first row of clips out of a grid, and the gaps between clips."""
    across, down = (picture.width + GAP) / COLUMNS, (picture.height + GAP) / ROWS
    shares = {
        "clip-x": (across - GAP) / picture.width,
        "next-x": across / picture.width,
        "clip-y": (down - GAP) / picture.height,
        "next-y": down / picture.height,
    }
    sizes = "".join(f"--{name}:{share:.4%};" for name, share in shares.items())
    return f"{sizes}--row:{picture.width}/{down - GAP:g};--whole:{picture.width}/{picture.height}"


def settings(line: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A result's settings that have no column of their own, by their names."""
    given = line.get("settings")
    known = given if isinstance(given, dict) else {}
    left = {name: value for name, value in known.items() if name not in (TAG, "clips", "seed")}
    pairs = ((name, value) for name, value in flat(left) if value is not None)
    return [(name.replace("_", " "), words.plain(value)) for name, value in pairs]


def flat(tree: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as dotted names with plain values; a spec in a field stands under the field's name."""
    for key, value in tree.items():
        name = place.rstrip(".") if key == TAG else f"{place}{key}"
        if isinstance(value, dict):
            yield from flat(value, f"{name}.")
        else:
            yield name, value


def spread(line: Mapping[str, Any]) -> float | None:
    """A result's standard deviation, where it has one."""
    deviation = line.get("deviation")
    return finite(deviation.get("value")) if isinstance(deviation, dict) else None


def tables(values: Mapping[str, Any]) -> list[tuple[list[str], list[tuple[str, ...]]]]:
    """Values that are tables themselves, such as results by class: those that have the same rows side by side.

    Each is the names of its columns, and rows that begin with their own name.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            groups.setdefault(tuple(value), []).append(name)
    return [
        (
            [
                name.removesuffix("_per_class").replace("_", " ").replace("per class", "value")
                for name in names
            ],
            [(row, *(words.plain(values[name][row]) for name in names)) for row in rows],
        )
        for rows, names in groups.items()
    ]


def rectangular(table: Mapping[str, Any] | None) -> bool:
    """Whether there is a table, and its counts have its rows and columns."""
    return (
        table is not None
        and len(table["counts"]) == len(table["rows"])
        and all(len(row) == len(table["columns"]) for row in table["counts"])
    )


def commonest(table: Mapping[str, Any]) -> list[tuple[int, str, str]]:
    """The largest entries of a confusion matrix off the diagonal: count, row, column."""
    wrong = [
        (seen, str(asked), str(column))
        for asked, row in zip(table["rows"], table["counts"], strict=True)
        for column, seen in zip(table["columns"], row, strict=True)
        if column != asked and seen
    ]
    return sorted(wrong, key=lambda entry: (-entry[0], *entry[1:]))[:20]
