"""The benchmark against another DVD-GAN runs a checkout that has its interface, in turns with this package."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
GENERATOR = """
import torch
from tensorboardX import SummaryWriter

class Generator(torch.nn.Module):
    def __init__(self, in_dim=120, latent_dim=4, n_class=4, ch=32, n_frames=48):
        super().__init__()
        self.frames, self.embedding = n_frames, torch.nn.Embedding(n_class, in_dim)
        self.linear = torch.nn.Linear(in_dim, n_frames * 3)

    def forward(self, x, class_id):
        y = self.linear(x.cuda() + self.embedding(class_id))
        return y.tanh().view(-1, self.frames, 3, 1, 1).expand(-1, -1, -1, 64, 64)
"""
DISCRIMINATORS = """
import torch

class SpatialDiscriminator(torch.nn.Module):
    frames, side = 8, 64

    def __init__(self, chn=128, n_class=4):
        super().__init__()
        self.embedding = torch.nn.Embedding(n_class, 3)

    def forward(self, video, class_id):
        assert video.shape[1:] == (self.frames, 3, self.side, self.side)
        return (video.mean((1, 3, 4)) * self.embedding(class_id)).sum(1)

class TemporalDiscriminator(SpatialDiscriminator):
    frames, side = 12, 32
"""


def bench(*words: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(BENCHMARKS / "bench_peer.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_a_stand_in_with_its_interface(tmp_path: Path) -> None:
    (tmp_path / "Module").mkdir()
    (tmp_path / "Module/Generator.py").write_text(GENERATOR)
    (tmp_path / "Module/Discriminators.py").write_text(DISCRIMINATORS)
    done = bench("--peer", tmp_path, "--width", 1, "--rounds", 2, "--dtypes", "float32")
    assert done.returncode == 0, done.stderr
    row = re.compile(
        r"  (peer|vidgan, float32) +([\d.]+) +[\d.]+ +([\d.]+)  [\d.]+-[\d.]+  "
        r"([\d.]+) times the speed; ([\d.]+) s by the clock, ([\d.]+) MiB"
    )
    rows = [found.groups() for line in done.stdout.splitlines() if (found := row.fullmatch(line))]
    assert [name for name, *_ in rows] == ["peer", "vidgan, float32"]
    for _, *numbers in rows:
        assert all(float(number) > 0 for number in numbers)
    assert float(rows[0][2]) == 1.0

    (tmp_path / "Module/Generator.py").unlink()
    done = bench("--peer", tmp_path)
    assert done.returncode == 1
    assert "peer: its process ended" in done.stderr
