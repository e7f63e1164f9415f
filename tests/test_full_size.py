"""The tables of docs/full-size.md against the code, and that no phase outgrows its device."""

import re
from pathlib import Path

import pytest

import catalog
from full_size import (
    DEVICE,
    all_rows,
    cost_of,
    feature_networks,
    feature_table,
    memory_table,
    operations_table,
    rows_of,
)
from vidgan.presets import preset, presets

PAGE = Path(__file__).parents[1] / "docs" / "full-size.md"


def rows_of_page(name: str) -> list[str]:
    """The lines of both tables that are about a preset."""
    return [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{name}`")]


def alike() -> dict[str, list[str]]:
    """Presets that cost the same, by the first of them."""
    found: dict[str, list[str]] = {}
    for name, experiment in presets().items():
        found.setdefault(cost_of(experiment), []).append(name)
    return {names[0]: names for names in found.values()}


def sampled() -> list[object]:
    """`make test` counts one preset, `make test-all` all of them."""
    first = "guide-k400-12x64"
    return [
        pytest.param(names, id=name, marks=() if name == first else pytest.mark.long)
        for name, names in alike().items()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("names", sampled())
def test_rows_are_those_of_the_page(names: list[str]) -> None:
    rows = list(rows_of(preset(names[0])))
    memory, operations = (make(rows).splitlines()[2:] for make in (memory_table, operations_table))
    for name in names:
        own = [row.replace(f"`{names[0]}`", f"`{name}`") for row in (*memory, *operations)]
        assert rows_of_page(name) == own, "replace the tables by what benchmarks/full_size.py prints"


def test_the_page_names_every_preset_and_no_phase_over_its_device() -> None:
    """Where a step of one clip does not fit, the page says so in words."""
    page = PAGE.read_text()
    assert set(re.findall(r"^\| `([\w.-]+)`", page, flags=re.M)) == set(presets())
    table = page.split("| preset | clips per update |")[0]
    for line in table.splitlines():
        if not line.startswith("| `"):
            continue
        name, _, step, checkpoint, previews, statistics, _host, *others = (
            c.strip() for c in line.split("|")[1:-1]
        )
        most = max(float(c) for c in (step, checkpoint, previews, statistics, *others) if c)
        assert most <= DEVICE / 1e9, name


@pytest.mark.slow
def test_feature_networks_take_what_the_pages_say() -> None:
    """Weights by their numbers of parameters, printed by their papers and ports; `vidgan plan` names the most."""
    found = feature_networks()
    assert feature_table(found).strip() in PAGE.read_text()
    millions = {"I3D": 12.7, "C3D": 78, "R(2+1)D-18": 31.5, "EfficientNet-Lite0": 4.7}
    for each in found:
        assert each.weights / 4e6 == pytest.approx(millions[each.name], rel=0.02)
        assert each.peak > each.weights + 4 * 3 * 16 * 112 * 112
    assert f"{max(each.peak for each in found) / 1e9:.1f} GB" == "0.7 GB"


@pytest.mark.slow
def test_longer_samples_are_counted_where_there_are_any() -> None:
    """Of a cascade in chunks, too; not where given frames are continued in rounds."""
    found = {
        name: all_rows([catalog.experiments()[name]]) for name in ("demo", "demo-prediction", "demo-cascade")
    }
    (alone,) = found["demo"]
    (given,) = found["demo-prediction"]
    first, top = found["demo-cascade"]
    assert alone.longer is not None
    frames = catalog.experiments()["demo"].levels[0].frames
    assert alone.longer.name == f"sampling {2 * frames} frames"
    whole = alone.phases[-1]
    assert alone.longer.flops / alone.longer.clips == pytest.approx(2 * whole.flops / whole.clips, rel=0.1)
    assert given.longer is None
    assert first.longer is None
    assert (alone.chunked, given.chunked) == (None, None)
    assert top.longer is not None
    assert top.chunked is not None
    assert top.chunked.device < top.longer.device
