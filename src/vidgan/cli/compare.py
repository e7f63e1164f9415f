"""``vidgan compare A B ...``: results side by side, unlike ones apart, published ones beside their like."""

import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from vidgan.cli.evaluate import readable, results_beside
from vidgan.cli.parse import Code, option_set, parse
from vidgan.cli.shared import refuse_idle, say
from vidgan.errors import UserError, did_you_mean, some
from vidgan.evaluation.protocols import ALL, protocol
from vidgan.evaluation.record import changes_of
from vidgan.evaluation.results import (
    Entry,
    Group,
    Published,
    beside,
    category_of,
    dataset_of,
    groups,
    nearest,
    published,
    sampling_of,
)
from vidgan.forms import fits
from vidgan.names import printable, tell
from vidgan.report import compare as seeds
from vidgan.report.compare import MOVED, SCORED, by_class
from vidgan.report.words import count
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import RESULT, lines_of, say_once

MOST_NAMED = 4
"""results that a warning names"""


MOTION = "motion-by-class"
SCORES = ("is-k400-by-class", "fid-k600-by-class", "frechet-in-domain-by-class", "frechet-random-by-class")
"""protocols that have a column in the table of classes, where they were measured"""


@option_set
class Options(Code):
    """Shows results of runs, of evaluated folders and of files of results in tables.

    Only results of one protocol, with the same settings, weights and real data, stand in one table; others stand
    apart, with the fields in which they differ. Runs that differ in their seed alone have their mean and deviation
    below. Published numbers stand beside results of their protocol, unchanged.
    """

    results: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN|FOLDER|FILE.jsonl ...")
    ]
    """runs, folders of videos that were evaluated, or files of results"""
    protocol: tuple[str, ...] = ()
    """only these protocols"""
    dataset: str | None = None
    """the published dataset that the data are, such as Kinetics-600, if the results do not say it"""
    split: str | None = None
    """their split, such as test, if the results do not say it"""
    by_class: bool = False
    """instead, the newest scores by class, from the class that moves most to the one that moves least"""


def run(args: list[str]) -> int:
    """Parse ``args`` and print tables."""
    options = parse(Options, "compare", args)
    if not options.results:
        raise UserError("name what to compare: run directories, evaluated folders or files of results")
    if options.by_class:
        refuse_idle(args, "of scores by class", "--dataset", "--split")
    for name in options.protocol:
        protocol(name)
    known = sorted({row.data for row in published()})
    if options.dataset is not None and options.dataset.lower() not in [name.lower() for name in known]:
        raise UserError(
            f"no published numbers are for {options.dataset!r}{did_you_mean(options.dataset, known)}; "
            f"there are some for {', '.join(known)}"
        )
    found = {name: read(Path(name)) for name in options.results}
    chosen = {
        name: [e for e in entries if not options.protocol or e.line["protocol"] in options.protocol]
        for name, entries in found.items()
    }
    if not any(chosen.values()):
        raise UserError(
            f"there are no results of {', '.join(options.protocol)} in {', '.join(options.results)}"
        )
    if options.by_class:
        for name, entries in chosen.items():
            for line in [*([name] if len(chosen) > 1 else []), *scores_by_class(name, entries)]:
                tell(line)
        return 0
    for place, group in enumerate(groups([entry for entries in chosen.values() for entry in entries])):
        print("" if place == 0 else "\n", end="")
        show(group, options.dataset, options.split)
    return 0


def read(path: Path) -> list[Entry]:
    """The results of a run, of an evaluated folder or array, or in a file.

    Raises:
        UserError: where there are none, or the file holds something else.
    """
    if (path / "experiment.json").is_file():
        file = path / "metrics.jsonl"
    elif path.suffix == ".jsonl":
        file = path
    else:
        file = results_beside(path)
    if not file.is_file():
        asked = "" if file == path else f" {path}"
        raise UserError(f"there are no results at {file}: make some with vidgan evaluate{asked}")
    lines = lines_of(file, RESULT)
    words = lines.words(file)
    if not lines.whole:
        damaged = "" if words is None else f" ({words})"
        raise UserError(f"{file} holds no results{damaged}: make some with vidgan evaluate")
    if words is not None:
        say_once(words)
    return [Entry(str(path), line) for line in lines.whole]


def show(group: Group, dataset: str | None, split: str | None) -> None:
    """Print a group: its name, in what it differs, a row per result, and published rows."""
    first = group.entries[0].line
    say(
        f"{group.protocol}{'' if not group.differs else '   (apart from the above: ' + '; '.join(group.differs) + ')'}"
    )
    changed = changes(first)
    if changed:
        say(f"  differs from the protocol of this name: {'; '.join(changed)}")
    rows: list[tuple[str, ...]] = [("result", "value", "±", "clips", "step", "sampling")]
    rows += [row_of(entry) for entry in group.entries]
    rows += over_training(group.entries)
    print_table(rows)
    for text, names in warnings_of(group.entries).items():
        tell(f"  ! {some(names, MOST_NAMED)}: {text}")
    all_of_protocol = [row for row in published() if row.protocol == group.protocol]
    if not all_of_protocol or not is_of_this_form(first):
        return
    if dataset_of(first) is None and dataset is None:
        known = ", ".join(sorted({row.data for row in all_of_protocol}))
        say(
            f"  published numbers of this protocol are for {known}: say --dataset NAME if the data are one of them"
        )
    elif found := beside(first, dataset, split):
        print_published(found, first)
    else:
        row, differs = nearest(first, dataset, split)
        say(
            f"  no published number is of this kind; the nearest, {row.model} ({row.printed_by}, {row.where}), has "
            f"{', '.join(differs)}"
        )
        if any(text.startswith("split") for text in differs):
            print("  (--split NAME says which split the real data are, where the results do not)")


def warnings_of(entries: Sequence[Entry]) -> dict[str, list[str]]:
    """Each warning once, and whose it is; of those that differ in their numbers alone, the first one's."""
    told: dict[str, str] = {}
    names: dict[str, dict[str, set[str]]] = {}
    for entry in entries:
        for text in entry.line.get("warnings", []):
            kind = re.sub(r"\d[\d.,e+-]*", "#", text)
            told.setdefault(kind, text)
            names.setdefault(kind, {}).setdefault(entry.name, set()).add(text)
    return {
        text
        if all(own == {text} for own in names[kind].values())
        else f"{text} (the first one's numbers)": list(names[kind])
        for kind, text in told.items()
    }


def changes(line: Any) -> list[str]:
    """In what a result differs from the protocol of its name."""
    if not is_of_this_form(line):
        return ["an older form of the record"]
    return changes_of(ALL[line["protocol"]].protocol, line)


def is_of_this_form(line: Any) -> bool:
    """Whether a result's record is of a named protocol, in full."""
    return line["protocol"] in ALL and line["settings"].get("is") == "Protocol"


def row_of(entry: Entry) -> tuple[str, ...]:
    """A result as cells."""
    line = entry.line
    deviation = line.get("deviation") or {}
    known = deviation.get("value") is not None  # null where a number was not finite
    spread = f"{deviation['value']:.2g} ({deviation['over']})" if known else ""
    step = "" if line.get("step") is None else str(line["step"])
    value = "not finite" if line["value"] is None else readable(line["value"])
    return (entry.name, value, spread, str(line.get("clips", "")), step, sampling_in_words(line))


def over_training(entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    """A row per set of runs that differ in their seed alone: mean and unbiased deviation of their last results.

    So are the deviations over training runs of Luc et al. 2020, Table 3.
    """
    runs = [
        entry
        for entry in entries
        if (Path(entry.name) / "experiment.json").is_file() and entry.line.get("step") is not None
    ]
    last = {str(Path(entry.name)): entry.line for entry in sorted(runs, key=lambda e: e.line["step"])}
    rows: list[tuple[str, ...]] = []
    for each in seeds.group([RunDirectory.open(Path(name)) for name in last]):
        lines = [last[str(run.path)] for run in each.runs]
        values = [line["value"] for line in lines if line["value"] is not None]
        if len(lines) < 2 or len(values) < len(lines):
            continue
        steps = sorted({line["step"] for line in lines})
        rows.append(
            (
                f"mean of {len(lines)} runs, {each.name}",
                readable(statistics.fmean(values)),
                f"{statistics.stdev(values):.2g} (training runs)",
                "",
                "-".join(map(str, {steps[0]: None, steps[-1]: None})),
                sampling_in_words(lines[0]),
            )
        )
    return rows


def sampling_in_words(line: Any) -> str:
    """How a model was sampled, in a few words."""
    sampling = sampling_of(line)
    if sampling is None:
        return "files"
    truncation = sampling["truncation"]
    limited = "limit" in truncation
    noise = f"threshold {truncation['limit']:g}" if limited else f"sigma {truncation.get('sigma', 1):g}"
    windows = ", random windows" if sampling["random_window"] else ""
    return f"{noise}, {'averaged' if sampling['averaged'] else 'raw'} weights{windows}"


def print_published(found: Sequence[Published], line: Any) -> None:
    """Print published rows under the papers that printed them; of a single class, beside what ``line`` has of it."""
    print("  published, by the same protocol:")
    rows = []
    for row in found:
        spread = "" if row.deviation is None else f"{row.deviation:g}"
        said = [f"stride {row.stride}" if row.stride else "", f"split {row.split}" if row.split else ""]
        said += [f"cites {row.cited}" if row.cited else ""]
        here = category_of(row, line).get("per_class")
        said += [f"here {readable(here)}" if isinstance(here, float) else ""]
        said += [f"presumed: {row.presumed}" if row.presumed else "", row.note or ""]
        rows.append(
            (
                row.model if row.category is None else f"{row.model}, {row.category}",
                f"{row.value:g}",
                spread,
                f"{row.printed_by}, {row.where}",
                "; ".join(filter(None, said)),
            )
        )
    print_table(rows)


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print cells in columns, two spaces in."""
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        between = (cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True))
        print("  " + "  ".join([row[0].ljust(widths[0]), *between, row[-1]]).rstrip())


def scores_by_class(name: str, entries: Sequence[Entry]) -> list[str]:
    """The newest scores by class beside how much each class moves, as lines.

    Raises:
        UserError: where the classes' motion or their scores have not been measured.
    """
    newest = {
        entry.line["protocol"]: entry.line
        for entry in entries
        if fits(entry.line.get("values"), MOVED if entry.line["protocol"] == MOTION else SCORED)
    }
    if MOTION not in newest or not (scores := [protocol for protocol in SCORES if protocol in newest]):
        raise UserError(
            f"{name} has no scores by class with their motion: measure them by vidgan evaluate "
            f"{name} --protocol {MOTION} frechet-random-by-class"
        )
    lines = []
    for line in (newest[each] for each in (MOTION, *scores)):
        step = "" if line.get("step") is None else f", step {line['step']}"
        lines.append(
            f"{line['protocol']}: {count(line.get('clips') or 0, 'clip')}{step}, seed {line.get('seed', 'unknown')}"
        )
    for cells in by_class(newest[MOTION], {name: newest[name] for name in scores}):
        lines.append("  " + "  ".join([cells[0].ljust(28), *(cell.rjust(12) for cell in cells[1:])]).rstrip())
    return lines
