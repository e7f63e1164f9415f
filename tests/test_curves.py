"""Figures: what stands in them against numbers from elsewhere, and whole files in three formats."""

import math
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.collections import FillBetweenPolyCollection, LineCollection
from matplotlib.figure import Figure
from PIL import Image

from commands import require_one_line, vidgan
from runs import make_run, tick, write_log
from vidgan.cli import main
from vidgan.errors import UserError
from vidgan.presets import preset
from vidgan.report import figures
from vidgan.report.compare import group, mean_curve
from vidgan.report.figures import SUFFIXES, Curve, Plot, Point, draw, save
from vidgan.run.directory import RunDirectory
from vidgan.run.logs import read_lines

Capture = pytest.CaptureFixture[str]
Points = list[tuple[float, float]]


def run_of(path: Path, name: str, seed: int, values: dict[int, float], **settings: object) -> RunDirectory:
    """A run with results of a protocol by step."""
    experiment = preset(name)
    run = make_run(path, experiment.replace(training=experiment.training.replace(seed=seed)))
    for step, value in values.items():
        kept = {"is": "Protocol", "clips": 16, "seed": 0, "sigma": 1.0} | settings
        run.metrics.append({"protocol": "fid", "value": value, "step": step, "seed": 0, "settings": kept})
    return run


def legend(figure: Figure) -> list[str]:
    (found,) = figure.legends
    return [text.get_text() for text in found.get_texts()]


def lines(figure: Figure) -> list[dict[str, Points]]:
    """Per plot, the places of every line's points in data coordinates, by the name that the legend has for its look."""
    (found,) = figure.legends
    names = {
        str(handle.get_color()): text.get_text()  # type: ignore[union-attr]
        for handle, text in zip(found.legend_handles, found.get_texts(), strict=True)
    }
    return [
        {
            names[str(line.get_color())]: [(float(x), float(y)) for x, y in line.get_xydata()]
            for line in axes.get_lines()
            if len(line.get_xydata()) and line.get_linestyle() != "None"
        }
        for axes in figure.axes
    ]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures that are drawn during a test, for what cannot be read from a file."""
    made: list[Figure] = []

    def watched(plots: Sequence[Plot]) -> Figure:
        made.append(draw(plots))
        return made[-1]

    monkeypatch.setattr(figures, "draw", watched)
    return made


RISING = Curve("rising", [Point(0, 1, 0.5), Point(10, 2, None), Point(20, 4, 0.25)])


def test_lines_and_error_bars_stand_at_the_values() -> None:
    figure = draw([Plot("a & b", "step", "value", [RISING, Curve("flat <1>", [Point(20, 1, None)])])])
    (found,) = lines(figure)
    assert found == {"rising": [(0, 1), (10, 2), (20, 4)], "flat <1>": [(20, 1)]}
    (axes,) = figure.axes
    (bars,) = [each for each in axes.collections if isinstance(each, LineCollection)]
    np.testing.assert_allclose(bars.get_segments(), [[(0, 0.5), (0, 1.5)], [(20, 3.75), (20, 4.25)]])
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("a & b", "step", "value")


def test_many_points_have_a_band() -> None:
    points = [Point(x, math.sin(x), 0.5 + x) for x in range(100)]
    figure = draw([Plot("t", "x", "y", [Curve("c", points)])])
    (band,) = figure.axes[0].collections
    assert isinstance(band, FillBetweenPolyCollection)
    corners = {(round(float(x), 6), round(float(y), 6)) for x, y in band.get_paths()[0].vertices}
    for x in range(100):
        for sign in (-1, 1):
            assert (x, round(math.sin(x) + sign * (0.5 + x), 6)) in corners
    assert lines(figure) == [{"c": [(x, pytest.approx(math.sin(x))) for x in range(100)]}]


def test_a_name_looks_alike_in_every_plot_and_stands_once_below() -> None:
    flat = Curve("flat", [Point(0, 1, None), Point(5, 1, None)])
    figure = draw([Plot("one", "x", "y", [RISING, flat]), Plot("two", "x", "y", [flat])])
    assert legend(figure) == ["rising", "flat"]
    assert lines(figure)[1] == {"flat": [(0, 1), (5, 1)]}
    assert (
        len({line.get_marker() for line in figure.axes[0].get_lines()[:1] + figure.axes[1].get_lines()}) == 2
    )
    three = draw([Plot(name, "x", "y", [flat]) for name in "abc"])
    assert [axes.get_title() for axes in three.axes] == ["a", "b", "c"]


NAMES = ("_first", "<script>alert(1)</script>", "[bold]$x^$", 'a & "b" -- c')
ODD = [Plot(name, "step", "value", [Curve(name, RISING.points)]) for name in NAMES]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_are_whole(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    save(file, ODD)
    content = file.read_bytes()
    if suffix == ".svg":
        assert ElementTree.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"
        assert b"<script" not in content
        addresses = re.findall(rb'(?:href|src)="([^"#][^"]*)"|url\((?!#)|@import', content)
        assert addresses == [], "nothing is fetched"
    elif suffix == ".pdf":
        assert content.startswith(b"%PDF-")
        assert content.rstrip().endswith(b"%%EOF")
        start = int(re.findall(rb"startxref\s+(\d+)", content)[-1])
        assert content[start:].startswith(b"xref")
        assert b"/Type3" not in content
        assert b"/CIDFontType2" in content
    else:
        with Image.open(file) as image:
            assert image.format == "PNG"
            image.load()
            assert len(image.convert("L").getcolors(1 << 20) or []) > 10
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.slow
def test_another_process_draws_the_same_files(tmp_path: Path) -> None:
    drawing = (
        "import sys; from pathlib import Path; from vidgan.report.figures import *\n"
        f"for suffix in SUFFIXES: save(Path(sys.argv[1]) / f'b{{suffix}}', {ODD!r})"
    )
    subprocess.run([sys.executable, "-c", drawing, tmp_path], check=True)
    for suffix in SUFFIXES:
        save(tmp_path / f"a{suffix}", ODD)
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_names_are_shown_as_they_are() -> None:
    names = ["_first", "[bold]$x^$", "$x$", "a\\b{"]
    figure = draw([Plot("$t$", "x", "y", [Curve(name, RISING.points) for name in names])])
    assert legend(figure) == names
    texts = [*figure.legends[0].get_texts(), figure.axes[0].title]
    assert [text.get_parse_math() for text in texts] == [False] * 5, "dollars are no formula"


def test_a_file_that_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plots = [Plot("t", "x", "y", [RISING])]
    with pytest.raises(UserError, match=r"x\.gif must end in \.svg, \.pdf or \.png"):
        save(tmp_path / "x.gif", plots)
    with pytest.raises(UserError, match="is not a folder"):
        save(tmp_path / "none" / "x.svg", plots)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"pip install 'vidgan\[plot\]'"):
        save(tmp_path / "x.svg", plots)
    assert list(tmp_path.iterdir()) == []


def test_truncation_curves_leave_out_what_is_not_finite() -> None:
    results: list[tuple[float, dict[str, Any]]] = [
        (1.0, {"protocol": "fid", "value": 3.0, "deviation": {"value": 0.5}}),
        (0.5, {"protocol": "fid", "value": 2.0}),
        (0.5, {"protocol": "fvd", "value": 7.0}),
        (0.2, {"protocol": "fid", "value": None}),
    ]
    fid, fvd = figures.truncation("run", results)
    assert (fid.title, fvd.title) == ("fid", "fvd")
    assert fid.curves == [Curve("run", [Point(0.5, 2.0, None), Point(1.0, 3.0, 0.5)])]
    with pytest.raises(UserError, match="nothing to draw"):
        figures.truncation("run", results[3:])


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


@pytest.mark.slow
def test_the_command_draws_figure_7(tmp_path: Path, capsys: Capture, drawn: list[Figure]) -> None:
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
    target = tmp_path / "figure7.pdf"
    wanted = ("--protocol", "fid", "--scalar", "loss/generator", "--out", target)
    answer = vidgan(capsys, "plot", "curves", *paths, *wanted)
    assert answer.status == 0, answer.err
    said = answer.out.splitlines()
    assert "left out 1 of 7 results of fid: sigma: 1.0 -> 0.5" in said
    assert "fid, dvd-gan-k1 (2 runs): 2.5 ± 0.71 at step 2,000" in said
    assert "fid, dvd-gan-k8: 1 at step 2,000" in said
    assert "loss/generator, dvd-gan-k8: 201 at step 200" in said
    assert target.read_bytes().startswith(b"%PDF")
    (figure,) = drawn
    assert lines(figure) == [
        {"dvd-gan-k1 (2 runs)": [(1000, 4.5), (2000, 2.5)], "dvd-gan-k8": [(1000, 3.0), (2000, 1.0)]},
        {"dvd-gan-k1 (2 runs)": [(100, 102.5), (200, 202.5)], "dvd-gan-k8": [(100, 101.0), (200, 201.0)]},
    ]
    (bars,) = [each for each in figure.axes[0].collections if isinstance(each, LineCollection)]
    spread = np.std([4.0, 5.0], ddof=1), np.std([3.0, 2.0], ddof=1)
    lengths = [np.ptp(segment[:, 1]) for segment in np.asarray(bars.get_segments())]
    np.testing.assert_allclose(lengths, [2 * each for each in spread])


def test_normalised_curves_go_from_the_lowest_to_the_highest(
    tmp_path: Path, capsys: Capture, drawn: list[Figure]
) -> None:
    """SSW-GAN, Figure 6: 1 is the highest of all runs and 0 the lowest; what is printed stays as measured."""
    runs = [
        run_of(tmp_path / "a", "dvd-gan-k1", 0, {1000: 2.0, 2000: 4.0}).path,
        run_of(tmp_path / "b", "dvd-gan-k8", 0, {1000: 10.0, 2000: 3.0}).path,
    ]
    command = ["plot", "curves", *runs, "--protocol", "fid", "--normalise", "--out", tmp_path / "x.svg"]
    answer = vidgan(capsys, *command)
    assert answer.status == 0, answer.err
    assert "fid, dvd-gan-k8: 3 at step 2,000" in " ".join(answer.out.split())
    (found,) = lines(drawn[0])
    assert found == {"dvd-gan-k1": [(1000, 0.0), (2000, 0.25)], "dvd-gan-k8": [(1000, 1.0), (2000, 0.125)]}
    level = figures.normalised(Plot("t", "x", "y", [RISING]))
    assert level.curves[0].points[2] == Point(20, 1.0, pytest.approx(0.25 / 3))
    flat = run_of(tmp_path / "flat", "dvd-gan-k2", 0, {1000: 1.0}).path
    command = ["plot", "curves", flat, "--protocol", "fid", "--normalise", "--out", tmp_path / "y.svg"]
    require_one_line(vidgan(capsys, *command), "fid is 1 everywhere")
    assert not (tmp_path / "y.svg").exists()


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
        ((one.path, "--out", tmp_path / "x.jpg", "--protocol", "fid"), ("x.jpg", ".svg, .pdf or .png")),
        ((one.path, "--out", tmp_path / "no" / "x.svg", "--protocol", "fid"), ("not a folder",)),
        ((one.path, *out, "--scalar", "loss", "--level", 0), ("--level", "at least 1")),
    ):
        require_one_line(vidgan(capsys, "plot", "curves", *words), *said)
        assert not (tmp_path / "x.svg").exists()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("truncation") / "run"
    train = ["train", "demo", "--tiny", "--data", "synthetic", "--workers", "0", "--steps", "2"]
    assert main([*train, "--out", str(out)]) == 0
    return out


@pytest.mark.slow
def test_truncation_curves(run: Path, tmp_path: Path, capsys: Capture, drawn: list[Figure]) -> None:
    target = tmp_path / "curve.svg"
    options = ("--protocol", "pixel-statistics", "--clips", 6, "--sigmas", 1, 0.25, 0.5, "--out", target)
    answer = vidgan(capsys, "plot", "truncation", run, *options)
    assert answer.status == 0, answer.err
    results = read_lines(run / "metrics.jsonl")
    sigmas = [line["settings"]["sampling"]["truncation"]["sigma"] for line in results]
    assert sigmas == [0.25, 0.5, 1.0]
    assert {line["clips"] for line in results} == {6}
    assert len({line["value"] for line in results}) == 3
    assert target.is_file()
    (figure,) = drawn
    assert lines(figure) == [{"run": [(s, r["value"]) for s, r in zip(sigmas, results, strict=True)]}]
    (bars,) = [each for each in figure.axes[0].collections if isinstance(each, LineCollection)]
    lengths = [np.ptp(segment[:, 1]) for segment in np.asarray(bars.get_segments())]
    np.testing.assert_allclose(lengths, [2 * line["deviation"]["value"] for line in results])
    for words, said in (
        (("--sigmas", 1), ("--sigmas", "two or more")),
        (("--sigmas", 1, -1), ("--sigmas", "at least 0")),
        (("--sigma", 0.5), ("leave out --sigma",)),
        (("--protocol", "fdv"), ("'fdv'",)),
        (("--out", "x.gif"), (".svg",)),
    ):
        require_one_line(
            vidgan(capsys, "plot", "truncation", run, "--protocol", "pixel-statistics", *words), *said
        )
    require_one_line(vidgan(capsys, "plot", "truncation", run), "--protocol")
    assert len(read_lines(run / "metrics.jsonl")) == 3
