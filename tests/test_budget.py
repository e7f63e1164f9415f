"""``vidgan train --budget-hours``: steps that fit into a time, measured once (Luc et al. 2020, 4.2)."""

import json
from pathlib import Path

import pytest
import torch

from commands import require_one_line, vidgan
from vidgan.errors import UserError
from vidgan.presets import preset
from vidgan.report.page import write_report
from vidgan.run.directory import Budget
from vidgan.run.distributed import Replicas
from vidgan.train import budget

Capture = pytest.CaptureFixture[str]
HOURS = 0.0001
COMMAND = ("train", "demo", "--tiny", "--data", "synthetic", "--workers", 0, "--reporting.tick", 1000)


class Clock:
    """A clock that only steps of :class:`Slow` move."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_the_mean_is_over_warm_steps_of_thirty_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    class Slow:
        def __init__(self, *args: object, **named: object) -> None:
            self.steps = 0

        def step(self) -> None:
            self.steps += 1
            clock.now += 50 if self.steps <= 2 else 4

    monkeypatch.setattr(budget, "time", clock)
    monkeypatch.setattr(budget, "DryRun", Slow)
    cpu = torch.device("cpu")
    found = budget.measure_budget(preset("demo"), 1.5, Replicas(), cpu)
    assert found == Budget(hours=1.5, step_seconds=4.0, measured=8)  # 32 seconds are the first beyond 30
    assert found.steps == 1350
    brief = budget.measure_budget(preset("demo"), 7 / 3600, Replicas(), cpu)
    assert (brief.measured, brief.steps) == (2, 1)
    assert Budget(hours=0.001, step_seconds=60.0, measured=1).steps == 1


def test_a_cascade_has_no_budget() -> None:
    with pytest.raises(UserError, match="one level and ssw-gan-k600-48x128 has 2"):
        budget.measure_budget(preset("ssw-gan-k600-48x128"), 1.0, Replicas(), torch.device("cpu"))


@pytest.mark.slow
def test_a_run_keeps_its_number_of_steps(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    timed = (*COMMAND, "--out", out, "--budget-hours", HOURS)
    answer = vidgan(capsys, *timed)
    assert answer.status == 0, answer.err
    record = json.loads((out / "experiment.json").read_text())
    known = record["budget"]
    assert known["hours"] == HOURS
    steps = max(1, int(3600 * HOURS / known["step_seconds"]))
    assert record["experiment"]["training"]["steps"] == steps
    assert f"{steps} steps fit" in answer.out
    page = write_report(out).read_text()
    assert f"(mean of {known['measured']}, reading data left out): {steps} step" in page

    monkeypatch.setattr("vidgan.cli.train.measure_budget", lambda *given: pytest.fail("measured again"))
    again = vidgan(capsys, *timed, "--resume")
    assert again.status == 0, again.err
    assert f"finished at step {steps}" in again.out
    assert json.loads((out / "experiment.json").read_text()) == record
    require_one_line(vidgan(capsys, *timed), "not empty")
    other = (*COMMAND, "--out", out, "--resume", "--budget-hours", 2)
    require_one_line(vidgan(capsys, *other), "--budget-hours 0.0001", "--steps")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--budget-hours", 0), ("--budget-hours", "above 0")),
        (("--budget-hours", 1, "--steps", 3), ("--steps and --budget-hours",)),
        (("--budget-hours", 1, "--levels.0.steps", 3), ("--levels.0.steps and --budget-hours",)),
    ],
)
def test_impossible_budgets(
    tmp_path: Path, capsys: Capture, options: tuple[object], words: tuple[str]
) -> None:
    require_one_line(vidgan(capsys, *COMMAND, "--out", tmp_path / "run", *options), *words)
    assert not (tmp_path / "run").exists()
