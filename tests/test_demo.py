"""``vidgan demo``: the tour, in two processes as on any machine with two cores; stopped, and gone on with."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from commands import ENVIRONMENT


def start(out: Path, *args: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "vidgan", "demo", "--out", str(out), *args]
    return subprocess.Popen(
        command, env=ENVIRONMENT | {"OMP_NUM_THREADS": "2"}, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_the_tour_is_stopped_and_gone_on_with(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    first = start(out, "--minutes", "5")
    assert first.stdout is not None
    seen = next(line for line in first.stdout if "step 25 " in line)
    assert "clips/s" in seen
    first.send_signal(signal.SIGTERM)
    said, _ = first.communicate(timeout=60)
    assert first.returncode == 0
    assert "resume with --resume" in said
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    stopped_at = log[-1]["step"]

    second = start(out, "--resume", "--minutes", "0.02")
    said, _ = second.communicate(timeout=300)
    assert second.returncode == 0
    assert f"resumes at step {stopped_at}" in said
    assert f"vidgan sample {out}" in said
    record = json.loads((out / "experiment.json").read_text())
    assert [record["processes"], *(resumed["processes"] for resumed in record["resumed"])] == [2, 2]
    batch = record["experiment"]["training"]["batch"]
    assert (batch["micro_batch"], batch["global_batch"]) == (8, 16)
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["protocol"] for line in metrics] == [
        "oracle-accuracy",
        "oracle-variety",
        "pixel-statistics",
    ]
    assert metrics[0]["clips"] == 512
    assert (out / "report.html").stat().st_size > 10_000
    assert len(list((out / "samples" / "classes").glob("*/fake-*.webp"))) == 32
