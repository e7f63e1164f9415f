"""Faults of one process among several that train together, on this machine, over gloo.

As a program it kills processes at random moments and lets torchrun start them again, until the run is finished:

    python tests/rank_faults.py --kills 20 --processes 4 --out build/kills
"""

import argparse
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from torch import Tensor

STEPS = 3


def environment() -> dict[str, str]:
    """One thread per process; torch does not warn of what is done to processes, as by ``vidgan``."""
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR", "PYTHONPATH": os.pathsep.join(paths)}
    return os.environ | own


# One process of a case


def work(case: str, at: int, out: Path) -> int:
    """Train as the process that the environment says, with the fault ``case`` in process ``at``."""
    from test_ending import data, experiment
    from vidgan.cli import told
    from vidgan.run import shared
    from vidgan.run.distributed import ending_together, join_replicas
    from vidgan.train import alike
    from vidgan.train import begin as module
    from vidgan.train.callbacks import Callback, TrainContext
    from vidgan.train.trainer import Trainer

    class Faulty(Callback):
        """Does something wrong in the second step."""

        def on_step(self, trainer: TrainContext, scalars: Mapping[str, Tensor]) -> None:
            if trainer.state.steps != 2:
                return
            if case == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            elif case == "stopped":
                os.kill(os.getpid(), signal.SIGSTOP)
            elif case == "stands":
                with trainer.replicas.during("looking"):
                    time.sleep(1e6)
            elif case == "bug":
                raise ValueError("a fault in a callback")
            elif case == "disk":
                raise OSError(errno.ENOSPC, "No space left on device", "checkpoint")

    try:
        replicas = join_replicas(stall=20.0, idle=15.0)
        with ending_together(replicas):
            faulty = replicas.rank == at
            asked = experiment()
            batch = asked.training.batch.replace(global_batch=replicas.size)
            asked = asked.replace(training=asked.training.replace(steps=STEPS, batch=batch))
            clips = data(asked)
            if faulty and case == "data":
                clips = type(clips)(clips.spec.replace(clips=6))
            if faulty and case == "code":
                alike.package_hash = lambda: "another"
            if faulty and case == "apart":  # a disk that is not shared
                shared.PATIENCE, out = 1.0, out.with_name("elsewhere")
            if faulty and case == "checkpoint":
                found = SimpleNamespace(path=Path("level1-step00000007.safetensors"))
                module.latest = lambda folder, level: found
            trainer = Trainer(
                asked, clips, out, device="cpu", workers=0, progress=False, replicas=replicas,
                callbacks=[Faulty()] if faulty else [],
            )  # fmt: skip
            if faulty and case == "hung":
                trainer.step = lambda monitor=None: time.sleep(1e6)
            trainer.fit()
    except Exception as error:
        return told(error)
    return 0


def run_case(case: str, processes: int, at: int, out: Path, timeout: float = 240) -> list[tuple[int, str]]:
    """What every process of a case ended with: status and words on standard error.

    Args:
        at: the process that the fault is in.
    """
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        each = []
        for rank in range(processes):
            place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
            own = environment() | {name: str(value) for name, value in place.items()}
            command = [sys.executable, __file__, "--case", case, "--at", str(at), "--out", str(out)]
            with open(Path(folder) / str(rank), "w") as file:
                each.append(subprocess.Popen(command, env=own | {"MASTER_ADDR": "127.0.0.1"}, stderr=file))
        end = time.monotonic() + timeout
        try:
            awaited = [n for n in range(processes) if (case, n) != ("stopped", at)]
            for number in awaited:
                each[number].wait(max(1.0, end - time.monotonic()))
        finally:
            for process in each:
                process.kill()
        return [(process.wait(), (Path(folder) / str(rank)).read_text()) for rank, process in enumerate(each)]


def free_port() -> int:
    """A port that nothing listens at."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


# Random kills


def train_through_kills(
    kills: int, processes: int, out: Path, steps: int, longest: float, rng: random.Random
) -> int:
    """Train a run of ``steps`` steps under torchrun while processes are killed; how often one was, until it ended."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"),
        *("--max-restarts=1000", "-m", "vidgan", "train", "demo", "--tiny", "--data", "synthetic"),
        *("--out", str(out), "--resume", "auto", "--workers", "0", "--steps", str(steps)),
        *("--training.batch.global-batch", str(processes + 1), "--training.batch.sync-batch-norm", "True"),
        *("--reporting.tick", "1", "--reporting.checkpoint", "1", "--reporting.samples", "1000"),
    ]
    done = 0
    with open(out.with_suffix(".log"), "w") as log:
        launcher = subprocess.Popen(command, env=environment(), stdout=log, stderr=log)
        try:
            while launcher.poll() is None:
                wait = rng.uniform(1, longest)
                # Half of them at any time, most of which is that of starting; half soon after another step.
                had, soon = len(steps_logged(out)), rng.random() < 0.5
                while soon and launcher.poll() is None and len(steps_logged(out)) == had:
                    time.sleep(0.2)
                wait = wait / 10 if soon else wait
                end = time.monotonic() + wait
                while launcher.poll() is None and time.monotonic() < end:
                    time.sleep(0.2)
                if done < kills and (workers := children(launcher.pid)):
                    victim = rng.choice(workers)
                    os.kill(victim, signal.SIGKILL)
                    done += 1
                    print(f"kill {done}: after {wait:.1f} s, steps logged {steps_logged(out)}", flush=True)
        finally:
            launcher.terminate()
        if launcher.wait() != 0:
            raise SystemExit(f"torchrun ended with status {launcher.returncode}: see {log.name}")
    return done


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started; none where it has ended meanwhile."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(word) for word in text.split()]


def steps_logged(out: Path) -> list[int]:
    """The steps in a run's log."""
    log = out / "log.jsonl"
    return [json.loads(line)["step"] for line in log.read_text().splitlines()] if log.exists() else []


def finished(out: Path) -> dict[str, Any]:
    """The facts of a run's last checkpoint."""
    from vidgan.run.checkpoints import latest

    found = latest(out / "checkpoints", 1)
    assert found is not None
    return found.state.facts


def main() -> int:
    """A process of a case, or random kills."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--case")
    parser.add_argument("--at", type=int)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--longest", type=float, default=45.0, help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.case:
        return work(options.case, options.at, options.out)
    rng, left, runs = random.Random(options.seed), options.kills, 0
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    while left:
        runs += 1
        out = options.out / f"run{runs}"
        left -= train_through_kills(left, options.processes, out, options.steps, options.longest, rng)
        steps, facts = steps_logged(out), finished(out)
        assert steps == list(range(1, options.steps + 1)), steps
        assert facts["finished"], facts
        assert facts["step"] == options.steps, facts
        print(
            f"run {runs}: finished at step {options.steps}, no step of the log missing or twice", flush=True
        )
    print(f"{options.kills} kills of {options.processes} processes, {runs} runs: all finished")
    return 0


if __name__ == "__main__":
    sys.exit(main())
