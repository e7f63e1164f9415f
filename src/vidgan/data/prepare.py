"""Preparing a dataset: list the sources, write shards, join them to an index.

Sources are taken in a fixed order in groups of :func:`shard_clips`, each of which becomes one shard with a
record beside it, both written whole. Whatever ends the work, the next run keeps the shards that have a
record and makes the others, and the result is the same bytes. ``index.json`` is written last of all.

Several machines can share the work: each takes its :class:`Share` of the shards. A run without a share makes
what is left and joins them all.
"""

import fcntl
import io
import json
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vidgan.data.layouts import FoundClips, LeftOut
from vidgan.data.shards import Shard, Stored, fingerprints, serve_shards, write_shard, writing_to
from vidgan.data.store import (
    CLIP,
    CLIPS,
    FORMAT,
    INDEX,
    SOURCES,
    UNFINISHED,
    VERSION,
    PreparedDataset,
    PrepareSpec,
    fingerprint_of,
    open_dataset,
    shard_name,
)
from vidgan.data.workers import Failure, Worker, start_worker
from vidgan.errors import UserError, some
from vidgan.files import write_json, write_whole
from vidgan.spec import differences, to_json


def outcomes_of(shard: Shard, records: Path) -> list[Stored | str] | None:
    """What became of each source of ``shard``; None where the record is missing or of sources that have changed."""
    try:
        sources, outcomes = json.loads(shard.record(records).read_bytes())
    except (OSError, ValueError):
        return None
    if sources != fingerprints(shard):
        return None
    return [outcome if isinstance(outcome, str) else Stored(*outcome) for outcome in outcomes]


def write_index(found: FoundClips, shards: list[Shard], spec: PrepareSpec, dest: Path, records: Path) -> None:
    """Join all ``shards`` of ``dest``: the table, the names and, last of all, the header.

    Raises:
        UserError: where a shard's sources have changed, or a class has no usable clip.
        OSError: where nothing can be written.
    """
    rows: list[tuple[object, ...]] = []
    names: list[str] = []
    left_out = list(found.left_out)
    groups: dict[str, int] = {}
    for shard in shards:
        outcomes = outcomes_of(shard, records)
        if outcomes is None:
            raise UserError("the source changed while it was prepared: run the same command again")
        for source, outcome in zip(shard.sources, outcomes, strict=True):
            if isinstance(outcome, str):
                left_out.append(LeftOut(source.name, outcome))
                continue
            rate = np.nan if outcome.rate is None else outcome.rate
            # A clip without a group gets a number of its own, under a name that no group has.
            group = groups.setdefault(source.group or f"/{len(names)}", len(groups))
            rows.append((source.label, group, *outcome[:3], rate, shard.number, *outcome[4:]))
            names.append(source.name)
    clips = np.array(rows, CLIP)
    try:
        _check_classes(found, clips, left_out)
    except UserError:
        for shard in shards:  # read the broken ones again next time: they may have been mended
            if any(isinstance(outcome, str) for outcome in outcomes_of(shard, records) or []):
                shard.record(records).unlink()
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
    }
    header["fingerprint"] = fingerprint_of(header, table.getvalue(), sources)
    _write_bytes(dest / CLIPS, table.getvalue())
    _write_bytes(dest / SOURCES, sources)
    write_json(dest / INDEX, header)


def _write_bytes(path: Path, data: bytes) -> None:
    def write(part: Path) -> None:
        part.write_bytes(data)

    write_whole(path, write)


def _check_classes(
    found: FoundClips, clips: "np.ndarray[Any, np.dtype[np.void]]", left_out: list[LeftOut]
) -> None:
    empty = [name for label, name in enumerate(found.classes) if label not in set(clips["label"].tolist())]
    if not empty:
        return
    reasons = "; ".join(f"{entry.name}: {entry.reason}" for entry in left_out[:5])
    what = (
        "nothing usable in the source"
        if len(empty) == len(found.classes)
        else "classes without a usable clip"
    )
    raise UserError(f"{what} ({', '.join(empty)}); broken: {reasons}. Mend or remove these, and run again")


PLAN = "plan.json"
"""in the unfinished folder: what is being prepared"""

Advance = Callable[[int], None]
"""called with a number of sources that are done"""
Begin = Callable[[int, int], Advance]
"""called with the number of sources and of those that an earlier run has done"""


class Share(NamedTuple):
    """What one of several machines prepares."""

    number: int
    """which, from 1 to ``of``"""
    of: int
    """machines"""

    def holds(self, shard: Shard) -> bool:
        """Whether ``shard`` is for this machine."""
        return shard.number % self.of == self.number - 1


def prepare(
    source: Path,
    dest: Path,
    spec: PrepareSpec,
    workers: int = 0,
    begin: Begin = lambda total, kept: lambda done: None,
) -> PreparedDataset:
    """Prepare ``source`` into ``dest``, or go on where an interrupted run or some shares stopped.

    ``begin`` is called once there is something to do.

    Raises:
        UserError: where the source is not usable, the destination holds something else, another run works
            there, or a class has no usable clip. What was done until then is kept.
    """
    found = _find(source, dest, spec)
    if (dest / INDEX).exists():
        return _finished(source, dest, spec, found)
    _claim(dest, spec)
    records = dest / UNFINISHED
    with _locked(records / PLAN, dest):
        for part in [*dest.glob(".*.part*"), *records.glob(".*.part*")]:
            part.unlink(missing_ok=True)
        shards = _shards(found)
        _write(shards, spec, dest, workers, begin)
        with writing_to(dest):
            write_index(found, shards, spec, dest, records)
    shutil.rmtree(records)
    return open_dataset(dest)


def prepare_share(
    source: Path,
    dest: Path,
    spec: PrepareSpec,
    share: Share,
    workers: int = 0,
    begin: Begin = lambda total, kept: lambda done: None,
) -> None:
    """Prepare this machine's share into ``dest``; :func:`prepare` joins the shares where they lie in one folder.

    Raises:
        UserError: as :func:`prepare`.
    """
    found = _find(source, dest, spec)
    if (dest / INDEX).exists():
        _finished(source, dest, spec, found)
        return
    _claim(dest, spec)
    records = dest / UNFINISHED
    own = records / f"share-{share.number}-of-{share.of}"
    with writing_to(dest):
        own.touch()
    with _locked(records / PLAN, dest, shared=True), _locked(own, dest):
        shards = [shard for shard in _shards(found) if share.holds(shard)]
        for shard in shards:  # what other machines are writing stays
            for part in dest.glob(f".{shard_name(shard.number)}.*.part*"):
                part.unlink(missing_ok=True)
        _write(shards, spec, dest, workers, begin)


def _find(source: Path, dest: Path, spec: PrepareSpec) -> FoundClips:
    if source.resolve() in [dest.resolve(), *dest.resolve().parents]:
        raise UserError(f"{dest} lies in the source {source}: choose a folder outside of it")
    return spec.layout.find(source)


def _write(shards: list[Shard], spec: PrepareSpec, dest: Path, workers: int, begin: Begin) -> None:
    records = dest / UNFINISHED
    missing = [shard for shard in shards if not _is_written(shard, dest, records)]
    total = sum(len(shard.sources) for shard in shards)
    advance = begin(total, total - sum(len(shard.sources) for shard in missing))
    if workers == 0:
        for shard in missing:
            write_shard(shard, spec, dest, records, lambda: advance(1))
    else:
        _write_all(missing, spec, dest, records, min(workers, len(missing)), advance)


def shard_clips(sources: int) -> int:
    """Sources per shard: enough shards to keep many workers busy, not so few clips that files get many."""
    return max(1, min(32, sources // 64))


def _finished(source: Path, dest: Path, spec: PrepareSpec, found: FoundClips) -> PreparedDataset:
    dataset = open_dataset(dest)
    changes = list(differences(to_json(dataset.index.spec), to_json(spec)))
    if changes:
        raise UserError(
            f"{dest} is prepared already, with other options ({'; '.join(changes)}): choose another folder"
        )
    had = {*dataset.index.sources, *(entry.name for entry in dataset.index.left_out)}
    has = {*(entry.name for entry in found.sources), *(entry.name for entry in found.left_out)}
    if had != has:
        raise UserError(
            f"{dest} is prepared already, from other files than {source} holds: {_counted(has - had)} are new, "
            f"{_counted(had - has)} are not there; choose another folder"
        )
    shutil.rmtree(dest / UNFINISHED, ignore_errors=True)  # killed between the index and the clean-up
    return dataset


def _counted(names: set[str]) -> str:
    """How many, and up to three of them."""
    return f"{len(names)} ({some(sorted(names), 3)})" if names else "none"


def _claim(dest: Path, spec: PrepareSpec) -> None:
    plan: dict[str, Any] = {"format": FORMAT, "version": VERSION, "prepared": to_json(spec)}
    records = dest / UNFINISHED
    with writing_to(dest):
        if not (records / PLAN).exists():
            if dest.exists() and (not dest.is_dir() or {path.name for path in dest.iterdir()} - {UNFINISHED}):
                raise UserError(f"{dest} exists and is not empty: choose another folder")
            records.mkdir(parents=True, exist_ok=True)
            write_json(records / PLAN, plan)
        old = json.loads((records / PLAN).read_bytes())
    if changes := list(differences(old, plan)):
        raise UserError(
            f"{dest} holds an unfinished preparation with other options ({'; '.join(changes)}): "
            "repeat those, or remove the folder"
        )


@contextmanager
def _locked(path: Path, dest: Path, shared: bool = False) -> Iterator[None]:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"another `vidgan prepare` is at work in {dest}: wait for it") from error
        yield


def _shards(found: FoundClips) -> list[Shard]:
    each = shard_clips(len(found.sources))
    starts = range(0, len(found.sources), each)
    return [Shard(number, found.sources[start : start + each]) for number, start in enumerate(starts)]


def _is_written(shard: Shard, dest: Path, records: Path) -> bool:
    outcomes, file = outcomes_of(shard, records), dest / shard_name(shard.number)
    if outcomes is None or not file.exists():
        return False
    return file.stat().st_size == sum(stored.bytes for stored in outcomes if isinstance(stored, Stored))


def _write_all(
    shards: list[Shard], spec: PrepareSpec, dest: Path, records: Path, workers: int, advance: Advance
) -> None:
    waiting, busy = deque(shards), dict[Worker, Shard]()
    done: Counter[int] = Counter()
    crew: list[Worker] = []
    try:
        for _ in range(workers):
            crew.append(start_worker(serve_shards, spec, dest, records))
            busy[crew[-1]] = waiting.popleft()
            crew[-1].pipe.send(busy[crew[-1]])
        while busy:
            ready = wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in ready]:
                message = _receive(worker, busy[worker], done)
                if message is True:
                    done[busy[worker].number] += 1
                    advance(1)
                elif isinstance(message, Failure):
                    raise message.error()
                elif waiting:
                    busy[worker] = waiting.popleft()
                    worker.pipe.send(busy[worker])
                else:
                    del busy[worker]
    finally:
        for worker in crew:
            worker.stop()


def _receive(worker: Worker, shard: Shard, done: Counter[int]) -> object:
    try:
        return worker.pipe.recv()
    except (EOFError, OSError):
        place = min(done[shard.number], len(shard.sources) - 1)
        raise UserError(
            f"a worker died while it read {shard.sources[place].path}: out of memory, or a file that breaks "
            "the decoder? Run the same command again to go on; remove the file if it happens again"
        ) from None
