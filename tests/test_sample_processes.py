"""`vidgan sample` by several processes: together they make the clips, and the statistics, of one."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import catalog
from commands import two_processes, vidgan
from runs import untrained
from vidgan.run.logs import read_lines


@pytest.mark.slow
def test_two_processes_make_the_clips_of_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cascade, whose statistics are not kept yet; 3 clips, which two processes share unevenly."""
    alone = untrained(tmp_path / "alone", catalog.experiments()["demo-cascade"]).path
    shared = shutil.copytree(alone, tmp_path / "shared")
    options = ("--clips", 3, "--format", "npy", "--levels")
    answer = vidgan(capsys, "sample", alone, "--out", tmp_path / "one", *options)
    assert answer.status == 0, answer.err
    done = two_processes("sample", shared, "--out", tmp_path / "two", *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote 3 videos") == 1
    for folder in ("{}", "{}-level1"):
        one, two = (sorted((tmp_path / folder.format(name)).iterdir()) for name in ("one", "two"))
        assert [path.name for path in one] == [path.name for path in two]
        assert len(one) == 3
        for first, second in zip(one, two, strict=True):
            # Statistics are joined in another order: a value may round to the next of 256.
            apart = np.abs(np.load(first).astype(int) - np.load(second).astype(int))
            assert apart.max() <= 1
    tables = [sorted(path.name for path in (run / "statistics").iterdir()) for run in (alone, shared)]
    assert tables[0] == tables[1]
    refused = two_processes("sample", shared, "--out", tmp_path / "three", *options, "--grid")
    assert refused.returncode != 0
    assert "are of one process" in refused.stderr


@pytest.mark.slow
def test_two_processes_measure_and_make_windows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their statistics, which none has kept, are taken by both together."""
    alone = untrained(tmp_path / "alone", catalog.experiments()["demo-cascade"]).path
    shared = shutil.copytree(alone, tmp_path / "shared")
    measured = (
        "--protocol",
        "psd",
        "--positions",
        1,
        2,
        "--data",
        "synthetic",
        "--clips",
        4,
        "--real-clips",
        4,
    )
    window = ("--random-window", "--frames", 4)
    answer = vidgan(capsys, "evaluate", alone, *measured, *window, "--cache", tmp_path / "rows of one")
    assert answer.status == 0, answer.err
    done = two_processes("evaluate", shared, *measured, *window, "--cache", tmp_path / "rows of two")
    assert done.returncode == 0, done.stderr
    refused = two_processes("evaluate", shared, "--protocol", "psd", "--clips", 0)
    assert refused.returncode != 0
    assert refused.stderr.count("--clips must be at least 1") == 1  # one speaks for both
    one, two = (read_lines(run / "metrics.jsonl")[-1] for run in (alone, shared))
    assert two["value"] == pytest.approx(one["value"], rel=1e-3)
    tables = [sorted(path.name for path in (run / "statistics").iterdir()) for run in (alone, shared)]
    assert tables[0] == tables[1]
    made = ("--clips", 3, "--format", "npy", *window)
    assert vidgan(capsys, "sample", alone, "--out", tmp_path / "one", *made).status == 0
    done = two_processes("sample", shared, "--out", tmp_path / "two", *made)
    assert done.returncode == 0, done.stderr
    for path in sorted((tmp_path / "one").iterdir()):
        first, second = np.load(path).astype(int), np.load(tmp_path / "two" / path.name).astype(int)
        assert np.abs(first - second).max() <= 1
