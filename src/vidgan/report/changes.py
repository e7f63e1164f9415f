"""What a run changes: its experiment against the paper, and the run against its experiment."""

import contextlib
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vidgan.errors import UserError
from vidgan.presets import of_loaded_code, offered
from vidgan.report.words import count
from vidgan.run.batch import BatchSpec
from vidgan.run.experiment import Experiment
from vidgan.run.tiny import tiny
from vidgan.spec import differences, from_json, to_json

OF_NO_CONSEQUENCE = ("name", "description", "source", "deviations", "classes", "training.seed", "reporting.")
"""Fields that say, show or follow from the data; whatever begins so is not listed"""
MICRO_BATCH = re.compile(r"(training\.batch|levels\.\d+)\.micro_batch:")
"""Where all clips of a batch are seen at once, it changes nothing"""
LONGEST = 90


def sharing(record: Mapping[str, Any], experiment: Experiment) -> str:
    """How several processes share a batch, in words; nothing where one trains alone."""
    numbers = [record["processes"], *(entry["processes"] for entry in record["resumed"])]
    most = max(numbers)
    if most == 1:
        return ""
    then = " and then ".join(f"{number}" for number, _ in itertools.groupby(numbers))
    said = f"Trained by {then} {'process' if then == '1' else 'processes'} that share every batch"
    batches = [experiment.batch_of(index) for index in experiment.rounds]
    sizes = dict.fromkeys(
        count(batch.share(most).per_pass, "clip") for batch in batches if not is_whole(batch, most)
    )
    cut = f" in passes of {' and '.join(sizes)}" if sizes else ""
    as_one = all(alone(batch, most) for batch in batches)
    same = f"; up to rounding, the same training as by one{cut}." if as_one else "."
    return f"{said}{same}"


def alone(batch: BatchSpec, processes: int) -> bool:
    """Whether one process that trains alone sees as many clips at once."""
    per_pass = batch.share(processes).per_pass
    return is_whole(batch, processes) or (not batch.sync_batch_norm and per_pass == batch.largest_pass())


def is_tiny(record: Mapping[str, Any]) -> bool:
    """Whether the run was started with ``--tiny``."""
    words = record.get("command")
    return isinstance(words, list) and "--tiny" in words


def is_whole(batch: BatchSpec, processes: int) -> bool:
    """Whether all clips of a batch are seen at once: nothing is accumulated, and all processes share statistics."""
    share = batch.share(processes)
    return share.per_pass == share.clips and (processes == 1 or batch.sync_batch_norm)


class Changes(NamedTuple):
    """What a run changes of the experiment that it was started with."""

    start: str | None
    """what that is, in words; None where it is not known here"""
    by_tiny: Sequence[str] = ()
    """settings that ``--tiny`` changes"""
    own: Sequence[str] = ()
    """all others"""


def changes(record: Mapping[str, Any]) -> Changes:
    """Settings that differ from the preset of the same name, of vidgan or of an installed package, or from the
    experiment of the user's own that the run was started with, where its file is loaded."""
    start, words = found_start(record)
    if start is None:
        return Changes(None)
    small = tiny(start) if is_tiny(record) else start
    return Changes(
        words,
        of_consequence(to_json(start), to_json(small)),
        of_consequence(to_json(small), record["experiment"]),
    )


def found_start(record: Mapping[str, Any]) -> tuple[Experiment | None, str]:
    """The experiment that a run was started with, and what it is called."""
    words = record.get("command")
    asked = words[2] if isinstance(words, list) and words[1:2] == ["train"] and len(words) > 2 else ""
    with contextlib.suppress(UserError):  # of a package or a file that is not what it was
        if ":" in asked:
            return of_loaded_code(asked), asked
        return offered(str(record["experiment"]["name"])), "the preset"
    return None, ""


def of_consequence(old: Any, new: Any) -> list[str]:
    """Differences of two experiments that change what one process computes, beyond rounding."""
    whole = all(
        batch.largest_pass() == batch.global_batch for data in (old, new) for batch in batches_in(data)
    )
    return [
        line
        for line in differences(old, dict(new))
        if not line.startswith(OF_NO_CONSEQUENCE) and not (whole and MICRO_BATCH.match(line))
    ]


def batches_in(data: Mapping[str, Any]) -> list[BatchSpec]:
    """How the batches of every level are put together, of an experiment as JSON, whose other parts may be of code that
    is not loaded."""
    of_all, own = from_json(BatchSpec, data["training"]["batch"]), ("global_batch", "micro_batch")
    return [
        of_all.replace(**{name: level[name] for name in own if level.get(name) is not None})
        for level in data["levels"]
    ]


def shorten(line: str) -> str:
    """A line with a true arrow, cut short if it holds a whole tree of settings."""
    arrow = line.replace(" -> ", " → ")
    return arrow if len(arrow) <= LONGEST else f"{arrow[:LONGEST]}…"
