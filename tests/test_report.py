"""The report: whole, self-contained, true to the log, and honest about what is missing."""

import base64
import io
import json
import math
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from commands import require_one_line, vidgan
from pages import Element, Page
from runs import CLASSES, confusion, full_run, make_run, paint, tick, write_log
from vidgan.presets import preset
from vidgan.presets.demo import demo
from vidgan.report.changes import of_consequence
from vidgan.report.charts import MOST, thin
from vidgan.report.page import write_report
from vidgan.run.directory import DataRecord, RunDirectory
from vidgan.run.tiny import tiny
from vidgan.spec import to_json


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page.read(write_report(full_run(tmp_path_factory.mktemp("report") / "run").path))


def read(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


def scale(chart: Element, axis: str, coordinate: str) -> tuple[float, float]:
    """Slope and offset from places to values, as a reader would find them from the numbers beside an axis."""
    labels = chart.all("text", axis)
    places = [float(label.attributes[coordinate]) for label in labels]
    assert len(places) >= 2
    values = [read(label.text) for label in labels]
    slope, offset = np.polyfit(places, values, 1)
    assert np.allclose(np.polyval([slope, offset], places), values, atol=2e-3 * (max(values) - min(values)))
    return float(slope), float(offset)


def drawn(chart: Element, name: str) -> list[list[tuple[float, float]]]:
    """Values of a curve, read off the chart: a list per unbroken line."""
    (mx, bx), (my, by) = scale(chart, "x", "x"), scale(chart, "y", "y")
    (curve,) = [group for group in chart.all("g", "curve") if group.attributes["data-name"] == name]
    lines = []
    for part in curve.all("polyline"):
        pairs = [pair.split(",") for pair in part.attributes["points"].split()]
        lines.append([(mx * float(a) + bx, my * float(b) + by) for a, b in pairs])
    for dot in curve.all("circle"):
        lines.append([(mx * float(dot.attributes["cx"]) + bx, my * float(dot.attributes["cy"]) + by)])
    return lines


def charts(page: Page) -> dict[str, Element]:
    return {figure.all("h4")[0].text: figure for figure in page.root.all("figure", "chart")}


def test_needs_nothing_from_outside(page: Page) -> None:
    addresses = [
        element.attributes[name]
        for element in page.root.walk()
        for name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href")
        if name in element.attributes and not (name == "data" and element.name != "object")
    ]
    assert len(addresses) > 10
    assert [address[:40] for address in addresses if not address.startswith("data:")] == []
    style = "".join(element.text for element in page.root.all("style"))
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = [m.attributes["content"] for m in page.root.all("meta") if "http-equiv" in m.attributes]
    assert "default-src 'none'" in policy


def test_every_image_is_whole_and_is_the_file(page: Page) -> None:
    images = page.root.all("img")
    assert len(images) == 2 * 4 * len(CLASSES) + 3
    for image in images:
        kind, text = image.attributes["src"].split(",")
        assert kind == "data:image/webp;base64"
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True))) as opened:
            assert opened.n_frames == 3  # type: ignore[attr-defined]
            opened.seek(2)
            opened.load()
            ratio = int(image.attributes["width"]) / int(image.attributes["height"])
            assert math.isclose(ratio, opened.width / opened.height, rel_tol=0.01)
        assert image.attributes["alt"]
    style = "".join(element.text for element in page.root.all("style"))
    assert re.search(r"img \{[^}]*image-rendering: pixelated", style)


def test_clips_stand_beside_their_class(page: Page) -> None:
    found = page.section("Samples").all("div", "class")[1:]
    assert [row.all("h3")[0].text for row in found] == list(CLASSES)
    for row in found:
        for kind, seed in (("fake", 0), ("real", 10)):
            (clips,) = row.all("div", kind)
            first = base64.b64decode(clips.all("img")[0].attributes["src"].split(",")[1])
            with Image.open(io.BytesIO(first)) as opened:
                opened.seek(1)
                shown = np.asarray(opened.convert("RGB"))
            expected = np.random.default_rng(seed).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)[1]
            assert (shown == expected).all()


def test_names_are_escaped(page: Page) -> None:
    assert page.root.all("b") != []  # the legends' own; none of them holds a class name
    assert not any("bold" in element.text for element in page.root.all("b"))
    assert '<b>bold & "co"' in page.section("Samples").text
    assert '<b>bold & "co"' in page.section("Results").text


NASTY = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "[bold]{{ 7 * 7 }}", "a & b'c")


def test_no_name_becomes_markup(tmp_path: Path) -> None:
    """Names of classes, scalars, protocols, settings and paths, and what is said about them, are text."""
    first, second, third, fourth = NASTY
    experiment = demo().replace(name=first, description=second, source=third, deviations=NASTY)
    run = make_run(tmp_path / first.replace("/", "-"), experiment, classes=NASTY)
    alarm = {"rule": second, "step": 1, "onset": 1, "text": first, "keeps": []}
    scalars = [name.replace("/", "|") for name in NASTY]  # a slash parts a chart's name from a curve's
    write_log(run, [tick(1, {f"{name}/{name}": 1.0 for name in scalars}) | {"alarms": [alarm]}])
    result = confusion([[1, 0, 0, 0, 0]] * 4, NASTY)
    result |= {"protocol": first, "warnings": [second], "settings": {third: fourth}}
    run.metrics.append(result | {"values": {second: third, first: dict.fromkeys(NASTY, third)}})
    for name in NASTY:
        folder = run.samples / "classes" / name.replace("/", "-")
        paint(folder / "fake-0.webp")
    page = Page.read(write_report(run.path))
    assert len(page.root.all("script")) == 1
    assert not [image for image in page.root.all("img") if not image.attributes["src"].startswith("data:")]
    assert not [key for element in page.root.walk() for key in element.attributes if key.startswith("on")]
    assert "49" not in page.section("Results").text
    assert first in page.root.all("header")[0].text
    for title, names in (
        ("Differences from the paper", NASTY),
        ("Results", NASTY),
        ("Training curves", [*scalars, first]),
    ):
        assert [name for name in names if name not in page.section(title).text] == []
    rows = page.section("Samples").all("div", "class")[1:]
    assert {row.all("h3")[0].text for row in rows} == {name.replace("/", "-") for name in NASTY}
    curves = page.section("Training curves").all("g", "curve")
    assert {curve.attributes["data-name"] for curve in curves} == {*scalars, "clips / s"}


def test_looking_at_a_run_writes_the_page_alone(tmp_path: Path) -> None:
    run = full_run(tmp_path / "run")

    def state() -> dict[Path, tuple[int, int]]:
        found = {path: path.stat() for path in run.path.rglob("*")}
        return {path: (stat.st_mtime_ns, stat.st_ino) for path, stat in found.items() if path.is_file()}

    before = state()
    assert write_report(str(run.path), out=tmp_path / "kept.html") == tmp_path / "kept.html"
    assert state() == before
    page = write_report(run.path)
    assert {path: stamp for path, stamp in state().items() if path != page} == before
    assert page == run.path / "report.html"
    assert page.read_bytes() == (tmp_path / "kept.html").read_bytes()


def test_header_says_what_was_run(page: Page) -> None:
    (header,) = page.root.all("header")
    facts = dict(zip([t.text for t in header.all("dt")], [d.text for d in header.all("dd")], strict=True))
    assert header.all("h1")[0].text == "demo"
    assert demo().description in header.text
    assert facts["Seed"] == "0"
    assert facts["Videos"] == "8 frames of 24 × 24"
    assert facts["Training"].startswith("1,000 steps (of at most 100,000), 16,000 clips, 2 min; not finished")
    assert shlex.split(facts["Command"]) == ["vidgan", "train", "demo", "--out", "a b"]
    assert "torch" in facts["Versions"]


def test_differences_from_the_paper(page: Page) -> None:
    section = page.section("Differences from the paper")
    assert [item.text for item in section.all("li")] == list(demo().deviations)


def test_no_listed_difference_points_to_our_choices(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", demo().replace(deviations=()))
    section = Page.read(write_report(run.path)).section("Differences from the paper")
    assert not section.all("li")
    assert "None listed" in section.text
    assert "docs/papers.md" in section.text


def test_changes_of_the_preset_are_shown(tmp_path: Path) -> None:
    base = demo()
    training = base.training.replace(seed=9, steps=7, batch=base.training.batch.replace(global_batch=32))
    run = make_run(tmp_path / "run", base.replace(training=training))
    section = Page.read(write_report(run.path)).section("Differences from the paper")
    extra = [item.text for item in section.all("li")][len(base.deviations) :]
    assert extra == ["training.steps: 100000 → 7", "training.batch.global_batch: 16 → 32"]


def test_a_batch_that_processes_share_is_told(tmp_path: Path) -> None:
    base = demo()
    for name, cut, processes, said in (
        ("one", {}, (1, 1), None),
        (
            "apart",
            {},
            (2, 2),
            "by 2 processes that share every batch; up to rounding, the same training as by one in ",
        ),
        ("whole", {"micro_batch": 16, "sync_batch_norm": True}, (4, 4), "training as by one."),
        ("cut", {"micro_batch": 16}, (2, 1), "by 2 and then 1 processes that share every batch."),
        ("accumulated", {"micro_batch": 4, "sync_batch_norm": True}, (2, 2), "that share every batch."),
    ):
        training = base.training.replace(batch=base.training.batch.replace(**cut))
        run = make_run(tmp_path / name, base.replace(training=training), processes=processes[0])
        run.resume(run.experiment, [], processes[1])
        section = Page.read(write_report(run.path)).section("Differences from the paper")
        assert ("Trained by" in section.text) == (said is not None)
        assert said is None or said in section.text


def test_the_cut_of_a_whole_batch_is_no_change() -> None:
    base = demo()

    def cut(**batch: int) -> Any:
        return to_json(
            base.replace(training=base.training.replace(batch=base.training.batch.replace(**batch)))
        )

    assert of_consequence(cut(micro_batch=16), cut(micro_batch=32)) == []
    assert len(of_consequence(cut(micro_batch=16), cut(micro_batch=8))) == 1
    assert len(of_consequence(cut(micro_batch=16), cut(sync_batch_norm=True))) == 2


def test_a_tiny_run_says_that_it_was_shrunk(tmp_path: Path) -> None:
    small = tiny(preset("dvd-gan-k600-12x64"))
    run = make_run(
        tmp_path / "run", small.replace(training=small.training.replace(steps=3)), classes=("one",)
    )
    record = json.loads((run.path / "experiment.json").read_text())
    record["command"] = ["vidgan", "train", "dvd-gan-k600-12x64", "--tiny", "--steps", "3"]
    (run.path / "experiment.json").write_text(json.dumps(record))
    page = Page.read(write_report(run.path))
    (said,) = page.root.all("header")[0].all("p", "tiny")
    top = small.levels[-1]
    assert f"{top.frames} frames of {top.size} × {top.size}, 1 class," in said.text
    section = page.section("Differences from the paper")
    (folded,) = section.all("details")
    summary = folded.all("summary")[0].text
    assert (
        summary
        == f"--tiny changes {len(folded.all('li'))} settings of the preset; the structure is the same."
    )
    assert "Besides, this run changes 1 setting more." in section.text
    assert section.all("li")[-1].text == "training.steps: 2 → 3"


def test_colour_channels_have_their_colours_and_alarms_stand_where_they_began(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    names = (
        "pixel/real red",
        "pixel/real blue",
        "pixel/fake red",
        "pixel/fake blue",
        "motion/real",
        "motion/fake",
    )
    alarms = [
        {"rule": "frozen", "step": 400, "onset": 300, "text": "still", "keeps": []},
        {"rule": "dark", "step": 400, "onset": 110, "text": "black", "keeps": []},
    ]
    write_log(
        run,
        [tick(s, dict.fromkeys(names, s / 1000)) for s in (100, 200, 400)]
        + [tick(500, {}) | {"alarms": alarms}],
    )
    shown = charts(Page.read(write_report(run.path)))
    styles = {
        (title, curve.attributes["data-name"]): curve.attributes["class"]
        for title, figure in shown.items()
        for curve in figure.all("g", "curve")
    }
    assert styles == {
        ("Mean pixel value", "real red"): "curve c1 real",
        ("Mean pixel value", "real blue"): "curve c0 real",
        ("Mean pixel value", "fake red"): "curve c1",
        ("Mean pixel value", "fake blue"): "curve c0",
        ("Motion", "real"): "curve c0",
        ("Motion", "fake"): "curve c1",
        ("Speed", "clips / s"): "curve c0",
    }
    slope, offset = scale(shown["Motion"], "x", "x")
    marks = [line for group in shown["Motion"].all("g", "alarm") for line in group.all("line")]
    for mark, onset in zip(marks, (300, 110), strict=True):
        for end in ("x1", "x2"):
            assert math.isclose(slope * float(mark.attributes[end]) + offset, onset, abs_tol=1)
    # A name stands on the side of its line where there is room, and no two on one height.
    late, early = [
        text.attributes for group in shown["Motion"].all("g", "alarm") for text in group.all("text")
    ]
    assert (late.get("text-anchor"), early.get("text-anchor")) == ("end", None)
    assert float(late["x"]) < float(marks[0].attributes["x1"])
    assert float(early["x"]) > float(marks[1].attributes["x1"])
    assert abs(float(late["y"]) - float(early["y"])) > 10
    assert shown["Speed"].all("g", "alarm") == []


def test_a_section_has_no_more_pictures_than_a_phone_can_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"class {i}" for i in range(5)]
    run = make_run(tmp_path / "run", classes=names)
    for name in names:
        for i in range(6):
            paint(run.samples / "classes" / name / f"fake-{i}.webp", seed=i)
    size = sum((run.samples / "classes" / "class 0" / f"fake-{i}.webp").stat().st_size for i in range(4))
    for budget, shown in ((5 * size, 5), (3 * size, 3), (0, 1)):
        monkeypatch.setattr("vidgan.report.page.BUDGET", budget)
        section = Page.read(write_report(run.path)).section("Samples")
        assert [row.all("h3")[0].text for row in section.all("div", "class")[1:]] == names[:shown]
        assert len(section.all("img")) == 4 * shown
        assert ("each class" if shown == 5 else f"the first {shown} of 5 classes") in section.text


def test_shares_reach_from_zero_to_one_and_charts_speak(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    write_log(run, [tick(s, {"dark/real": 0.0, "accuracy/clip/real": 0.9 + s / 1000}) for s in (25, 50)])
    shown = charts(Page.read(write_report(run.path)))
    for name in ("Dark videos", "Accuracy of discriminator “clip”"):
        numbers = [read(label.text) for label in shown[name].all("text", "y")]
        assert (min(numbers), max(numbers)) == (0, 1)
    (drawing,) = shown["Accuracy of discriminator “clip”"].all("svg")
    assert "real: 0.95 at step 50; least 0.925 at 25" in drawing.attributes["aria-label"]


def test_a_deviation_says_over_what(page: Page, tmp_path: Path) -> None:
    assert "±" not in page.section("Results").text
    run = make_run(tmp_path / "run")
    run.metrics.append(
        confusion([[7, 1, 0], [2, 3, 3]]) | {"deviation": {"value": 0.03, "over": "bootstrap"}}
    )
    said = Page.read(write_report(run.path)).section("Results").text
    assert "± 0.03" in said
    assert "± is the standard deviation over resamples of the evaluated clips." in said


def test_results_with_protocol_and_settings(page: Page) -> None:
    section = page.section("Results")
    cells = [
        cell.text
        for cell in section.all("table", "results")[0].all("tbody")[0].walk()
        if cell.name in ("td", "th")
    ]
    assert cells[:5] == ["oracle-accuracy", "0.625", "16", "40", "3"]
    (folded,) = section.all("table", "results")[0].all("details")
    assert folded.all("summary")[0].text == "2 settings"
    terms = zip(folded.all("dt"), folded.all("dd"), strict=True)
    assert [(a.text, b.text) for a, b in terms] == [("sigma", "0.75"), ("averaged", "no")]
    (figure,) = section.all("figure", "confusion")
    rows = [[cell.text for cell in row.all("td")] for row in figure.all("tbody")[0].all("tr")]
    assert rows == [["7", "1", "0"], ["2", "3", "3"]]
    shares = [c.attributes["style"] for c in figure.all("tbody")[0].all("td")]
    assert shares == [f"--share:{s}%" for s in (88, 12, 0, 25, 38, 38)]
    assert [c.text for c in figure.all("td", "right")] == ["7", "3"]
    assert [c.text for c in figure.all("td", "strong")] == ["7"]


def test_values_by_class_stand_in_one_table(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    values = {
        "real_clips": 4,
        "per_class": {"a": 0.5, "b": 2.0},
        "best_of": {"1": [0.25, 0.125]},
        "real_motion_per_class": {"a": None, "b": 3},
    }
    run.metrics.append({"protocol": "p", "value": 1.0, "step": 1, "settings": {}, "values": values})
    many = {"per_class": {f"class {i}": i for i in range(40)}}
    run.metrics.append({"protocol": "q", "value": 1.0, "step": 1, "settings": {}, "values": many})
    first, second = Page.read(write_report(run.path)).section("Results").all("section", "protocol")
    assert [(t.text, d.text) for t, d in zip(first.all("dt"), first.all("dd"), strict=True)] == [
        ("real clips", "4")
    ]
    tables = [
        [[cell.text for cell in row.walk() if cell.name in ("td", "th")] for row in table.all("tr")]
        for table in first.all("table")
    ]
    assert tables == [
        [["", "value", "real motion"], ["a", "0.5", "none"], ["b", "2", "3"]],
        [["", "best of"], ["1", "0.25, 0.125"]],
    ]
    assert first.all("details") == []
    (folded,) = second.all("details")
    assert folded.all("summary")[0].text == "40 rows"
    assert len(folded.all("tr")) == 41


def test_large_tables_name_the_commonest_confusions(tmp_path: Path) -> None:
    names = [f"class {i}" for i in range(40)]
    counts = [[8 if i == j else 0 for j in range(41)] for i in range(40)]
    counts[3][5], counts[7][40], counts[1][0] = 6, 9, 2
    run = make_run(tmp_path / "run", classes=names)
    run.metrics.append(confusion(counts, names))
    section = Page.read(write_report(run.path)).section("Results")
    assert section.all("figure", "confusion") == []
    assert [item.text for item in section.all("li")] == [
        "class 7 seen as none: 9",
        "class 3 seen as class 5: 6",
        "class 1 seen as class 0: 2",
    ]


def test_curves_are_the_logged_values(page: Page) -> None:
    found = charts(page)
    assert list(found) == ["Losses", "Discriminator “clip”", "Speed"]
    steps = range(25, 25 * 41, 25)
    logged = {
        ("Losses", "discriminators"): [2 - s / 2000 for s in steps],
        ("Losses", "generator"): [s / 3000 for s in steps],
        ("Discriminator “clip”", "real"): [1.5] * 40,
        ("Discriminator “clip”", "fake"): [-0.5] * 40,
        ("Speed", "clips / s"): [160.0] * 40,
    }
    for (title, name), values in logged.items():
        (line,) = drawn(found[title], name)
        np.testing.assert_allclose([x for x, _ in line], steps, atol=1)
        spread = max(2 * max(map(abs, values)), 0.1)
        np.testing.assert_allclose([y for _, y in line], values, atol=2e-3 * spread)
    for figure in found.values():
        assert any(text.text == "step" for text in figure.all("text", "axis"))
        assert len(figure.all("text", "axis")) == 2
        assert all(curve.all("title")[0].text for curve in figure.all("g", "curve"))
    legend = [item.text for item in found["Losses"].all("li")]
    assert legend == ["discriminators 1.5", "generator 0.3333"]


@pytest.mark.parametrize(("low", "high"), [(-3e-6, 4e-6), (1e7, 5e7), (0.25, 0.26), (-1e5, 3.0), (2.0, 2.0)])
def test_axes_of_any_range_can_be_read(tmp_path: Path, low: float, high: float) -> None:
    run = make_run(tmp_path / "run")
    values = [low, high, (low + high) / 2]
    write_log(run, [tick(100 * (i + 1), {"a/b": value}) for i, value in enumerate(values)])
    (line,) = drawn(charts(Page.read(write_report(run.path)))["a"], "b")
    np.testing.assert_allclose([y for _, y in line], values, atol=0.01 * ((high - low) or abs(high)))


def test_thousands_of_points_keep_their_spikes(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    values = np.sin(np.arange(5000) / 50)
    values[1234], values[4321] = 9.0, -7.0
    write_log(run, [tick(i + 1, {"loss/generator": float(v)}) for i, v in enumerate(values)])
    (line,) = drawn(charts(Page.read(write_report(run.path)))["Losses"], "generator")
    assert 300 < len(line) <= MOST
    assert math.isclose(max(line, key=lambda p: p[1])[0], 1235, abs_tol=15)
    assert math.isclose(max(y for _, y in line), 9.0, abs_tol=0.05)
    assert math.isclose(min(y for _, y in line), -7.0, abs_tol=0.05)


def test_thinning_keeps_the_extremes_of_every_stretch() -> None:
    noise = np.random.default_rng(0).normal(size=3001)
    points = [(i, float(v)) for i, v in enumerate(noise)]
    kept = thin(points, 100)
    assert len(kept) <= 100
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    assert set(kept) <= set(points)
    assert [i for i, _ in kept] == sorted(i for i, _ in kept)
    # Any stretch twice as long as a bucket holds a whole one; it cannot lie beyond what was kept near it.
    bucket = math.ceil(3001 / 49)
    for begin in range(0, 3001 - 2 * bucket, 17):
        near = [v for i, v in kept if begin - bucket <= i <= begin + 2 * bucket and v is not None]
        stretch = noise[begin : begin + bucket]
        assert min(near) <= stretch.min()
        assert max(near) >= stretch.max()
    assert thin(points[:100], 100) == points[:100]


def test_numbers_that_are_not_finite_leave_a_gap_and_are_said(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    values: list[float | None] = [1.0, 2.0, None, None, 3.0, None, 4.0, 5.0, math.inf, math.nan]
    write_log(
        run,
        [tick(10 * (i + 1), {"loss/discriminators": v, "loss/generator": 0.5}) for i, v in enumerate(values)],
    )
    figure = charts(Page.read(write_report(run.path)))["Losses"]
    lines = sorted(drawn(figure, "discriminators"))
    assert [[round(x) for x, _ in line] for line in lines] == [[10, 20], [50], [70, 80]]
    assert "discriminators is not finite at 5 points, first at step 30" in figure.text
    assert "generator is not finite" not in figure.text


def test_gaps_stay_when_points_are_thinned() -> None:
    points = [(i, None if 1000 <= i < 1003 else 1.0) for i in range(4000)]
    kept = thin(points)
    assert any(v is None for _, v in kept)
    assert all(b - a < 60 for (a, _), (b, _) in pairwise(kept))


def test_an_empty_log_names_the_command_of_the_last_resumption(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    training = run.experiment.training.replace(steps=77)
    run.resume(run.experiment.replace(training=training), ["vidgan", "train", "demo", "--steps", "77"])
    text = Page.read(write_report(run.path)).root.text
    assert "vidgan train demo --steps 77 --resume" in text


def test_speed_continues_where_a_run_was_resumed(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    # The seconds of a level count on over its processes; the second began at 30 s and was faster at first.
    times = {100: 10.0, 200: 30.0, 300: 35.0, 400: 55.0}
    write_log(run, [tick(step, {"a/b": 1.0}, seconds=seconds) for step, seconds in times.items()])
    page = Page.read(write_report(run.path))
    (line,) = drawn(charts(page)["Speed"], "clips / s")
    np.testing.assert_allclose(line, [(100, 160), (200, 80), (300, 320), (400, 80)], rtol=0.01)
    assert "6,400 clips, 55 s;" in page.root.all("header")[0].text


def test_levels_have_charts_of_their_own(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", preset("ssw-gan-k600-48x128"))
    write_log(run, [tick(10, {"loss/generator": 1.0}), tick(5, {"loss/generator": 9.0}, level=2)])
    page = Page.read(write_report(run.path))
    curves = page.section("Training curves")
    assert [heading.text for heading in curves.all("h3")] == ["Level 1", "Level 2"]
    first, second = curves.all("div", "charts")
    for charts_of, value, step in ((first, 1.0, 10), (second, 9.0, 5)):
        (line,) = drawn(charts_of.all("figure", "chart")[0], "generator")
        np.testing.assert_allclose(line, [(step, value)], rtol=0.01)


def test_what_to_measure_data_by_that_no_oracle_knows(tmp_path: Path) -> None:
    run = RunDirectory.create(
        tmp_path / "run", demo(), DataRecord("data/mine", tuple("abcdefgh"), 99, "0"), []
    )
    (said,) = Page.read(write_report(run.path)).section("Results").all("p", "missing")
    assert f"vidgan evaluate {run.path} --protocol frechet-frames-efficientnet-lite0" in said.text
    assert "vidgan[features]" in said.text


def test_early_run_says_what_is_missing_and_how_to_make_it(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    page = Page.read(write_report(run.path))
    asked = {
        "Samples": f"vidgan sample {run.path} --out {run.path}/samples/classes --clips 8 --format webp",
        "Results": f"vidgan evaluate {run.path} --protocol oracle-accuracy",
        "Fixed latents over training": "vidgan train demo --out 'a b' --resume",
        "Training curves": "vidgan train demo --out 'a b' --resume",
    }
    for title, command in asked.items():
        section = page.section(title)
        assert len(section.all("p", "missing")) == 1
        assert [code.text for code in section.all("code")] == [command]
    assert page.root.all("img") == []


def test_clips_of_the_sample_command_are_shown(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", classes=("a-b", "c"))
    for i, name in enumerate(("a-b", "c", "a-b")):
        paint(run.samples / "classes" / f"{i:05d}-{name}.webp", seed=i)
    head, *rows = Page.read(write_report(run.path)).section("Samples").all("div", "class")
    assert [(row.all("h3")[0].text, len(row.all("img"))) for row in rows] == [("a-b", 2), ("c", 1)]
    assert ("Real" in head.text, "no real clips" in rows[0].text) == (False, False)
    paint(run.samples / "classes" / "c" / "real-0.webp", seed=3)
    head, *rows = Page.read(write_report(run.path)).section("Samples").all("div", "class")
    assert ("Real" in head.text, "no real clips" in rows[0].text, "no real clips" in rows[1].text) == (
        True,
        True,
        False,
    )


def test_broken_files_are_left_out_and_named(tmp_path: Path) -> None:
    run = full_run(tmp_path / "run")
    with run.log.path.open("a") as file:
        file.write('{"level": 1, "step": 9\n')
    (run.samples / "fixed" / "level1-step00000500.webp").write_bytes(b"RIFF nothing")
    page = Page.read(write_report(run.path))
    (header,) = page.root.all("header")
    assert "log.jsonl: left out the damaged line 41" in header.text
    assert "fixed/level1-step00000500.webp cannot be read" in header.text
    shown = [step.all("span")[0].text for step in page.root.all("div", "step")]
    assert [text for text in shown if text[:1].isdigit()] == ["25", "1,000"]


def test_motion_of_units_that_warp_has_a_section(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", preset("trivd-gan-fp-k600-16x64"))
    missing = Page.read(write_report(run.path)).section("Motion")
    assert "No motion fields yet" in missing.text
    for step, fastest in ((5, 1.0), (20, 2.5)):
        place = run.samples / "motion" / f"level1-step{step:08d}"
        paint(place.with_suffix(".webp"), columns=8, seed=step)
        place.with_suffix(".json").write_text(json.dumps({"fastest": fastest}))
    page = Page.read(write_report(run.path))
    section = page.section("Motion")
    (shown,) = section.all("img")
    newest = (run.samples / "motion" / "level1-step00000020.webp").read_bytes()
    assert base64.b64decode(shown.attributes["src"].split(",")[1]) == newest
    assert "2.5 pixels per frame" in section.text
    # A shape that moves to the right is red: the field shows where features go, not where they are from.
    assert "which way its features went since the frame before" in section.text
    assert "red to the right" in section.text
    still = make_run(tmp_path / "still", preset("trivd-table2-convgru"))
    assert "Motion" not in [h.text for h in Page.read(write_report(still.path)).root.all("h2")]


def test_many_previews_are_shown_from_first_to_last(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    for step in range(10, 510, 10):
        paint(run.samples / "fixed" / f"level1-step{step:08d}.webp", columns=8, rows=4)
    section = Page.read(write_report(run.path)).section("Fixed latents over training")
    steps = [int(s.all("span")[0].text) for s in section.all("div", "step") if s.all("img")]
    assert len(steps) == 10
    assert (steps[0], steps[-1]) == (10, 500)
    assert max(b - a for a, b in pairwise(steps)) <= 60
    assert "10 of 50 steps" in section.text


def test_all_settings_are_there(page: Page) -> None:
    (listing,) = page.section("The experiment").all("pre")
    assert "generator_rate: 0.003" in listing.text
    assert "name: clip" in listing.text


def test_the_verb(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    answer = vidgan(capsys, "report", run.path)
    assert answer.status == 0
    assert answer.out.strip() == str(run.path / "report.html")
    before = (run.path / "report.html").read_bytes()
    record = json.loads((run.path / "experiment.json").read_text())
    record["experiment"]["levels"] = 3
    (run.path / "experiment.json").write_text(json.dumps(record))
    require_one_line(vidgan(capsys, "report", run.path), "levels", "expected a list")
    assert (run.path / "report.html").read_bytes() == before
    assert sorted(path.name for path in run.path.glob("*report*")) == ["report.html"]
