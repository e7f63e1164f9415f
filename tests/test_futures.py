"""Best of several predictions frame by frame, the copy baseline, and several windows of a video."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from commands import require_one_line, vidgan
from runs import make_run
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.data.window import WindowSpec
from vidgan.evaluation.clips import CopiedClips, DataClips
from vidgan.evaluation.metrics.frames import ssim
from vidgan.evaluation.protocols.base import Draw, Table
from vidgan.evaluation.protocols.metrics import BestFuture, shown
from vidgan.evaluation.protocols.pixels import copied_ssim
from vidgan.presets import preset
from vidgan.report.figures import best_of
from vidgan.run.logs import read_lines
from vidgan.run.tiny import tiny

Capture = pytest.CaptureFixture[str]
DATA = SyntheticDataset(SyntheticSpec(size=16, frames=10, clips=3))


def starts(frames: int, draw: Draw) -> list[tuple[int, int]]:
    """(video, first frame) of every clip, found by its pixels."""
    clips = DataClips(DATA, WindowSpec(size=16, frames=frames), draw, 0)
    found = []
    for video in clips.read(range(clips.count)).videos:
        found += [
            (index, start)
            for index in range(len(DATA))
            for start in range(10 - frames + 1)
            if np.array_equal(video, DATA.read(index, start, frames))
        ]
    assert len(found) == clips.count, "every clip is a window of its own"
    return found


def test_windows_spread_over_each_video_and_first_ones_come_first() -> None:
    assert starts(4, Draw()) == [(0, 0), (1, 0), (2, 0)]
    assert starts(4, Draw(windows=3)) == [(i, s) for s in (0, 3, 6) for i in range(3)]
    assert starts(4, Draw(windows=3, count=5)) == [(0, 0), (1, 0), (2, 0), (0, 3), (1, 3)]
    assert starts(4, Draw(windows=3, count=2)) == [(0, 0), (1, 0)]
    # A video has no more windows than places for them.
    assert starts(9, Draw(windows=5)) == [(i, s) for s in (0, 1) for i in range(3)]
    drawn = starts(4, Draw(windows=3, random_start=True))
    assert [index for index, _ in drawn] == [0, 1, 2] * 3
    assert drawn[:3] == starts(4, Draw(random_start=True))
    assert len({start for _, start in drawn}) > 1


def test_copies_repeat_the_last_given_frame() -> None:
    given = DataClips(DATA, WindowSpec(size=16, frames=6), Draw(), 0)
    whole = CopiedClips(given, 4, 2, True, 6).read(range(4))
    for i in range(4):
        real = DATA.read(i % 3, 0, 6)
        assert np.array_equal(whole.videos[i], real[[0, 1, 1, 1, 1, 1]])
        assert whole.truth is not None
        assert np.array_equal(whole.truth[i], real)
    later = CopiedClips(given, 3, 2, False, 3).read(range(1, 3))
    assert np.array_equal(later.videos[0], DATA.read(1, 1, 1).repeat(3, axis=0))
    assert later.truth is not None
    assert np.array_equal(later.truth[0], DATA.read(1, 2, 3))
    assert later.given is not None
    assert later.given.shape == (2, 2, 16, 16, 3)


def test_ssim_of_copies_is_that_of_each_clip() -> None:
    clips = np.stack([DATA.read(i, 0, 5) for i in (0, 0, 1, 2)])
    found = copied_ssim(clips[:, :2], clips[:, 2:])
    for i, video in enumerate(clips):
        expected = [float(ssim(video[1], frame)) for frame in video[2:]]
        np.testing.assert_allclose(found[i], expected, atol=1e-12)


def test_curves_of_the_best_of_the_first_futures() -> None:
    assert [shown(n) for n in (1, 3, 10, 100, 25)] == [[1], [1, 3], [1, 10], [1, 10, 100], [1, 10, 25]]
    rng = np.random.default_rng(0)
    scores, copied = rng.uniform(size=(4, 12, 3)), rng.uniform(size=(4, 3))
    rows = {"ssim": scores.reshape(48, 3), "copied": copied.repeat(12, axis=0)}
    result = BestFuture(futures=12).against(None)(Table(rows, np.zeros(48, np.int64), ("all",)))
    assert list(result.values["best_of"]) == ["1", "10", "12"]
    for name, curve in result.values["best_of"].items():
        best = [max(clip[: int(name)], key=lambda future: future.mean()) for clip in scores]
        np.testing.assert_allclose(curve, np.mean(best, axis=0))
    assert result.values["per_frame"] == result.values["best_of"]["12"]
    np.testing.assert_allclose(result.values["copy_last_per_frame"], copied.mean(0))
    assert result.values["copy_last"] == pytest.approx(copied.mean())


def test_the_figure(tmp_path: Path, capsys: Capture) -> None:
    run = make_run(tmp_path / "run")
    out = tmp_path / "figure.svg"
    require_one_line(vidgan(capsys, "plot", "futures", run.path, "--out", out), "no results")
    line = {"protocol": "ssim-best-of-100", "value": 0.6, "step": 7, "clips": 5, "settings": {}, "values": {}}
    run.metrics.append(line)
    require_one_line(
        vidgan(capsys, "plot", "futures", run.path, "--out", out), "no result of ssim-best-of-100"
    )
    curves = {"best_of": {"1": [0.5, 0.25], "10": [0.75, 0.5]}, "copy_last_per_frame": [0.25, 0.0]}
    run.metrics.append({**line, "values": curves})
    answer = vidgan(capsys, "plot", "futures", run.path, "--out", out)
    assert answer.status == 0, answer.err
    assert "best of 10: 0.6250" in answer.out
    assert ElementTree.fromstring(out.read_text()).tag.endswith("svg")
    plot = best_of("run", {**line, "values": curves})
    assert plot.title == "run, step 7, 5 clips"
    assert {curve.name: [(p.x, p.y, p.deviation) for p in curve.points] for curve in plot.curves} == {
        "best of 1": [(1, 0.5, None), (2, 0.25, None)],
        "best of 10": [(1, 0.75, None), (2, 0.5, None)],
        "copy of the last given frame": [(1, 0.25, None), (2, 0.0, None)],
    }


def test_copies_are_measured_without_a_model(tmp_path: Path, capsys: Capture) -> None:
    experiment = tiny(preset("trivd-gan-fp-k600-16x64")).replace(name="untrained")
    run = make_run(tmp_path / "run", experiment, classes=("all",))
    measure = ("evaluate", run.path, "--data", "synthetic", "--clips", 3, "--copy-last")
    answer = vidgan(capsys, *measure, "--protocol", "frechet-random", "ssim-best-of-100", "--real-clips", 9)
    assert answer.status == 0, answer.err
    assert answer.out.count("(3 clips, copies of the last given frame, seed 0)") == 2
    assert not run.metrics.path.exists()
    frechet, similar = read_lines(run.path / "copy-last.metrics.jsonl")
    assert frechet["settings"]["sampling"] is None
    assert frechet["step"] is None
    assert frechet["evaluated"]["copies"] == 2
    assert similar["value"] == pytest.approx(similar["values"]["copy_last"])
    assert similar["settings"]["metric"]["futures"] == 1
    assert vidgan(capsys, "compare", run.path / "copy-last.metrics.jsonl").status == 0
    plain = make_run(tmp_path / "plain")
    answer = vidgan(capsys, "evaluate", plain.path, "--copy-last", "--protocol", "frechet-random")
    require_one_line(answer, "--copy-last")
    np.save(tmp_path / "a.npy", np.zeros((1, 3, 16, 16, 3), np.uint8))
    files = vidgan(capsys, "evaluate", tmp_path / "a.npy", "--copy-last", "--protocol", "frechet-random")
    require_one_line(files, "--copy-last")
