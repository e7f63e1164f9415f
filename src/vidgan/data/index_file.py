"""The last step of preparing: what became of every source, as the index of a prepared dataset."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from vidgan.data.layouts import Found, LeftOut
from vidgan.data.prepare_spec import PrepareSpec
from vidgan.data.shards import Shard, Stored, fingerprints
from vidgan.data.store import CLIP, CLIPS, FORMAT, INDEX, SOURCES, VERSION, fingerprint_of, shard_name
from vidgan.errors import UserError
from vidgan.files import write_json, write_whole
from vidgan.spec import to_json


def outcomes_of(shard: Shard, records: Path) -> list[Stored | str] | None:
    """What became of each source of ``shard``; None where the record is missing or of sources that have changed."""
    try:
        sources, outcomes = json.loads(shard.record(records).read_bytes())
    except (OSError, ValueError):
        return None
    if sources != fingerprints(shard):
        return None
    return [outcome if isinstance(outcome, str) else Stored(*outcome) for outcome in outcomes]


def write_index(found: Found, shards: list[Shard], spec: PrepareSpec, dest: Path, records: Path) -> None:
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
    found: Found, clips: "np.ndarray[Any, np.dtype[np.void]]", left_out: list[LeftOut]
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
