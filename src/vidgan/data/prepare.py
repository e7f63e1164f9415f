"""Preparing a dataset: list the sources, write shards, join them to an index.

Sources are taken in a fixed order in groups of :func:`shard_clips`, each of which becomes one shard with a record of
what became of its sources, both written whole: a shard's bytes depend on its sources alone. Whatever ends the work, the
next run keeps the shards that have a record and makes the others, and the result is the same bytes. ``index.json`` is
written last of all.

Several machines can share the work: each takes its :class:`Share` of the shards. A run without a share makes what is
left and joins them all.
"""

import functools
import io
import json
import os
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidgan.data.check import damaged_shards
from vidgan.data.codecs import CODECS, CodecName, Jpeg, Raw
from vidgan.data.layouts import FoundClips, LeftOut, Split
from vidgan.data.listing import Remarks
from vidgan.data.remote import Store, source_of
from vidgan.data.resize import RESIZING, Resizer
from vidgan.data.shards import (
    Shard,
    Stored,
    changed_sources,
    is_written,
    join_records,
    outcomes_of,
    shards_of,
    take_apart,
)
from vidgan.data.store import (
    CLIP,
    CLIPS,
    FORMAT,
    INDEX,
    LAYOUTS,
    SOURCES,
    UNFINISHED,
    VERSION,
    Index,
    LayoutName,
    PreparedDataset,
    PrepareSpec,
    fingerprint_of,
    open_prepared,
    read_index,
    shard_name,
)
from vidgan.data.timeline import MAX_GAP, at_rate
from vidgan.data.video import ENLARGED, BrokenClipError, ClipSource
from vidgan.data.workers import map_in_workers
from vidgan.errors import UserError, did_you_mean, some
from vidgan.files import is_free, read_json, write_json, write_whole
from vidgan.memory import require_memory_for_clips
from vidgan.names import tell
from vidgan.spec import differences, to_json

PLAN = "plan.json"
"""in the unfinished folder: what is being prepared"""
ENDING = 5.0
"""seconds to wait for the lock of another run: one that was killed has it until its last thread has ended"""

Advance = Callable[[int], None]
"""called with a number of sources that are done"""
Progress = Callable[[int, int], Advance]
"""called with the number of sources and of those that an earlier run has done"""


def silent(total: int, kept: int) -> Advance:
    """Shows no progress."""
    return lambda done: None


def prepare(
    source: str | Path,
    dest: str | Path,
    *,
    layout: LayoutName = "folder",
    split: str | None = None,
    size: int = 64,
    resize: str = "bilinear",
    codec: CodecName = "raw",
    quality: int = 95,
    fps: float | None = None,
    max_gap: float = MAX_GAP,
    workers: int | None = None,
    progress: Progress = silent,
) -> PreparedDataset:
    """Prepare the videos below ``source`` into the folder ``dest``; resumes where an earlier run was interrupted.

    Args:
        source: a folder, or the URL of one in an object store that fsspec reads, such as ``s3://bucket/folder``.
        layout: how ``source`` is laid out. ``folder``: a folder of videos per class, or videos without classes;
            ``strips``: with an image per clip, its square frames side by side; ``frames``: with a folder of images per
            clip; ``tar``: videos in tar files, as WebDataset has them; the others: as published (docs/datasets.md).
        split: official split of a published dataset; None: the one it is trained on.
        size: shorter side of the stored frames (pixels); the aspect is kept.
        resize: filter, ``bilinear`` (antialiased) or ``area`` (exact average).
        codec: how frames are stored; ``raw`` and ``png`` keep every bit, ``jpeg`` is smaller and lossy.
        quality: of jpeg, 1 to 100.
        fps: frames per second to which videos are resampled, each frame the nearest in time; None: their own rates.
        max_gap: seconds between two frames of a video from which on a gap is closed.
        workers: processes; None: one per core; 0: none, the work is done in this one.
        progress: shows how far the work has come; called once, and only if there is something to do.

    Raises:
        UserError: where the source is not usable, the destination holds something else, another run works there, or a
            class has no usable clip. What was done until then is kept.
    """
    spec = prepare_spec(layout, split, size, resize, codec, quality, fps, max_gap)
    count = one_per_core() if workers is None else workers
    return prepare_by(source_of(source), Path(dest), spec, count, progress)


def prepare_spec(
    layout: LayoutName,
    split: str | None,
    size: int,
    resize: str,
    codec: CodecName,
    quality: int,
    fps: float | None = None,
    max_gap: float = MAX_GAP,
) -> PrepareSpec:
    """The options of :func:`prepare` as one spec; raises :class:`UserError` for those that do not fit."""
    asked: tuple[tuple[str, str, list[str]], ...] = (
        ("layout", layout, [*LAYOUTS]),
        ("codec", codec, [*CODECS]),
    )
    for what, name, known in asked:
        if name not in known:
            raise UserError(
                f"there is no {what} {name!r}{did_you_mean(name, known)}; there are {', '.join(known)}"
            )
    require_memory_for_clips(1, 1, size, RESIZING, "choose a smaller size")
    kind = LAYOUTS[layout]
    stored = Jpeg(quality=quality) if codec == "jpeg" else CODECS[codec]()
    plain = PrepareSpec(size=size, resize=resize, codec=stored, fps=fps, max_gap=max_gap)
    if split is None:
        return plain.replace(layout=kind())
    if not issubclass(kind, Split):
        raise UserError(f"{layout} has no splits: leave split out")
    return plain.replace(layout=kind(split=split))


def one_per_core() -> int:
    """Processes that use every core once."""
    return os.cpu_count() or 1


class Share(NamedTuple):
    """What one of several machines prepares."""

    number: int
    """which, from 1 to ``of``"""
    of: int
    """machines"""

    def holds(self, shard: Shard) -> bool:
        """Whether ``shard`` is for this machine."""
        return shard.number % self.of == self.number - 1


def prepare_by(
    source: Path | str, dest: Path, spec: PrepareSpec, workers: int = 0, progress: Progress = silent
) -> PreparedDataset:
    """Prepare ``source`` into ``dest``, or what is left where a run was interrupted or other machines did their shares.

    Raises:
        UserError: as :func:`prepare`.
    """
    found = _find(source, dest, spec)
    if (dest / INDEX).exists():
        index = _finished(source, dest, spec, found)
        if index is not None and _is_whole(dest, index, workers, progress):
            shutil.rmtree(dest / UNFINISHED, ignore_errors=True)  # killed between the index and the clean-up
            return open_prepared(dest)
    _claim(dest, spec)
    with _locked(dest / UNFINISHED / PLAN, dest):
        with _writing_to(dest):
            take_apart(dest)
        for part in [*dest.glob(".*.part*"), *(dest / UNFINISHED).glob(".*.part*")]:
            part.unlink(missing_ok=True)
        shards = shards_of(found)
        _write_shards(shards, spec, dest, workers, progress)
        with _writing_to(dest):
            _write_index(found, shards, spec, dest)
        shutil.rmtree(dest / UNFINISHED)
    return open_prepared(dest)


def prepare_share(
    source: Path | str,
    dest: Path,
    spec: PrepareSpec,
    share: Share,
    workers: int = 0,
    progress: Progress = silent,
) -> None:
    """Prepare this machine's share into ``dest``; :func:`prepare` joins the shares where they lie in one folder.

    Raises:
        UserError: as :func:`prepare`.
    """
    found = _find(source, dest, spec)
    if (dest / INDEX).exists():
        if _finished(source, dest, spec, found) is None:
            raise UserError(
                f"sources of {dest} have changed since it was prepared: leave --shard out to read them anew"
            )
        return
    _claim(dest, spec)
    own = dest / UNFINISHED / f"share-{share.number}-of-{share.of}"
    with _writing_to(dest):
        own.touch()
    with _locked(dest / UNFINISHED / PLAN, dest, shared=True), _locked(own, dest):
        shards = [shard for shard in shards_of(found) if share.holds(shard)]
        for shard in shards:  # what other machines are writing stays
            _remove_unfinished(shard, dest)
        _write_shards(shards, spec, dest, workers, progress)


def _find(source: Path | str, dest: Path, spec: PrepareSpec) -> FoundClips:
    if isinstance(source, str):
        return spec.layout.find_in(Store(source))
    if source.resolve() in [dest.resolve(), *dest.resolve().parents]:
        raise UserError(f"{dest} lies in the source {source}: choose a folder outside of it")
    return spec.layout.find(source)


def _finished(source: Path | str, dest: Path, spec: PrepareSpec, found: FoundClips) -> Index | None:
    """The index of what was prepared before; None where sources have changed since, and are to be read anew."""
    index = read_index(dest)
    changes = list(differences(to_json(index.spec), to_json(spec)))
    if changes:
        raise UserError(
            f"{dest} is prepared already, with other options ({'; '.join(changes)}): choose another folder"
        )
    had = {*index.sources, *(entry.name for entry in index.left_out)}
    has = {*(entry.name for entry in found.sources), *(entry.name for entry in found.left_out)}
    if had != has:
        raise UserError(
            f"{dest} is prepared already, from other files than {source} holds (new: {_counted(has - had)}; "
            f"gone: {_counted(had - has)}): choose another folder"
        )
    changed = set(changed_sources(shards_of(found), dest))
    if changed:
        tell(f"{_counted(changed)} of the sources changed since {dest} was prepared: read again", sys.stderr)
    return index if not changed and not _labelled_otherwise(index, found) else None


def _is_whole(dest: Path, index: Index, workers: int, progress: Progress) -> bool:
    """Whether all shards are as they were written; the others are removed, to be made anew.

    Raises:
        UserError: where there are others in data of an earlier version, whose shards are not made any more.
    """
    numbers = damaged_shards(dest, index, workers, progress(len(index.clips), 0))
    names = some([shard_name(number) for number in numbers], 3)
    if numbers and not index.checked:
        raise UserError(
            f"{dest} is damaged ({names}) and of an earlier version: remove the folder and prepare the data again"
        )
    for number in numbers:
        with _writing_to(dest):
            (dest / shard_name(number)).unlink(missing_ok=True)
    if numbers:
        tell(f"{dest} is damaged ({names}): made anew", sys.stderr)
    return not numbers


def _labelled_otherwise(index: Index, found: FoundClips) -> bool:
    names, labels = set(index.sources), index.clips["label"].tolist()
    had = [(name, index.classes[label]) for name, label in zip(index.sources, labels, strict=True)]
    has = [(each.name, found.classes[each.label]) for each in found.sources if each.name in names]
    return sorted(had) != sorted(has)


def _counted(names: set[str]) -> str:
    """How many, and up to three of them."""
    return f"{len(names)} ({some(sorted(names), 3)})" if names else "none"


def _claim(dest: Path, spec: PrepareSpec) -> None:
    plan: dict[str, Any] = {"format": FORMAT, "version": VERSION, "prepared": to_json(spec)}
    place = dest / UNFINISHED / PLAN
    with _writing_to(dest):
        if not place.exists():
            there = {path.name for path in dest.iterdir()} if dest.is_dir() else set()
            if dest.exists() and (not dest.is_dir() or (there - {UNFINISHED} and INDEX not in there)):
                raise UserError(f"{dest} exists and is not empty: choose another folder")
            place.parent.mkdir(parents=True, exist_ok=True)
            write_json(place, plan)
    try:
        old = read_json(place)
    except UserError as error:
        raise UserError(
            f"the plan of an unfinished preparation is damaged ({error}): remove {dest}"
        ) from error
    if changes := list(differences(old, plan)):
        raise UserError(
            f"{dest} holds an unfinished preparation with other options ({'; '.join(changes)}): "
            "repeat those, or remove the folder"
        )


@contextmanager
def _locked(path: Path, dest: Path, shared: bool = False) -> Iterator[None]:
    end = time.monotonic() + ENDING
    with _writing_to(dest):
        file = path.open("r+b")
    with file:
        while not is_free(file.fileno(), shared):
            if time.monotonic() >= end:
                raise UserError(f"another `vidgan prepare` is at work in {dest}: wait for it")
            time.sleep(0.02)
        if os.fstat(file.fileno()).st_nlink == 0:
            raise UserError(f"another `vidgan prepare` has just finished {dest}: nothing is left to do")
        yield


@contextmanager
def _writing_to(dest: Path) -> Iterator[None]:
    """Turns an ``OSError`` while writing to ``dest`` (a full disk) into a ``UserError``."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write to {dest}: {error.strerror or error}; mend that, then the same command resumes"
        ) from error


def _write_shards(
    shards: Sequence[Shard], spec: PrepareSpec, dest: Path, workers: int, progress: Progress
) -> None:
    missing = [shard for shard in shards if not is_written(shard, dest)]
    total = sum(len(shard.sources) for shard in shards)
    advance = progress(total, total - sum(len(shard.sources) for shard in missing))
    sources = {shard.first + place: source for shard in missing for place, source in enumerate(shard.sources)}
    advice = "The same command resumes; remove the file if it happens again"
    results = map_in_workers(
        functools.partial(write_shard, spec, dest),
        iter(missing),
        min(workers, len(missing)),
        lambda number: str(sources[number].path),
        advice,
        in_order=False,
    )
    with closing(results):
        for done in results:
            advance(done)


def write_shard(spec: PrepareSpec, dest: Path, shard: Shard, begin: Callable[[int], None]) -> int:
    """Write the shard's file to ``dest`` and then its record; the number of its sources.

    ``begin(number)`` is called before each source.

    The record is a list with a :class:`Stored` or the reason why there is none, for each source.

    Raises:
        UserError: where the files cannot be written (a full disk).
    """
    _remove_unfinished(shard, dest)  # of a worker that died over it
    stamps = shard.stamps()  # before they are read, so that a file which is being written is read again
    outcomes: list[Stored | str] = []
    resizer = Resizer(spec.size, spec.resize)

    def fill(part: Path) -> None:
        with part.open("wb") as file:
            for number, source in enumerate(shard.sources, shard.first):
                begin(number)
                outcomes.append(_store(source, resizer, spec, file))

    with _writing_to(dest):
        write_whole(dest / shard_name(shard.number), fill)
        write_json(shard.record(dest), [stamps, outcomes])
    return len(shard.sources)


def _remove_unfinished(shard: Shard, dest: Path) -> None:
    for part in dest.glob(f".{shard_name(shard.number)}.*.part*"):
        part.unlink(missing_ok=True)


def _store(source: ClipSource, resizer: Resizer, spec: PrepareSpec, file: BinaryIO) -> Stored | str:
    offset, crc, shape = file.tell(), 0, (0, 0)
    ends, crcs = [0], []
    try:
        resizer.enlarged = False
        opened = source.open(resizer, spec.max_gap)
        rate, stream, remarks = opened.rate, opened.frames, list[str]()
        if spec.fps is not None and rate is not None:
            rate, stream = spec.fps, at_rate(stream, rate, spec.fps)
        elif spec.fps is not None:
            remarks.append("not resampled, since it says no frame rate")
        for frame in stream:
            data = spec.codec.pack(frame)
            crc, shape = zlib.crc32(data, crc), frame.shape[:2]
            crcs.append(zlib.crc32(data))
            ends.append(ends[-1] + len(data))
            file.write(data)
        remarks += [*opened.remarks, *([ENLARGED] if resizer.enlarged else [])]
    except BrokenClipError as error:
        file.seek(offset)
        file.truncate()
        return str(error)
    table = b"" if isinstance(spec.codec, Raw) else np.asarray(ends, "<u8").tobytes()
    table += np.asarray(crcs, "<u4").tobytes()
    file.write(table)
    crc = zlib.crc32(table, crc)
    return Stored(len(crcs), shape[0], shape[1], rate, offset, file.tell() - offset, crc, remarks)


def _write_index(found: FoundClips, shards: Sequence[Shard], spec: PrepareSpec, dest: Path) -> None:
    """Join all shards: the table, the names and, last of all, the header.

    Raises:
        UserError: where a shard's sources have changed, or a class has no usable clip.
        OSError: where nothing can be written.
    """
    rows: list[tuple[object, ...]] = []
    names: list[str] = []
    left_out, remarks = list(found.left_out), Remarks(found.remarks)
    groups: dict[str, int] = {}
    for shard in shards:
        outcomes = outcomes_of(shard, dest)
        if outcomes is None:
            raise UserError("the source changed while it was prepared: run the same command again")
        for source, outcome in zip(shard.sources, outcomes, strict=True):
            if isinstance(outcome, str):
                left_out.append(LeftOut(source.name, outcome))
                continue
            rate = np.nan if outcome.rate is None else outcome.rate
            # A clip without a group gets a number of its own, under a name that no group has.
            group = groups.setdefault(source.group or f"/{len(names)}", len(groups))
            rows.append((source.label, group, *outcome[:3], rate, shard.number, *outcome[4:7]))
            for remark in outcome.remarks:
                remarks.add(remark, source.name)
            names.append(source.name)
    clips = np.array(rows, CLIP)
    try:
        _check_classes(found, clips, left_out)
    except UserError:
        for shard in shards:  # read the broken ones again next time: they may have been mended
            if any(isinstance(outcome, str) for outcome in outcomes_of(shard, dest) or []):
                shard.record(dest).unlink()
        raise
    used = {shard_name(number) for number in clips["shard"].tolist()}
    for file in dest.glob("shard-*.bin"):
        if file.name not in used:  # nothing usable in it, or of an earlier, longer source
            file.unlink()
    table = io.BytesIO()
    np.save(table, clips, allow_pickle=False)
    sources = json.dumps(names, indent=0).encode()
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "prepared": to_json(spec),
        "classes": list(found.classes),
        "clips": len(clips),
        "left_out": [list(entry) for entry in left_out],
        "remarks": [list(remark) for remark in remarks.all()],
    }
    header["fingerprint"] = fingerprint_of(header, table.getvalue(), sources)
    _write_bytes(dest / CLIPS, table.getvalue())
    _write_bytes(dest / SOURCES, sources)
    join_records(shards, dest)
    write_json(dest / INDEX, header)


def _write_bytes(path: Path, data: bytes) -> None:
    def write(part: Path) -> None:
        part.write_bytes(data)

    write_whole(path, write)


def _check_classes(found: FoundClips, clips: NDArray[np.void], left_out: list[LeftOut]) -> None:
    empty = [name for label, name in enumerate(found.classes) if label not in set(clips["label"].tolist())]
    if not empty:
        return
    reasons = "; ".join(f"{entry.name}: {entry.reason}" for entry in left_out[:5])
    none = "nothing usable in the source"
    what = none if len(empty) == len(found.classes) else "classes without a usable clip"
    raise UserError(f"{what} ({', '.join(empty)}); broken: {reasons}. Mend or remove these, and run again")
