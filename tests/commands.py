"""Running the command line in tests: in this process, or in one of its own that can be killed."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from vidgan.cli import main

ENVIRONMENT = os.environ | {"PYTHONUNBUFFERED": "1"}


class Answer(NamedTuple):
    """What a command said."""

    status: int
    out: str
    err: str


TINY = ("--tiny", "--data", "synthetic", "--workers", 0)
"""options of a training that takes seconds"""


def vidgan(capsys: pytest.CaptureFixture[str], *args: object) -> Answer:
    """Run ``vidgan ARGS`` in this process."""
    capsys.readouterr()
    status = main([str(arg) for arg in args])
    said = capsys.readouterr()
    return Answer(status, said.out, said.err)


def start(*args: object) -> "subprocess.Popen[str]":
    """Start ``vidgan ARGS`` in a process of its own."""
    command = [sys.executable, "-m", "vidgan", *map(str, args)]
    return subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def two_processes(*args: object) -> "subprocess.CompletedProcess[str]":
    """Run ``vidgan ARGS`` under torchrun with two processes."""
    return torchrun("-m", "vidgan", *args)


def torchrun(*args: object) -> "subprocess.CompletedProcess[str]":
    """Run a script or ``-m MODULE`` with its arguments in two processes."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [sys.executable, *launch, *map(str, args)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=200, check=False)


def require_one_line(answer: Answer, *words: str) -> None:
    """The command failed with status 2 and one line on stderr that holds all ``words``."""
    lines = answer.err.strip().splitlines()
    assert answer.status == 2, answer
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("vidgan: error: ")
    for word in words:
        assert word in lines[0], (word, lines[0])


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` with its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
