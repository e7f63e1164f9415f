"""The table that ``make bench`` ends in has the numbers that its scripts printed."""

import subprocess
import sys
from pathlib import Path

import pytest

from interleaved import Result, Row, rows_of, show

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
PRINTED = """vidgan 0.1, torch 2.13.0; CPU

a step of demo, 8 clips (medians of 9 interleaved rounds)
                 ms   clips/s   ratio  least-most
  before    101.000      79.2    1.00  1.00-1.00
  now        88.596      90.3    0.88  0.73-0.92  a remark (of two words)

something else
  planned 3.0 MiB

reading (medians of 1 interleaved rounds)
                       ms   ratio  least-most
  jpeg, 2 workers   0.930    1.00  1.00-1.00
"""


def test_rows_are_read_from_what_is_printed() -> None:
    assert [tuple(row) for row in rows_of(PRINTED)] == [
        ("a step of demo, 8 clips", "before", 101.0, 1.0, 1.0, 1.0),
        ("a step of demo, 8 clips", "now", 88.596, 0.88, 0.73, 0.92),
        ("reading", "jpeg, 2 workers", 0.93, 1.0, 1.0, 1.0),
    ]


def test_a_shown_table_is_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    show(
        "steps",
        [Result("a", [1, 2, 4], [1, 1, 1]), Result("b, of two", [0.5, 1, 2], [0.5, 0.25, 1])],
        items=8,
        notes=["", "so"],
    )
    assert rows_of(capsys.readouterr().out) == [
        Row("steps", "a", 2000, 1, 1, 1),
        Row("steps", "b, of two", 1000, 0.5, 0.25, 1),
    ]


def test_a_shown_row_of_minutes_is_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    show("steps", [Result("full width, 2", [120.0], [1])], items=12)
    show("steps", [Result("many clips", [1e-5], [1])], items=12_000)
    assert [tuple(row)[1:4] for row in rows_of(capsys.readouterr().out)] == [
        ("full width, 2", 120_000, 1),
        ("many clips", 0.01, 1),
    ]


@pytest.mark.long
@pytest.mark.slow
def test_a_script_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    """Medians of no rounds are an error in each."""
    only = ["bench_norm", "bench_recurrent"]
    command = [sys.executable, str(BENCHMARKS / "run_all.py"), "--only", *only, "--rounds", "0"]
    done = subprocess.run([*command, "--out", str(tmp_path / "bench.md")], capture_output=True, text=True)
    assert done.returncode == 1
    assert "| bench_norm.py | **ended with status 1** |" in (tmp_path / "bench.md").read_text()
    assert "| bench_recurrent.py | **ended with status 1** |" in (tmp_path / "bench.md").read_text()
    assert "Traceback" not in (tmp_path / "bench.md").read_text()
