"""Kinetics-400, -600 and -700: annotations in CSV files, and as many of their videos as one could get.

The tables have the columns ``label, youtube_id, time_start, time_end, split``. Videos lie anywhere below the
source folder, trimmed (``ID_000012_000022.mp4``) or whole (``ID.mp4``, from which the part is cut).
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

from vidgan.data.layouts import VIDEOS, FoundClips, LeftOut, Split, files_of, not_this, require_folder
from vidgan.data.video import ClipSource, VideoFile, VideoPart
from vidgan.errors import UserError

COLUMNS = {"label", "youtube_id", "time_start", "time_end"}
ALIASES = {"validate": "val", "validation": "val", "valid": "val"}


class Row(NamedTuple):
    """A line of an annotation file."""

    label: str
    video: str
    """YouTube's identifier"""
    start: float
    """seconds"""
    end: float
    """seconds"""


class Kinetics(Split):
    """Kinetics by its annotation files. Videos that are missing are counted; classes are those with a video."""

    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")

    def find(self, source: Path) -> FoundClips:
        require_folder(source, "annotations and videos of Kinetics")
        rows = _rows(source, self.split)
        videos = {file.stem: file for file in files_of(source.rglob("*"), VIDEOS)}
        there = [(row, file) for row in rows if (file := _file(row, videos)) is not None]
        if not there:
            named = " or ".join(f"{name}.mp4" for name in (_trimmed(rows[0]), rows[0].video))
            raise not_this(
                source, "Kinetics", f"no video of the {len(rows)} clips of {self.split} (such as {named})"
            )
        classes = tuple(sorted({row.label for row, _ in there}))
        number = {label: place for place, label in enumerate(classes)}
        sources = [_clip(row, file, source, number[row.label]) for row, file in there]
        return FoundClips(classes, sources, list(_missing(rows, there, self.split)))


def _rows(source: Path, split: str) -> list[Row]:
    found: dict[Path, list[Row]] = {}
    tables = files_of([*source.glob("*.csv"), *source.glob("*/*.csv"), *source.glob("*/*/*.csv")], (".csv",))
    for table in tables:
        if rows := list(_rows_of(table, split)):
            found[table] = rows
    if not found:
        what = f"{len(tables)} .csv files, none" if tables else "no .csv file"
        raise not_this(
            source, "Kinetics", f"{what} with the columns {', '.join(sorted(COLUMNS))} and clips of {split}"
        )
    if len(found) > 1:
        names = ", ".join(str(table.relative_to(source)) for table in found)
        raise UserError(f"several files of {source} list clips of {split} ({names}): keep one of them there")
    (rows,) = found.values()
    if not any(row.label for row in rows):
        raise UserError(f"the clips of {split} in {next(iter(found))} have no labels: give another --split")
    return [row for row in rows if row.label]


def _rows_of(table: Path, split: str) -> Iterator[Row]:
    # A table without a column for the split holds the one that its name says.
    with table.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if not set(reader.fieldnames or ()) >= COLUMNS - {"label"}:
            return
        for line in reader:
            own = line.get("split") or next((s for s in Kinetics.splits if s in table.stem.lower()), "")
            if ALIASES.get(own, own) != split:
                continue
            try:
                start, end = float(line["time_start"]), float(line["time_end"])
            except (TypeError, ValueError):
                raise UserError(
                    f"{table}, line {reader.line_num}: times are no numbers; mend the file"
                ) from None
            yield Row((line.get("label") or "").strip(), line["youtube_id"], start, end)


def _trimmed(row: Row) -> str:
    return f"{row.video}_{row.start:06.0f}_{row.end:06.0f}"


def _file(row: Row, videos: dict[str, Path]) -> Path | None:
    return videos.get(_trimmed(row)) or videos.get(row.video)


def _clip(row: Row, file: Path, source: Path, label: int) -> ClipSource:
    name = file.relative_to(source).as_posix()
    if file.stem == _trimmed(row):
        return VideoFile(file, name, label, row.video)
    name = f"{name}#{row.start:g}-{row.end:g}"
    return VideoPart(file, name, label, row.video, start=row.start, end=row.end)


def _missing(rows: list[Row], there: list[tuple[Row, Path]], split: str) -> Iterator[LeftOut]:
    got = {row for row, _ in there}
    if lost := [row for row in rows if row not in got]:
        empty = len({row.label for row in rows} - {row.label for row in got})
        classes = f", all of {empty} classes" if empty else ""
        yield LeftOut(
            split, f"{len(lost)} of {len(rows)} videos are missing{classes} (first: {_trimmed(lost[0])})"
        )
