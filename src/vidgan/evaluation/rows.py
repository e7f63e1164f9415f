"""Rows of a set of clips, computed part by part and kept in memory, or in a folder under a key made of all that they
depend on.

What a folder keeps is not computed again: an evaluation that was killed resumes, and real clips are looked at once.
Several processes share the parts, whether they have one folder or each node its own. Anything that changes the rows
changes the key.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import torch

from vidgan import __version__
from vidgan.evaluation.clips import PART, Clips
from vidgan.evaluation.protocols.base import EvaluationBatch, Extractor, Table
from vidgan.evaluation.shares import Part, Shares, removed
from vidgan.files import write_json, write_whole
from vidgan.memory import require_memory
from vidgan.run.directory import code_of
from vidgan.run.distributed import Replicas
from vidgan.spec import to_json

LABELS = "labels"
ROWS = 2
"""times that rows are held: part by part, and joined"""

Advance = Callable[[int], None]
"""called with a number of clips that are done"""
Begin = Callable[[str, int, int], Advance]
"""called with what is looked at, the number of clips, and of those that were done before"""


def silent(what: str, total: int, kept: int) -> Advance:
    """Shows no progress."""
    return lambda done: None


class Kept:
    """Parts of rows that are done, by the numbers of their clips.

    Args:
        folder: for a file per part; None keeps them in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._parts: dict[range, Part] = {}

    def load(self, numbers: range) -> Part | None:
        """The rows of these clips; None where they are missing or damaged."""
        if self.folder is None:
            return self._parts.get(numbers)
        try:
            with np.load(_file(self.folder, numbers), allow_pickle=False) as arrays:
                part = {name: arrays[name] for name in arrays.files}
        except Exception:  # zip files fail in many ways; whatever is wrong, the part is computed again
            return None
        whole = LABELS in part and all(len(array) == len(numbers) for array in part.values())
        return part if whole else None

    def missing(self, spans: Sequence[range]) -> list[range]:
        """Those of ``spans`` whose rows are missing or damaged; of a hundred million clips, too, within seconds."""
        if self.folder is None:
            return [numbers for numbers in spans if numbers not in self._parts]
        there = set(os.listdir(self.folder))
        return [numbers for numbers in spans if _name(numbers) not in there or self.load(numbers) is None]

    def save(self, numbers: range, part: Part) -> None:
        """Keep the rows of these clips."""

        arrays: dict[str, Any] = dict(part)

        def write(path: Path) -> None:
            with path.open("wb") as file:
                np.savez(file, **arrays)  # of numbers: nothing is pickled, which numpy 2.0 cannot be told

        if self.folder is None:
            self._parts[numbers] = part
        else:
            write_whole(_file(self.folder, numbers), write)


def _file(folder: Path, numbers: range) -> Path:
    return folder / _name(numbers)


def _name(numbers: range) -> str:
    return f"rows-{numbers.start:08d}-{len(numbers)}.npz"


class Work(NamedTuple):
    """How rows are computed."""

    cache: Path | None = None
    """folder in which they are kept, of all processes or of each node; None: in memory"""
    shares: Shares = Shares()
    """which parts are this process's"""
    begin: Begin = silent
    """shows progress"""
    memory: dict[str, Kept] | None = None
    """where there is no folder: what this call has computed, by its key"""
    replicas: Replicas = Replicas()
    """the processes that prepare together, as those of ``shares``; a single one: the first of these does it alone"""

    def kept(self, clips: Clips, extractor: Extractor) -> Kept:
        """The rows of ``clips`` that are done."""
        if self.cache is not None:
            return Kept(folder_of(self.cache, key_of(clips, extractor)))
        if self.memory is None:
            return Kept(None)
        return self.memory.setdefault(json.dumps(key_of(clips, extractor), sort_keys=True), Kept(None))


def key_of(clips: Clips, extractor: Extractor) -> dict[str, Any]:
    """All that the rows of ``clips`` depend on."""
    plain = {name: value for name, value in extractor.facts.items() if name != "file"}
    return {
        "clips": clips.identity,
        "classes": list(clips.classes),
        "features": to_json(extractor.spec),
        "code": code_of(extractor.spec),
        "facts": plain,
        "vidgan": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "av": av.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "part": PART,
    }


def folder_of(cache: Path, key: dict[str, Any]) -> Path:
    """The folder for rows with this key, which is written into it."""
    text = json.dumps(key, sort_keys=True)
    folder = cache / hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "key.json").exists():
        write_json(folder / "key.json", key)
    return folder


Wanted = tuple[Clips, Extractor]
"""Rows that somebody wants."""


def parts_of(clips: Clips) -> list[range]:
    """The numbers of the clips of every part."""
    return [range(first, min(first + PART, clips.count)) for first in range(0, clips.count, PART)]


def compute_rows(
    clips: Clips, extractor: Extractor, work: Work, what: str, beside: Sequence[Wanted] = ()
) -> tuple[Table, Path | None]:
    """The rows of all ``clips``, and the folder in which they are kept.

    Args:
        what: what the clips are called where progress is shown.
        beside: rows that will be wanted next. Those of the same clips are computed of what is read for these, so that
            no clip is generated or decoded twice; they are kept too.

    Raises:
        UserError: where a clip cannot be read or does not fit a network, or the folder is emptied meanwhile.
    """
    shares, kept, spans = work.shares, work.kept(clips, extractor), parts_of(clips)
    together = [
        (work.kept(others, other), other, set(parts_of(others)))
        for others, other in (beside if work.cache is not None or work.memory is not None else ())
        if (others.identity, others.classes) == (clips.identity, clips.classes)
    ]
    new, mine = shares.divide(kept, spans)
    if mine:
        left, had = sum(map(len, mine)), clips.count - sum(map(len, new))
        advance = work.begin(what, left + had // shares.size, had // shares.size)
        with closing(read_ahead(clips, mine)) as batches:
            for numbers, batch in zip(mine, batches, strict=True):
                made: Part = {**extractor.rows(batch), LABELS: batch.labels}
                if numbers == mine[0]:
                    each = sum(array.nbytes for array in made.values()) / len(numbers)
                    what = f"what is measured of {clips.count:,} clips"
                    require_memory(ROWS * each * clips.count, what, "ask for fewer clips")
                kept.save(numbers, made)
                for also, other, theirs in together:
                    if numbers in theirs and also.load(numbers) is None:
                        also.save(numbers, {**other.rows(batch), LABELS: batch.labels})
                advance(len(numbers))
    shares.exchange(kept, spans)
    parts = [part for numbers in spans if (part := kept.load(numbers)) is not None]
    if len(parts) < len(spans):
        raise removed()
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    labels = joined.pop(LABELS)
    return Table(joined, labels, clips.classes), kept.folder


def read_ahead(clips: Clips, spans: Sequence[range]) -> Generator[EvaluationBatch]:
    """The clips of every span; those of the next are read by a thread while the caller works on these.

    One by one, so that closing the iterator waits for one clip alone, and whoever watches this thread sees it move.
    """
    if not clips.decoded:
        yield from map(clips.read, spans)
        return
    reader = ThreadPoolExecutor(1)

    def begin(span: range) -> list[Future[EvaluationBatch]]:
        return [reader.submit(clips.read, range(number, number + 1)) for number in span]

    try:
        coming = begin(spans[0])
        for following in (*spans[1:], range(0)):
            parts, coming = [future.result() for future in coming], begin(following)
            videos, labels = (
                np.concatenate([p.videos for p in parts]),
                np.concatenate([p.labels for p in parts]),
            )
            yield EvaluationBatch(videos, labels)
    finally:
        reader.shutdown(cancel_futures=True)


def forget(folders: set[Path]) -> None:
    """Remove rows that are not needed again."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
