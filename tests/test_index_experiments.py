"""The scripts that the index of docs/papers.md calls for figures of several runs, in miniature."""

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

import over_training
from paper_world import build, small, stand_in
from test_figures_index import ROWS
from vidgan.cli import main
from vidgan.presets import preset
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_results
from vidgan.spec import to_json

CALLS = [
    pytest.param(
        shlex.split(call),
        id=f"{row.paper}, {row.what}",
        marks=() if row.paper == "DVD-GAN" else pytest.mark.long,
    )
    for row in ROWS
    for call in re.findall(r"`python experiments/over_training\.py ([^`]+)`", row.command)
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data that the commands call by a name."""
    place = tmp_path_factory.mktemp("experiments")
    build(place, {})
    return place


@pytest.mark.slow
@pytest.mark.parametrize("words", CALLS)
def test_a_script_of_the_index_runs(
    words: Sequence[str], world: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every preset, by one seed, for a step: trained, measured by each protocol and drawn."""
    stand_in(monkeypatch, world)

    def tiny(given: Sequence[str]) -> int:
        verb, name, *options = given
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(to_json(small(preset(name)))))
        return main([verb, str(file), *options])

    monkeypatch.setattr(over_training, "vidgan", tiny)
    over_training.main([*words, "--seeds", "1", "--steps", "1", "--every", "1", "--clips", "10"])
    out = Path(words[words.index("--out") + 1])
    presets = words[: next(place for place, word in enumerate(words) if word.startswith("--"))]
    first = words.index("--protocols") + 1
    protocols = words[first : next(n for n in range(first, len(words)) if words[n].startswith("--"))]
    for name in presets:
        results = read_results(RunDirectory.open(out / f"{name}-seed0").metrics.path)
        assert {result["protocol"] for result in results} == set(protocols), name
    assert (out / "curves.svg").stat().st_size > 0
    assert all(name in (out / "table.md").read_text() for name in presets)
