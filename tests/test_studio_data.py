"""What the pages Data and Evaluate show, without Gradio."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import runs
from pages import Page
from vidgan.data.layouts import Folder
from vidgan.data.prepare import prepare_by
from vidgan.data.store import PrepareSpec
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.errors import UserError
from vidgan.evaluation.results import published
from vidgan.presets import preset
from vidgan.run.tiny import tiny
from vidgan.sample.video_io import write_clip
from vidgan.studio import data, evaluate
from vidgan.studio.data import EVERY_CLASS
from vidgan.studio.evaluate import NO_FILE, OWN
from vidgan.studio.jobs import Jobs
from vidgan.studio.served import Served


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared dataset of two classes, and a run."""
    folder = tmp_path_factory.mktemp("studio-data")
    made = SyntheticDataset(SyntheticSpec(size=16, frames=8, clips=14))
    for i in range(14):
        name = "<i>a" if i else "b"
        (folder / "videos" / name).mkdir(parents=True, exist_ok=True)
        write_clip(folder / "videos" / name / f"{i:02d}.webp", made.read(i, 0, 8 if i != 5 else 4), 8.0)
    prepare_by(folder / "videos", folder / "data", PrepareSpec(layout=Folder(), size=16), workers=0)
    runs.make_run(folder / "runs" / "demo", tiny(preset("demo")))
    runs.untrained(folder / "runs" / "model", tiny(preset("demo")))
    return folder


@pytest.fixture
def served(place: Path) -> Served:
    (place / "i3d.pt").write_bytes(b"")
    return Served([str(place / "runs")], [str(place / "data")], weights=[place / "i3d.pt"])


def table(html: str) -> list[list[str]]:
    page = Page()
    page.feed(html)
    return [[cell.text for cell in row.walk() if cell.name in ("th", "td")] for row in page.root.all("tr")]


def test_classes_are_counted_and_names_are_text(served: Served, place: Path) -> None:
    html = data.overview(data.opened(served, str(place / "data")))
    rows = {row[0]: row[1:] for row in table(html)}
    assert rows["<i>a"] == ["13", "4", "8", "8"]
    assert rows["b"] == ["1", "8", "8", "8"]
    assert "14 clips, 108 frames, 2 classes" in html


def test_clips_are_leafed_through_and_are_those_of_the_data(served: Served, place: Path) -> None:
    dataset = data.opened(served, str(place / "data"))
    page = Page()
    page.feed(data.leaf(dataset, "b", 1, still=True))
    (image,) = page.root.all("img")
    content = base64.b64decode(image.attributes["src"].removeprefix("data:image/webp;base64,"))
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    index = int(image.attributes["alt"].partition(":")[0])
    for i, frame in enumerate(dataset.read(index, 0, 8)):
        assert np.array_equal(picture[:, i * 18 :][:, :16], frame)
    assert data.pages_of(dataset, EVERY_CLASS) == 2
    last = Page()
    last.feed(data.leaf(dataset, EVERY_CLASS, 2))
    assert len(last.root.all("img")) == 2


@pytest.mark.parametrize(
    ("wanted", "page"), [("c", 1), (None, 1), (EVERY_CLASS, 0), (EVERY_CLASS, 3), ("b", "1"), ("b", 1.5)]
)
def test_only_pages_and_classes_that_are_there(served: Served, place: Path, wanted: Any, page: Any) -> None:
    with pytest.raises(UserError):
        data.leaf(data.opened(served, str(place / "data")), wanted, page)


@pytest.mark.parametrize("name", ["/etc", "data", "../data", "my.py:clips", None, 1, ["synthetic"]])
def test_only_datasets_of_the_folders_are_opened(served: Served, name: Any) -> None:
    with pytest.raises(UserError, match=r"there is no dataset|choose a dataset first"):
        data.opened(served, name)


def test_windows_are_those_of_a_preset() -> None:
    assert data.window_for("dvd-gan-k600-12x64") == (12, 2, 64)
    with pytest.raises(UserError):
        data.window_for("dvd-gan")


def test_problems_are_listed(served: Served, place: Path) -> None:
    dataset = data.opened(served, str(place / "data"))
    assert "No problems (checksums fit)" in data.faults_of(dataset, 1, 1, 1, True)
    html = data.faults_of(dataset, 8, 1, 16, False)
    assert "1 problem" in html
    assert "05.webp" in html
    with pytest.raises(UserError):
        data.faults_of(dataset, 0, 1, 1, False)
    file = next((place / "data").glob("*.bin"), None) or next(
        path for path in (place / "data").iterdir() if path.stat().st_size > 5000
    )
    content = file.read_bytes()
    try:
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert "checksum" in data.faults_of(data.opened(served, str(place / "data")), 1, 1, 1, True)
    finally:
        file.write_bytes(content)


def test_large_clips_are_shown_small(served: Served) -> None:
    thumbnail = data.thumbnail(SyntheticDataset(SyntheticSpec(size=300, frames=40, clips=1)), 0)
    assert thumbnail.shape == (16, 128, 128, 3)


def test_a_measurement_is_the_command(served: Served, place: Path) -> None:
    run = f"{place}/runs/demo"
    name = f"{place}/runs/model"
    asked = (name, "frechet-random", OWN, 0, 3, NO_FILE)
    assert evaluate.words_of(served, *asked) == [
        "evaluate",
        name,
        "--protocol",
        "frechet-random",
        "--seed",
        "3",
    ]
    more = (name, "fvd-reference", str(place / "data"), 64, 0, "i3d.pt")
    assert evaluate.words_of(served, *more)[4:] == [
        *("--data", str(place / "data"), "--clips", "64", "--seed", "0"),
        *("--weights", str(place / "i3d.pt")),
    ]
    odd: tuple[tuple[Any, ...], ...] = (
        (run, *asked[1:]),  # has no checkpoint
        ("/etc", *asked[1:]),
        (name, "frechet --out=/tmp/x", *asked[2:]),
        (name, None, *asked[2:]),
        (*asked[:2], "/etc/passwd", *asked[3:]),
        (*asked[:3], -1, *asked[4:]),
        (*asked[:3], "8", *asked[4:]),
        (*asked[:4], 1e99, asked[5]),
        (*asked[:5], str(place / "i3d.pt")),
        (*asked[:5], None),
    )
    for each in odd:
        with pytest.raises(UserError):
            evaluate.words_of(served, *each)


def test_results_stand_beside_published_numbers(served: Served, place: Path, tmp_path: Path) -> None:
    run = runs.untrained(tmp_path / "runs" / "r", tiny(preset("demo")))
    name = f"{tmp_path}/runs/r"
    own = Served([str(tmp_path / "runs")])
    html = evaluate.beside(own, name, "fvd-reference")
    printed = [row for row in published() if row.protocol == "fvd-reference"]
    assert "has not been measured by fvd-reference yet" in html
    assert len(table(html)) == 1 + len(printed)
    line = {
        "protocol": "is-k600",
        "value": 12.5,
        "clips": 10,
        "step": 5,
        "seed": 1,
        "deviation": {"value": 0.5, "over": "runs"},
        "settings": {
            "clips": 10,
            "source": {"frames": 4, "stride": 1, "size": 24, "whole": None},
            "sampling": {"averaged": True, "truncation": {"is": "Scaled", "sigma": 0.5}},
        },
        "network": {},
        "warnings": ["too few <clips>"],
    }
    run.metrics.append(line)
    rows = table(evaluate.beside(own, name, "is-k600"))
    assert rows[1] == ["12.5000 ± 0.5000", "10", "5", "1", "sigma 0.5"]
    assert len(rows) == 1 + 1 + 1 + len([row for row in published() if row.protocol == "is-k600"])
    assert "clips" in rows[3][3]
    assert "too few &lt;clips&gt;" in evaluate.beside(own, name, "is-k600")
    for odd in ("none", None, 3):
        with pytest.raises(UserError):
            evaluate.beside(own, name, odd)


def test_so_many_measurements_at_once(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidgan.studio.jobs.MOST", 0)
    (name, *_) = served.models()
    with pytest.raises(UserError, match="run already"):
        evaluate.start(served, Jobs(tmp_path), name, "frechet-random", OWN, 0, 0, NO_FILE)
