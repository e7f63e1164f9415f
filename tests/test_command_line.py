"""What every command does when nobody listens, when memory is short, and when vidgan itself is at fault."""

import errno
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from commands import ENVIRONMENT, require_one_line, vidgan
from vidgan.cli import UNEXPECTED, presets

Capture = pytest.CaptureFixture[str]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["--help", "presets"])
def test_a_reader_that_has_left_is_no_error(command: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "vidgan", *command.split()],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


FAULTS = """
from resource import RUSAGE_SELF, getrusage
from vidgan.cli.process import set_up_process

set_up_process()
for round in range(8):
    before = getrusage(RUSAGE_SELF).ru_minflt
    blocks = [bytearray(24 << 20) for _ in range(8)]
    del blocks
    print(getrusage(RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are left as they are")
@pytest.mark.parametrize("kept", [True, False])
def test_freed_memory_is_kept_unless_the_environment_says_otherwise(kept: bool) -> None:
    """192 MiB that are given back are 49,152 pages to be mapped anew the next time; glibc keeps 64 MiB by itself."""
    environment = ENVIRONMENT if kept else ENVIRONMENT | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run([sys.executable, "-c", FAULTS], env=environment, capture_output=True, check=True)
    later = [int(line) for line in done.stdout.split()][3:]
    assert max(later) < 1000 if kept else min(later) > 30_000


@pytest.mark.parametrize(
    "command", ["presets --unknown-option", "presets demo --unknown-option", "presets --unknown-option x"]
)
def test_an_unknown_option_beside_words_that_may_be_left_out(capsys: Capture, command: str) -> None:
    require_one_line(vidgan(capsys, *command.split()), "has no option --unknown-option")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (MemoryError("Unable to allocate 3.00 TiB for an array"), 2, "not enough memory"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
            2,
            "not enough",
        ),
        (RuntimeError("Storage size calculation overflowed with sizes=[9]"), 2, "not enough memory"),
        (OSError(errno.EIO, "Input/output error", "clips.npy"), 2, "Input/output error: clips.npy"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "No space left on device"),
        (KeyError("step"), UNEXPECTED, "a fault of vidgan: KeyError: 'step'; VIDGAN_TRACEBACK=1 shows where"),
    ],
)
def test_whatever_goes_wrong_is_one_line(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, words: str
) -> None:
    def fail(args: list[str]) -> int:
        raise error

    monkeypatch.setattr(presets, "run", fail)
    answer = vidgan(capsys, "presets")
    assert answer.status == status
    assert words in answer.err
    assert answer.err.count("\n") == 1
    monkeypatch.setenv("VIDGAN_TRACEBACK", "1")
    with pytest.raises(type(error)):
        vidgan(capsys, "presets")


OWN = """
class Torn:
    classes = ("a", "b")
    def __len__(self):
        return 4
    def __getitem__(self, index):
        return {}[index]

torn = Torn()

def broken():
    return 1 / 0
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train {file}:broken --data synthetic --out {out}", "line 12: ZeroDivisionError: division by zero"),
        ("train demo --tiny --data {file}:torn --workers 0 --out {out}", "line 7: KeyError: 0"),
        ("train demo --tiny --data {file}:broken --out {out}", "line 12: ZeroDivisionError"),
    ],
)
def test_a_fault_in_the_users_own_file_is_named_there(
    capsys: Capture, tmp_path: Path, words: str, said: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    answer = vidgan(capsys, *words.format(file=file, out=tmp_path / "out").split())
    require_one_line(answer, str(file), said)
