"""Kinetics-400, -600 and -700: annotations in CSV files, and as many of their videos as one could get.

The tables have the columns ``label, youtube_id, time_start, time_end, split``. Videos lie anywhere below the
source folder, trimmed (``ID_000012_000022.mp4``) or whole (``ID.mp4``, from which the part is cut).
"""

import csv
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from vidgan.data.layouts import FoundClips, LeftOut, Split, not_this, require_folder
from vidgan.data.listing import Remarks, list_files
from vidgan.data.video import VIDEOS, ClipSource, VideoFile, VideoPart
from vidgan.errors import UserError
from vidgan.names import printable

COLUMNS = {"label", "youtube_id", "time_start", "time_end"}
TABLE = ".csv"
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
        listing = list_files(source, (*VIDEOS, TABLE), beside=(".txt", ".json"))
        remarks = Remarks(listing.remarks)
        rows = _usable(_rows(source, listing.files, self.split), self.split, remarks)
        videos: dict[str, Path] = {}
        for video in listing.files:
            if video.suffix.lower() == TABLE:
                continue
            if video.stem in videos:
                remarks.add("videos of the same name as another", video.relative_to(source).as_posix())
            videos.setdefault(video.stem, video)
        there = [(row, file) for row in rows if (file := _file(row, videos)) is not None]
        if not there:
            named = " or ".join(f"{name}.mp4" for name in (_trimmed(rows[0]), rows[0].video))
            raise not_this(
                source, "Kinetics", f"no video of the {len(rows)} clips of {self.split} (such as {named})"
            )
        classes = tuple(sorted({row.label for row, _ in there}))
        number = {label: place for place, label in enumerate(classes)}
        sources = [_clip(row, file, source, number[row.label]) for row, file in there]
        used = {file for _, file in there}
        for video in videos.values():
            if video not in used:
                remarks.add(f"videos that no row of {self.split} names", video.relative_to(source).as_posix())
        return FoundClips(classes, sources, list(_missing(rows, there, self.split)), remarks.all())


def _usable(listed: list[Row], split: str, remarks: Remarks) -> list[Row]:
    """The rows that say of a video what it shows, each once."""
    rows: dict[Row, None] = {}
    for row in listed:
        if row in rows:
            remarks.add(f"rows of {split} that stand there twice", _trimmed(row))
        elif row.label and row.video:
            rows[row] = None
        else:
            lacking = "label" if row.video else "youtube_id"
            remarks.add(f"rows of {split} without a {lacking}", _trimmed(row))
    return list(rows)


def _rows(source: Path, files: list[Path], split: str) -> list[Row]:
    found: dict[Path, list[Row]] = {}
    tables = [file for file in files if file.suffix.lower() == TABLE]
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
    if not any(row.label and row.video for row in rows):
        raise UserError(f"the clips of {split} in {next(iter(found))} have no labels: give another --split")
    return rows


def _rows_of(table: Path, split: str) -> Iterator[Row]:
    # A table without a column for the split holds the one that its name says.
    with table.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.DictReader(file)
        for line in _lines(reader, table):
            if not set(line) >= COLUMNS - {"label"}:
                return
            own = line.get("split") or next((s for s in Kinetics.splits if s in table.stem.lower()), "")
            if ALIASES.get(own, own) != split:
                continue
            try:
                start, end = float(line["time_start"]), float(line["time_end"])
                if not (isfinite(start) and isfinite(end)):
                    raise ValueError
            except (TypeError, ValueError):
                raise UserError(
                    f"{table}, line {reader.line_num}: times are no numbers; mend the file"
                ) from None
            yield Row(printable((line.get("label") or "").strip()), line["youtube_id"] or "", start, end)


def _lines(reader: "csv.DictReader[str]", table: Path) -> Iterator[dict[str, Any]]:
    try:
        yield from reader
    except csv.Error as error:
        raise UserError(f"{table}, line {reader.line_num}: {error}; mend the file") from error


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
