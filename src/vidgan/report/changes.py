"""What a run changes: its experiment against the paper, and the run against its experiment."""

from collections.abc import Mapping
from html import escape
from typing import Any

from vidgan.presets import presets
from vidgan.report.collect import Collected
from vidgan.report.words import count
from vidgan.spec import differences, to_json

OF_NO_CONSEQUENCE = ("name", "description", "source", "deviations", "classes", "training.seed", "reporting.")
"""Fields that say, show or follow from the data; whatever begins so is not listed"""
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
    changed = changes(shown.record["experiment"])
    if not changed:
        return found
    items = listed([f"<code>{escape(shorten(line))}</code>" for line in changed])
    head = f"This run changes {count(len(changed), 'setting')} of the preset."
    if len(changed) > OPEN:
        return f"{found}<details><summary>{head}</summary>{items}</details>"
    return f"{found}<p class=changed>{head}</p>{items}"


def changes(experiment: Mapping[str, Any]) -> list[str]:
    """Settings that differ from the preset of the same name; none where there is no such preset."""
    preset = presets().get(str(experiment.get("name")))
    if preset is None:
        return []
    lines = differences(to_json(preset), dict(experiment))
    return [line for line in lines if not line.startswith(OF_NO_CONSEQUENCE)]


def shorten(line: str) -> str:
    """A line with a true arrow, cut short if it holds a whole tree of settings."""
    arrow = line.replace(" -> ", " → ")
    return arrow if len(arrow) <= LONGEST else f"{arrow[:LONGEST]}…"


def listed(items: list[str]) -> str:
    """Items of markup as a list."""
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"
