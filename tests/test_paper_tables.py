"""Tables that lead from a paper's sentences to code: every name in them resolves."""

import importlib
import re
from pathlib import Path

import pytest

from vidgan.spec import Spec

ROOT = Path(__file__).parents[1]
PAGES = {
    "dvd-gan.md": ("3", "4.1-4.4", "A.1", "A.2", "A.3", "A.4", "B", "C", "D"),
    "cascades.md": (
        "3",
        "4",
        "5",
        "A",
        "B.1",
        "B.2",
        "C",
        "D-G",
        "H",
        "Cascaded",
        "Parametrization",
        "Experiments",
    ),
    "guide-table.md": ("3.1", "3.2", "3.3", "3.4", "4.1", "4.2", "4.3", "4.4", "4.5", "4.6", "4.7"),
    "trivd-gan.md": ("3", "4.1", "A", "B", "C", "D", "E", "F", "4.2-4.4"),
}
"""Pages and the sections that they go through."""


def rows(page: str) -> list[tuple[str, str, list[str]]]:
    """(section, sentence, names) of every row of a page's tables."""
    found, section = [], ""
    for line in page.splitlines():
        if line.startswith("## "):
            section = line.split()[1]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0] not in ("the paper", "---"):
            found.append((section, cells[0], re.findall(r"`(vidgan\.[\w.]+)`", cells[1])))
    return found


def resolve(name: str) -> object:
    """What a dotted name stands for: a module's member, or a field of a spec."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            fields = getattr(found, "__dataclass_fields__", {})
            found = fields[part] if part in fields else getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("page", PAGES)
def test_every_sentence_leads_to_code(page: str) -> None:
    table = rows((ROOT / "docs" / page).read_text())
    assert {section for section, _, _ in table} == set(PAGES[page])
    assert len(table) > 60
    assert len({sentence for _, sentence, _ in table}) == len(table), "a sentence stands twice"
    for _, sentence, names in table:
        assert names, f"no name for: {sentence}"
        for name in names:
            assert resolve(name) is not None


@pytest.mark.parametrize("page", PAGES)
def test_names_in_remarks_resolve_too(page: str) -> None:
    for name in re.findall(r"`(vidgan\.[\w.]+)`", (ROOT / "docs" / page).read_text()):
        resolve(name)


def test_what_is_not_there_is_not_resolved() -> None:
    assert isinstance(resolve("vidgan.spec.Spec"), type)
    assert resolve("vidgan.spec.Spec") is Spec
    for name in ("vidgan.spec.Spek", "vidgan.models.views.FramesSpec.l", "vidgan.modles.views"):
        with pytest.raises((AttributeError, ModuleNotFoundError)):
            resolve(name)
