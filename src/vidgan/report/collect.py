"""What a run directory has to show: its records, log, results and pictures, however little there is yet."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from vidgan.errors import UserError
from vidgan.files import open_regular, read_json
from vidgan.forms import LARGEST_FLOAT, Form
from vidgan.names import file_names
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import RESULT, TICK, lines_of
from vidgan.sample.previews import real_folder

LARGEST_PICTURE = 2**25
"""bytes, and pixels of a frame"""


class Alarm(NamedTuple):
    """What the collapse detector said at a tick."""

    rule: str
    onset: int
    """step at which it began"""
    text: str


class Tick(NamedTuple):
    """A line of the training log."""

    level: int
    step: int
    clips: int
    """clips seen so far"""
    seconds: float
    """of training this level so far, over all processes"""
    scalars: Mapping[str, float | None]
    """None where the number was not finite"""
    alarms: Sequence[Alarm] = ()
    """of the collapse detector"""


class Picture(NamedTuple):
    """An image or animation to be shown."""

    path: Path
    width: int
    height: int
    bytes: int


class FixedSample(NamedTuple):
    """Clips from the latents that stay the same throughout training."""

    level: int
    step: int
    picture: Picture


class MotionSample(NamedTuple):
    """The first of these clips over their motion, in colours."""

    step: int
    picture: Picture
    fastest: float
    """speed (pixels per frame) at which colours are full"""


class ViewSample(NamedTuple):
    """What each discriminator sees of a clip of the data."""

    picture: Picture
    rows: Sequence[str]
    """what they are, from top to bottom"""


class ClassClips(NamedTuple):
    """Generated and real clips of a class."""

    name: str
    fake: Sequence[Picture]
    real: Sequence[Picture]


class Collected(NamedTuple):
    """Everything the report shows."""

    run: RunDirectory
    record: Mapping[str, Any]
    """experiment.json as it is: experiment, data, versions, command"""
    ticks: Sequence[Tick]
    metrics: Sequence[Mapping[str, Any]]
    fixed: Sequence[FixedSample]
    motion: MotionSample | None
    """the newest"""
    views: ViewSample | None
    classes: Sequence[ClassClips]
    finished: Sequence[int]
    """levels that are trained to their end"""
    problems: Sequence[str]
    """what could not be read, a sentence each"""


def collect(path: Path) -> Collected:
    """Everything there is to show of the run in ``path``.

    Files that are missing count as empty; lines and pictures that cannot be read are left out and named.

    Raises:
        UserError: if ``path`` is no run directory.
    """
    run = RunDirectory.open(path)
    problems: list[str] = []
    ticks = [as_tick(line) for line in read_log(run.log.path, TICK, problems)]
    metrics = read_log(run.metrics.path, RESULT, problems)
    fixed = [
        FixedSample(int(name[1]), int(name[2]), picture)
        for file in sorted((run.samples / "fixed").glob("level*-step*.webp"))
        if (name := re.fullmatch(r"level(\d+)-step(\d+)\.webp", file.name))
        and (picture := read_picture(file, problems))
    ]
    return Collected(
        run,
        read_json(path / "experiment.json"),
        ticks,
        metrics,
        sorted(fixed, key=lambda sample: (sample.level, sample.step)),
        newest_motion(run.samples / "motion", problems),
        views_of(run.samples / "views.png", problems),
        list(class_clips(run, problems)),
        finished_levels(run.manifest),
        problems,
    )


def newest_motion(folder: Path, problems: list[str]) -> MotionSample | None:
    """The newest clips over their motion that can be read."""
    for file in sorted(folder.glob("level1-step*.webp"), reverse=True):
        step = re.fullmatch(r"level1-step(\d+)", file.stem)
        scale = file.with_suffix(".json")
        facts = value_in(scale)
        fastest = finite(facts.get("fastest")) if isinstance(facts, dict) else None
        if step and fastest is not None and (picture := read_picture(file, problems)):
            return MotionSample(int(step[1]), picture, fastest)
    return None


def views_of(file: Path, problems: list[str]) -> ViewSample | None:
    """What discriminators see, if training has written it and it can be read."""
    facts = value_in(file.with_suffix(".json")) if file.exists() else None
    rows = facts.get("rows") if isinstance(facts, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, str) for row in rows):
        return None
    picture = read_picture(file, problems)
    return None if picture is None else ViewSample(picture, rows)


def read_log(path: Path, form: Form, problems: list[str]) -> list[dict[str, Any]]:
    """The lines of a file that have a form; one that a killed process left half-written is left out."""
    try:
        lines = lines_of(path, form)
    except UserError as error:
        problems.append(str(error))
        return []
    if (words := lines.words(Path(path.name))) is not None:
        problems.append(words)
    return lines.whole


def value_in(path: Path) -> Any:
    """The value of a JSON file; None if it has none."""
    try:
        return read_json(path)
    except UserError:
        return None


def as_tick(line: Mapping[str, Any]) -> Tick:
    """A line of the log."""
    scalars = {name: finite(value) for name, value in line["scalars"].items()}
    alarms = [Alarm(alarm["rule"], alarm["onset"], alarm["text"]) for alarm in line.get("alarms", ())]
    return Tick(line["level"], line["step"], line["clips"], float(line["seconds"]), scalars, alarms)


def finite(value: Any) -> float | None:
    """A number that can be drawn, or None."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) and abs(value) < LARGEST_FLOAT else None


def class_clips(run: RunDirectory, problems: list[str]) -> Iterator[ClassClips]:
    """Clips by class, in the order of the data's classes.

    ``samples/classes`` holds a folder per class with ``fake-I.webp``, or what ``vidgan sample --format webp`` writes,
    ``NUMBER-CLASS.webp``; ``samples/real`` real clips, which training puts there, shown beside
    samples of their class.
    """
    folder, stems = run.samples / "classes", file_names(run.class_names)
    loose: dict[str, list[Path]] = {}
    for file in sorted(folder.glob("*.webp")):
        if match := re.fullmatch(r"\d{5,}(?:-(.+))?\.webp", file.name):
            loose.setdefault(match[1] or stems[0], []).append(file)
    names = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
    reals = real_folder(run)
    known = {stem: place for place, stem in enumerate(stems)}
    for name in sorted(names | set(loose), key=lambda name: (known.get(name, len(known)), name)):
        fake = [*sorted((folder / name).glob("fake-*.webp"), key=in_order), *loose.get(name, [])]
        places = (folder / name, reals / name)  # runs of before have them beside their samples
        real = sorted((file for place in places for file in place.glob("real-*.webp")), key=in_order)
        shown = [[p for file in files if (p := read_picture(file, problems))] for files in (fake, real)]
        if shown[0] or shown[1]:
            own = run.class_names[known[name]] if name in known else name
            yield ClassClips(own, shown[0], shown[1])


def in_order(path: Path) -> tuple[int, str]:
    """Sorts ``fake-10`` after ``fake-9``."""
    return (len(path.name), path.name)


def read_picture(path: Path, problems: list[str]) -> Picture | None:
    """An image's size; None, and a problem, if it cannot be read, or is larger than a report can hold."""
    try:
        with open_regular(path, LARGEST_PICTURE) as file, Image.open(file) as image:
            if image.width * image.height <= LARGEST_PICTURE:
                return Picture(path, image.width, image.height, path.stat().st_size)
            raise UserError(f"{path} has too many pixels")
    except UserError:
        problems.append(f"{path.parent.name}/{path.name} is too large to be shown, or no file")
        return None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        problems.append(f"{path.parent.name}/{path.name} cannot be read as an image")
        return None


def finished_levels(manifest: Path) -> list[int]:
    """Levels that the manifest lists."""
    entries = value_in(manifest)
    listed = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [entry["level"] for entry in listed if type(entry.get("level")) is int]
