"""Figures of several runs and truncation curves: numbers against numpy, geometry by reading the SVG."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from commands import require_one_line, vidgan
from runs import make_run, tick, write_log
from vidgan.cli import main
from vidgan.presets import preset
from vidgan.report.figure import Curve, Plot, Point, figure
from vidgan.report.groups import group, mean_curve
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_lines

Capture = pytest.CaptureFixture[str]
SVG = "{http://www.w3.org/2000/svg}"


def run_of(path: Path, name: str, seed: int, values: dict[int, float], **settings: object) -> RunDirectory:
    """A run with results of a protocol by step."""
    experiment = preset(name)
    run = make_run(path, experiment.replace(training=experiment.training.replace(seed=seed)))
    for step, value in values.items():
        kept = {"is": "Protocol", "clips": 16, "seed": 0, "sigma": 1.0} | settings
        run.metrics.append({"protocol": "fid", "value": value, "step": step, "seed": 0, "settings": kept})
    return run


def curves(svg: str) -> dict[str, list[tuple[float, float]]]:
    """The dots of every curve of a figure, in units of the view box."""
    root = ElementTree.fromstring(svg)
    return {
        node.attrib["data-name"]: [
            (float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in node.iter(f"{SVG}circle")
        ]
        for node in root.iter(f"{SVG}g")
        if node.attrib.get("class") == "curve"
    }


def test_places_are_linear_in_the_values_and_bars_are_two_deviations_long() -> None:
    rising = Curve("rising", [Point(0, 1, 0.5), Point(10, 2, None), Point(20, 4, 0.25)])
    text = figure([Plot("a & b", "step", "value", [rising, Curve("flat <1>", [Point(20, 1, None)])])])
    found = curves(text)
    (x0, y0), (x1, y1), (x2, y2) = found["rising"]
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.02)
    assert (y1 - y2) == pytest.approx(2 * (y0 - y1), abs=0.02)
    assert y0 > y1 > y2, "greater values stand higher"
    assert found["flat <1>"] == [(x2, y0)]
    root = ElementTree.fromstring(text)
    bars = [n.attrib for n in root.iter(f"{SVG}line") if n.attrib.get("class") == "bar"]
    unit = y0 - y1
    lengths = [float(bar["y1"]) - float(bar["y2"]) for bar in bars]
    assert lengths == pytest.approx([1.0 * unit, 0.5 * unit], abs=0.03)
    words = [node.text for node in root.iter(f"{SVG}text")]
    assert {"a & b", "step", "value", "rising", "flat <1>"} <= set(words)
    assert not re.search(r"(?:href|src|url|@import)", text), "nothing is fetched"


def test_ticks_stand_where_their_values_do() -> None:
    text = figure([Plot("t", "sigma", "v", [Curve("c", [Point(0.2, 0.004, None), Point(1.0, 0.01, None)])])])
    root = ElementTree.fromstring(text)
    (x0, y0), (x1, y1) = curves(text)["c"]
    labels = [node for node in root.iter(f"{SVG}text") if re.fullmatch(r"[\d.]+", node.text or "")]
    below = {float(n.text or ""): float(n.attrib["x"]) for n in labels if n.attrib["text-anchor"] == "middle"}
    beside = {float(n.text or ""): float(n.attrib["y"]) for n in labels if n.attrib["text-anchor"] == "end"}
    assert len(below) >= 3
    assert len(beside) >= 3
    for value, place in below.items():
        assert place == pytest.approx(x0 + (value - 0.2) / 0.8 * (x1 - x0), abs=0.05)
    for value, place in beside.items():
        assert place == pytest.approx(y0 + (value - 0.004) / 0.006 * (y1 - y0), abs=0.05)


def test_means_and_unbiased_deviations_at_common_steps() -> None:
    values = [{1: 1.0, 2: 5.0, 3: 2.0}, {1: 2.0, 3: 4.0}, {1: 6.0, 3: 3.0, 4: 0.0}]
    curve = mean_curve("k8", values)
    assert curve.name == "k8 (3 runs)"
    assert [point.x for point in curve.points] == [1, 3]
    for point in curve.points:
        own = [run[int(point.x)] for run in values]
        assert point.y == pytest.approx(np.mean(own))
        assert point.deviation == pytest.approx(np.std(own, ddof=1))
    (alone,) = mean_curve("k8", [{5: 2.0}]).points
    assert alone == Point(5, 2.0, None)


def test_runs_that_differ_in_their_seed_alone_are_one_group(tmp_path: Path) -> None:
    runs = [
        run_of(tmp_path / "a", "dvd-gan-k8", 0, {}),
        run_of(tmp_path / "b", "dvd-gan-k1", 0, {}),
        run_of(tmp_path / "c", "dvd-gan-k8", 1, {}),
    ]
    experiment = preset("dvd-gan-k8")
    training = experiment.training.replace(steps=50, discriminator_updates=1)
    runs.append(make_run(tmp_path / "d", experiment.replace(training=training)))
    runs.append(make_run(tmp_path / "e", experiment.replace(training=experiment.training.replace(steps=50))))
    found = {each.name: [run.path.name for run in each.runs] for each in group(runs)}
    assert found == {
        "dvd-gan-k8": ["a", "c", "e"],
        "dvd-gan-k1": ["b"],
        "dvd-gan-k8, training.discriminator_updates: 2 -> 1": ["d"],
    }


def test_the_command_draws_figure_7(tmp_path: Path, capsys: Capture) -> None:
    """Clark et al. 2019, Figure 7: three runs per choice, mean and deviation over training."""
    values = {("dvd-gan-k1", 0): (4.0, 3.0), ("dvd-gan-k1", 1): (5.0, 2.0), ("dvd-gan-k8", 0): (3.0, 1.0)}
    paths = []
    for (name, seed), (early, late) in values.items():
        paths.append(tmp_path / f"{name}-{seed}")
        run = run_of(paths[-1], name, seed, {1000: early, 2000: late})
        write_log(run, [tick(step, {"loss/generator": late + step}) for step in (100, 200)])
    # Results at another truncation belong to another curve.
    other = RunDirectory.open(paths[0])
    kept = {"is": "Protocol", "clips": 16, "seed": 0, "sigma": 0.5}
    other.metrics.append({"protocol": "fid", "value": 99.0, "step": 2000, "seed": 0, "settings": kept})
    target = tmp_path / "figure7.svg"
    drawn = ("--protocol", "fid", "--scalar", "loss/generator", "--out", target)
    answer = vidgan(capsys, "curves", *paths, *drawn)
    assert answer.status == 0, answer.err
    said = answer.out.splitlines()
    assert "left out 1 of 7 results of fid: sigma: 1.0 -> 0.5" in said
    assert "fid, dvd-gan-k1 (2 runs): 2.5 ± 0.71 at step 2,000" in said
    assert "fid, dvd-gan-k8: 1 at step 2,000" in said
    assert "loss/generator, dvd-gan-k8: 201 at step 200" in said
    text = target.read_text()
    root = ElementTree.fromstring(text)
    assert len([n for n in root.iter(f"{SVG}g") if n.attrib.get("class") == "curve"]) == 4


def test_what_cannot_be_drawn(tmp_path: Path, capsys: Capture) -> None:
    one = run_of(tmp_path / "one", "dvd-gan-k1", 0, {1000: 1.0})
    two = run_of(tmp_path / "two", "dvd-gan-k1", 1, {2000: 1.0})
    bare = make_run(tmp_path / "bare")
    out = ("--out", tmp_path / "x.svg")
    for words, said in (
        ((one.path, *out), ("--protocol", "--scalar")),
        ((*out, "--protocol", "fid"), ("RUN",)),
        ((tmp_path / "none", *out, "--protocol", "fid"), ("none", "experiment.json")),
        ((one.path, *out, "--protocol", "fvd"), ("no run has a result of 'fvd'",)),
        ((one.path, *out, "--scalar", "loss"), ("no run has logged 'loss'",)),
        ((one.path, two.path, *out, "--protocol", "fid"), ("no step in common",)),
        ((one.path, bare.path, *out, "--protocol", "fid"), ("bare", "nothing of fid")),
        ((one.path, "--out", tmp_path / "x.png", "--protocol", "fid"), ("x.png", ".svg")),
        ((one.path, "--out", tmp_path / "no" / "x.svg", "--protocol", "fid"), ("not a folder",)),
        ((one.path, *out, "--scalar", "loss", "--level", 0), ("--level", "at least 1")),
    ):
        require_one_line(vidgan(capsys, "curves", *words), *said)
        assert not (tmp_path / "x.svg").exists()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("truncation") / "run"
    train = ["train", "demo", "--tiny", "--data", "synthetic", "--workers", "0", "--steps", "2"]
    assert main([*train, "--out", str(out)]) == 0
    return out


@pytest.mark.slow
def test_truncation_curves(run: Path, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "curve.svg"
    options = ("--protocol", "pixel-statistics", "--clips", 6, "--sigmas", 1, 0.25, 0.5, "--figure", target)
    answer = vidgan(capsys, "truncation", run, *options)
    assert answer.status == 0, answer.err
    lines = read_lines(run / "metrics.jsonl")
    sigmas = [line["settings"]["sampling"]["truncation"]["sigma"] for line in lines]
    assert sigmas == [0.25, 0.5, 1.0]
    assert {line["clips"] for line in lines} == {6}
    assert len({line["value"] for line in lines}) == 3
    (dots,) = curves(target.read_text()).values()
    assert [x for x, _ in dots] == sorted(x for x, _ in dots)
    # Greater values stand higher, in proportion.
    values = [line["value"] for line in lines]
    ratio = (dots[1][1] - dots[0][1]) / (dots[2][1] - dots[0][1])
    assert ratio == pytest.approx((values[1] - values[0]) / (values[2] - values[0]), abs=0.02)
    for words, said in (
        (("--sigmas", 1), ("--sigmas", "two or more")),
        (("--sigmas", 1, -1), ("--sigmas", "at least 0")),
        (("--sigma", 0.5), ("leave out --sigma",)),
        (("--protocol", "fdv"), ("'fdv'",)),
        (("--figure", "x.png"), (".svg",)),
    ):
        require_one_line(vidgan(capsys, "truncation", run, "--protocol", "pixel-statistics", *words), *said)
    require_one_line(vidgan(capsys, "truncation", run), "--protocol")
    assert len(read_lines(run / "metrics.jsonl")) == 3
