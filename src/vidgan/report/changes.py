"""What a run changes: its experiment against the paper, and the run against its experiment."""

from collections.abc import Mapping
from html import escape
from typing import Any

from vidgan.presets import presets
from vidgan.report.collect import Collected
from vidgan.report.words import count
from vidgan.run.experiment import BatchSpec
from vidgan.run.tiny import tiny
from vidgan.spec import differences, from_json, to_json

OF_NO_CONSEQUENCE = ("name", "description", "source", "deviations", "classes", "training.seed", "reporting.")
"""Fields that say, show or follow from the data; whatever begins so is not listed"""
SHARING = tuple(f"training.batch.{name}:" for name in ("micro_batch", "replicas", "statistics_group"))
"""How a batch is shared; where as many clips are seen at once, that changes nothing but rounding"""
OPEN = 8
"""changes that are shown at once; more are folded away"""
LONGEST = 90
NONE_LISTED = (
    "<p>None listed; where the paper is silent, see <code>docs/papers.md</code>, <em>Our choices</em>.</p>"
)


def deviations(shown: Collected) -> str:
    """What the experiment says it changes, and what was changed of it when the run was started."""
    named = [escape(text) for text in shown.run.experiment.deviations]
    found = listed(named) if named else NONE_LISTED
    found += sharing(shown.run.experiment.training.batch)
    by_tiny, own = changes(shown.record)
    if by_tiny:
        head = f"<code>--tiny</code> changes {count(len(by_tiny), 'setting')} of the preset"
        found += folded(f"{head}; the structure stays.", by_tiny)
    if own:
        more = "this run changes" if by_tiny else "This run changes"
        whose = "more" if by_tiny else "of the preset"
        head = f"{'Besides, ' if by_tiny else ''}{more} {count(len(own), 'setting')} {whose}."
        found += folded(head, own) if len(own) > OPEN else f"<p class=changed>{head}</p>{lines_of(own)}"
    return found


def sharing(batch: BatchSpec) -> str:
    """How several processes share a batch, in words; nothing where one trains alone."""
    if batch.replicas == 1:
        return ""
    said = f"Trained by {count(batch.replicas, 'process', 'processes')} that share every batch"
    cut = "" if is_whole(batch) else f" in passes of {count(batch.micro, 'clip')}"
    alone = is_whole(batch) or batch.statistics_group == 1
    same = f"; up to rounding, the same training as by one{cut}." if alone else "."
    return f"<p class=shared>{said}{same}</p>"


def is_tiny(record: Mapping[str, Any]) -> bool:
    """Whether the run was started with ``--tiny``."""
    words = record.get("command")
    return isinstance(words, list) and "--tiny" in words


def is_whole(batch: BatchSpec) -> bool:
    """Whether all clips of a batch are seen at once: nothing is accumulated, and all replicas share statistics."""
    return batch.micro == batch.share and batch.statistics_group == batch.replicas


def passes(batch: BatchSpec) -> tuple[int, int] | None:
    """What statistics are taken over: clips of a pass, and processes that share them; None for the whole batch."""
    return None if is_whole(batch) else (batch.micro, batch.statistics_group)


def changes(record: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Settings that differ from the preset of the same name: those that ``--tiny`` changes, and the others.

    None where there is no such preset.
    """
    experiment = record["experiment"]
    preset = presets().get(str(experiment.get("name")))
    if preset is None:
        return [], []
    start = tiny(preset) if is_tiny(record) else preset
    return of_consequence(to_json(preset), to_json(start)), of_consequence(to_json(start), experiment)


def of_consequence(old: Any, new: Any) -> list[str]:
    """Differences of two experiments that change what is computed, beyond rounding."""
    batches = [from_json(BatchSpec, data["training"]["batch"]) for data in (old, new)]
    first, second = map(passes, batches)
    unseen = OF_NO_CONSEQUENCE + (SHARING if first == second else ())
    return [line for line in differences(old, dict(new)) if not line.startswith(unseen)]


def folded(head: str, changed: list[str]) -> str:
    """Changes folded away under a line that says how many there are."""
    return f"<details><summary>{head}</summary>{lines_of(changed)}</details>"


def lines_of(changed: list[str]) -> str:
    """Changes as a list."""
    return listed([f"<code>{escape(shorten(line))}</code>" for line in changed])


def shorten(line: str) -> str:
    """A line with a true arrow, cut short if it holds a whole tree of settings."""
    arrow = line.replace(" -> ", " → ")
    return arrow if len(arrow) <= LONGEST else f"{arrow[:LONGEST]}…"


def listed(items: list[str]) -> str:
    """Items of markup as a list."""
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"
