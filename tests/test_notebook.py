"""The notebook's cells run from top to bottom, on a small model in the place of the one that it loads."""

import json
import sys
import types
from pathlib import Path

import pytest

import runs
from vidgan.presets import preset
from vidgan.run.tiny import tiny
from vidgan.sample.load import load

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "tour.ipynb"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the cells display, without IPython."""
    pictures: list[bytes] = []
    display = types.ModuleType("IPython.display")
    display.__dict__.update(Image=lambda content, width: content, display=pictures.append)
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return pictures


def test_the_tour_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: list[bytes]) -> None:
    monkeypatch.setattr("vidgan.preset", lambda name: tiny(preset(name)), raising=False)
    spec = preset("dvd-gan-12x64-cpu")
    run = runs.untrained(tmp_path / "driving", tiny(spec), classes=("left", "right", "straight")).path
    load(run, device="cpu").save(tmp_path / "zoo" / "driving-12x64")
    (tmp_path / "examples").mkdir()
    monkeypatch.chdir(tmp_path / "examples")
    known: dict[str, object] = {"__name__": "__main__"}
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "kept without outputs: they are megabytes"
            exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), known)
    assert len(shown) == 5
    assert all(picture[8:12] == b"WEBP" for picture in shown)
