"""Kills a training run with kill -9 at random moments until it ends, and compares it with one that was not.

``python tests/kills.py --kills 20`` does it at twenty moments; the tests do a few.
"""

import argparse
import json
import random
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from commands import start
from vidgan.run.checkpoints import checkpoint_path, load, steps_of
from vidgan.run.logs import read_lines

Command = Sequence[object]
"""what stands behind ``vidgan``, without --out and --resume"""


def command(steps: int) -> Command:
    """Training with clips from a worker; ticks, checkpoints and samples fall at different steps."""
    options = ("--reporting.tick", 3, "--reporting.checkpoint", 4, "--reporting.samples", 5)
    return ("train", "demo", "--tiny", "--data", "synthetic", "--steps", steps, *options)


def train(args: Command, out: Path, step: int | None = None, moment: float = 0.0) -> int:
    """Start or resume in a process of its own; kill it ``moment`` seconds after it first touched the run and logged
    ``step`` or a later one."""
    before = touched(out)
    process = start(*args, "--out", out, "--resume", "auto")
    if step is not None:
        while process.poll() is None and (touched(out) == before or last_step(out) < step):
            time.sleep(0.005)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
    _, err = process.communicate(timeout=240)
    assert step is not None or process.returncode == 0, err
    return process.returncode


def last_step(out: Path) -> int:
    """The last step in a run's log; 0 where there is none yet."""
    try:
        lines = (out / "log.jsonl").read_text().splitlines()
        return int(json.loads(lines[-1])["step"]) if lines else 0
    except (OSError, ValueError):  # not there, or half a line
        return 0


def touched(out: Path) -> set[tuple[str, int]]:
    """Names of all files of a run, with the times of their last change."""
    found = set()
    for path in out.rglob("*"):
        try:
            found.add((str(path), path.stat().st_mtime_ns))
        except OSError:  # renamed meanwhile
            continue
    return found


def final(out: Path) -> dict[str, torch.Tensor]:
    """All state in a run's newest checkpoint."""
    folder = out / "checkpoints"
    return load(checkpoint_path(folder, 1, steps_of(folder, 1)[-1])).tensors


def logged(out: Path) -> list[dict[str, object]]:
    """The log without what no run repeats."""
    return [{k: v for k, v in line.items() if k != "seconds"} for line in read_lines(out / "log.jsonl")]


def require_same(whole: Path, broken: Path, steps: int) -> None:
    """Weights and all other state are equal bit for bit; the log has no gap, no repeat and no half line."""
    expected, seen = final(whole), final(broken)
    assert steps_of(broken / "checkpoints", 1)[-1] == steps
    assert expected.keys() == seen.keys()
    assert all(torch.equal(expected[name], seen[name]) for name in expected)
    assert (broken / "log.jsonl").read_bytes().endswith(b"\n")
    assert logged(broken) == logged(whole)
    left = [path.name for path in broken.rglob(".*") if path.name.startswith(".experiment")]
    assert left == []


def kill_often(folder: Path, kills: int, steps: int, seed: int) -> list[int]:
    """Kill a run of ``steps`` steps ``kills`` times; the steps of its newest checkpoint at each blow.

    Each falls at a random step of its own part of the run and up to 0.3 seconds later, or soon after the start where
    that step is made already. A run that ends between two blows is started over, so that each falls on one that works.
    """
    whole, chance, struck, round_ = folder / "whole", random.Random(seed), [], 0
    train(command(steps), whole)
    while len(struck) < kills:
        broken, ended = folder / f"broken-{round_}", False
        while len(struck) < kills and not ended:
            step = (steps * len(struck) + chance.randrange(steps)) // kills  # one in each part of the run
            moment = chance.uniform(0, 0.3)
            ended = train(command(steps), broken, step, moment) != -signal.SIGKILL
            if not ended:
                struck.append(max(steps_of(broken / "checkpoints", 1), default=0))
        train(command(steps), broken)
        require_same(whole, broken, steps)
        round_ += 1
    return struck


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        places = kill_often(Path(name), given.kills, given.steps, given.seed)
    print(f"{len(places)} kills, at checkpoints {places}: weights bit-equal, logs whole")
