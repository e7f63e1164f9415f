"""Figures of power spectra from results that were measured."""

import json
import math
from pathlib import Path

import pytest

from commands import require_one_line, vidgan
from vidgan.report.figures import spectra


def line(fake: float) -> dict[str, object]:
    """A result of two frames and three rings."""
    return {
        "protocol": "psd",
        "value": 0.5,
        "clips": 4,
        "values": {
            "real": [[9.0, 100.0, 10.0], [9.0, 50.0, 0.0]],
            "real_deviation": [[1.0, 5.0, 2.0], [1.0, 0.0, 0.0]],
            "fake": [[9.0, fake, 1.0], [9.0, fake, 2.0]],
            "fake_deviation": [[0.0] * 3] * 2,
        },
        "settings": {"features": {"positions": [1, 10]}},
    }


def test_a_plot_per_frame_in_logarithms() -> None:
    first, second = spectra(line(1000.0))
    assert (first.title, second.title) == ("frame 1", "frame 10")
    real, fake = first.curves
    assert [(p.x, p.y) for p in real.points] == [(1, 2.0), (2, 1.0)]
    # A deviation of 5 at 100 is one of 5 / (100 ln 10) in decades.
    assert [p.deviation for p in real.points] == pytest.approx([0.05 / math.log(10), 0.2 / math.log(10)])
    assert [p.y for p in fake.points] == pytest.approx([3.0, 0.0])
    assert [p.x for p in second.curves[0].points] == [1]  # no logarithm of nothing


@pytest.mark.slow
def test_the_newest_result_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, out = tmp_path / "clips.metrics.jsonl", tmp_path / "spectra.svg"
    ask = ("plot", "spectra", results, "--out", out)
    require_one_line(vidgan(capsys, *ask), "no results at")
    other = {"protocol": "pixel-statistics", "value": 0.0, "settings": {}, "values": {}}
    results.write_text(json.dumps(other) + "\n")
    require_one_line(vidgan(capsys, *ask), "no result of psd", "--protocol psd")
    results.write_text("".join(json.dumps(each) + "\n" for each in (line(1.0), line(1000.0), other)))
    assert vidgan(capsys, "plot", "spectra", results, "--out", out).status == 0
    drawn = out.read_text()
    results.write_text(json.dumps(line(1000.0)) + "\n")
    again = tmp_path / "again.svg"
    assert vidgan(capsys, "plot", "spectra", results, "--out", again).status == 0
    assert again.read_text() == drawn
    results.write_text(json.dumps(line(1.0)) + "\n")
    assert vidgan(capsys, "plot", "spectra", results, "--out", again).status == 0
    assert again.read_text() != drawn
    require_one_line(
        vidgan(capsys, "plot", "spectra", results, "--out", tmp_path / "a.eps"), ".svg, .pdf or .png"
    )
