"""Processes that train as one: each on a device of its own, together the same as one process."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from commands import ENVIRONMENT
from vidgan.errors import UserError
from vidgan.run.device import choose_device
from vidgan.run.logs import read_lines


def gpus(patch: pytest.MonkeyPatch, count: int) -> list[torch.device]:
    """Pretend that torch sees ``count`` GPUs; the devices that are made current."""
    current: list[torch.device] = []
    patch.setattr(torch.cuda, "is_available", lambda: count > 0)
    patch.setattr(torch.cuda, "device_count", lambda: count)
    patch.setattr(torch.cuda, "set_device", current.append)
    return current


def test_each_process_takes_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    current = gpus(monkeypatch, 2)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert choose_device() == torch.device("cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device() == torch.device("cuda:1")
    assert current == [torch.device("cuda:0"), torch.device("cuda:1")]
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UserError, match="at most 2 processes"):
        choose_device()


def test_without_gpus_all_processes_share_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 0)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert choose_device() == torch.device("cpu")


def train(out: Path, replicas: int) -> list[dict[str, float]]:
    """Train two steps in ``replicas`` processes; the logged scalars."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = (
        f"--steps 2 --workers 0 --training.batch.global-batch 4 --training.batch.micro-batch {4 // replicas}"
    )
    several = f"--training.batch.replicas {replicas} --training.batch.statistics-group {replicas}"
    command = [sys.executable, "-m", "vidgan", "train", "demo", "--tiny", "--data", "synthetic"]
    processes = [
        subprocess.Popen(
            [*command, "--out", str(out), *options.split(), *several.split()],
            env=ENVIRONMENT
            | {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(replicas),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "CUDA_VISIBLE_DEVICES": "",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(replicas)
    ]
    for process in processes:
        _, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
    return [line["scalars"] for line in read_lines(out / "log.jsonl")]


@pytest.mark.slow
def test_two_replicas_train_like_one(tmp_path: Path) -> None:
    one, two = (train(tmp_path / str(replicas), replicas) for replicas in (1, 2))
    assert len(one) == len(two) == 2
    for alone, together in zip(one, two, strict=True):
        # Adam's first steps are nearly signs of gradients, so rounding of tiny ones shows at the second step.
        assert alone == pytest.approx(together, rel=1e-3, abs=1e-3)
