"""Shards: which sources become one file, and the record of what became of each of them.

A record tells a source by its name, its size and when it was changed, so that a file which was mended is read again.
While a dataset is prepared there is a record per shard; at the end they are joined to one file, and taken apart again
where sources have changed since.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from vidgan.data.layouts import FoundClips
from vidgan.data.store import INDEX, LARGEST_TABLE, UNFINISHED, VERSION, read_header, shard_name
from vidgan.data.video import ClipSource
from vidgan.errors import UserError
from vidgan.files import read_json, write_json
from vidgan.forms import COUNT, MAYBE, WHOLE, Form, fits

RECORDS = "records.json"
"""of a finished dataset: the records of all shards, in order"""


class Shard(NamedTuple):
    """A group of sources that become one file."""

    number: int
    """place in the dataset"""
    first: int
    """number of its first source"""
    sources: Sequence[ClipSource]

    def record(self, dest: Path) -> Path:
        """The file that says what became of the sources, until the records are joined."""
        return dest / UNFINISHED / f"{self.number:05d}.json"

    def stamps(self) -> list[list[str | int]]:
        """What tells whether a source is still the same: its name, its size (bytes) and when it was changed (ns)."""
        return [[source.name, *source.stamp()] for source in self.sources]


def shards_of(found: FoundClips) -> list[Shard]:
    """All sources, in order."""
    each = shard_clips(len(found.sources))
    starts = range(0, len(found.sources), each)
    return [Shard(number, first, found.sources[first : first + each]) for number, first in enumerate(starts)]


def shard_clips(sources: int) -> int:
    """Sources per shard: enough shards to keep many workers busy, not so few clips that files get many."""
    return max(1, min(32, sources // 64))


class Stored(NamedTuple):
    """Where and how a clip was stored: the columns of ``CLIP`` (:mod:`vidgan.data.store`) known here."""

    frames: int
    height: int
    width: int
    rate: float | None
    offset: int
    bytes: int
    crc: int
    remarks: list[str]


COLUMNS: Final[tuple[Form, ...]] = (COUNT, COUNT, COUNT, MAYBE, WHOLE, COUNT, WHOLE, [(str,)])
"""forms of the fields of a :class:`Stored`"""


def outcomes_of(shard: Shard, dest: Path) -> list[Stored | str] | None:
    """What became of each source; None where the record is missing or of sources that have changed."""
    try:
        record = read_json(shard.record(dest))
    except UserError:
        return None
    if not _is_record(record) or record[0] != shard.stamps():
        return None
    return [outcome if isinstance(outcome, str) else Stored(*outcome) for outcome in record[1]]


def _is_record(value: Any) -> bool:
    """Whether ``value`` is what a record holds: stamps of the sources, and what became of each."""
    if not isinstance(value, list) or len(value) != 2 or not all(fits(part, [(list, str)]) for part in value):
        return False
    stamps, outcomes = value
    return len(stamps) == len(outcomes) and all(
        isinstance(outcome, str) or (len(outcome) == len(COLUMNS) and all(map(fits, outcome, COLUMNS)))
        for outcome in outcomes
    )


def is_written(shard: Shard, dest: Path) -> bool:
    """Whether the file of ``shard`` is there, whole, and made of its sources as they are."""
    outcomes, file = outcomes_of(shard, dest), dest / shard_name(shard.number)
    if outcomes is None or not file.exists():
        return False
    return file.stat().st_size == sum(stored.bytes for stored in outcomes if isinstance(stored, Stored))


def join_records(shards: Sequence[Shard], dest: Path) -> None:
    """Write the records of all shards, which are there, as one file."""
    write_json(dest / RECORDS, [read_json(shard.record(dest)) for shard in shards])


def changed_sources(shards: Sequence[Shard], dest: Path) -> list[str]:
    """Names of the sources of a finished dataset that have changed since; none where it keeps no records."""
    records = _joined(dest)
    if records is None:
        return []
    had = [stamp for stamps, _ in records for stamp in stamps]
    has = [stamp for shard in shards for stamp in shard.stamps()]
    return [str(new[0]) for old, new in zip(had, has, strict=False) if old != new]


def take_apart(dest: Path) -> None:
    """Make an unfinished dataset of a finished one, each of whose shards has its record again."""
    if not (dest / INDEX).exists():
        return
    current = read_header(dest).get("version") == VERSION  # shards of an earlier one are not made any more
    for number, record in enumerate(_joined(dest) or [] if current else []):
        write_json(Shard(number, 0, ()).record(dest), record)
    (dest / INDEX).unlink()


def _joined(dest: Path) -> list[Any] | None:
    try:
        records = read_json(dest / RECORDS, LARGEST_TABLE)
    except UserError:
        return None
    return records if isinstance(records, list) and all(map(_is_record, records)) else None
