"""Processes that make training steps of some checkout when they are told to: step_process.py and peer_process.py."""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple


class Taken(NamedTuple):
    """What a step took."""

    processor: float
    """seconds"""
    clock: float
    """seconds"""
    memory: float
    """bytes that the process has held at most"""


class Side:
    """A process that makes steps."""

    def __init__(self, name: str, words: Sequence[object], threads: int) -> None:
        self.name = name
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "PYTHONPATH": "",
        }
        self._process = subprocess.Popen(
            [sys.executable, *map(str, words), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        while self._line() != "ready":
            pass

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name}: its process ended with status {self._process.wait()}")
        return line.strip()

    def step(self) -> Taken:
        assert self._process.stdin is not None
        self._process.stdin.write("1\n")
        self._process.stdin.flush()
        return Taken(*map(float, self._line().split()))
