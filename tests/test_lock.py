"""One training at a time in a run directory; what a process that died has left is recognised."""

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import vidgan
from commands import ENVIRONMENT, require_one_line
from commands import vidgan as command
from runs import make_run
from vidgan.errors import UserError
from vidgan.presets import preset
from vidgan.run import lock
from vidgan.run.lock import NAME, Holder, RunLock
from vidgan.run.tiny import tiny

Capture = pytest.CaptureFixture[str]
HOLD = """
import sys, time
from pathlib import Path
from vidgan.run.lock import RunLock
RunLock.acquire(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that has the lock of the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate(timeout=20)


def test_a_second_process_is_refused_and_a_dead_one_recognised(
    tmp_path: Path, holder: "subprocess.Popen[str]", capsys: Capture
) -> None:
    with pytest.raises(
        UserError, match=f"is being trained by process {holder.pid} on {socket.gethostname()}"
    ):
        RunLock.acquire(tmp_path)
    os.kill(holder.pid, 9)  # not waited for: it stays as a zombie
    while lock.started(holder.pid) is not None:
        time.sleep(0.01)
    held = RunLock.acquire(tmp_path)
    assert f"process {holder.pid} on" in capsys.readouterr().err
    held.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_lock_of_a_process_that_has_ended_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """As while a killed process ends thread by thread; here what is left of it is a process that it forked."""
    forks = HOLD.replace("time.sleep(60)", "import os\nos.fork() or sys.stdin.read()")
    process = subprocess.Popen(
        [sys.executable, "-c", forks, str(tmp_path)],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.wait(timeout=60)
    ended = f"trained by process {process.pid} on {socket.gethostname()}, which has ended, and is locked"
    with monkeypatch.context() as patch:
        patch.setattr(lock, "ENDING", 0.1)
        with pytest.raises(UserError, match=ended):
            RunLock.acquire(tmp_path)
    threading.Timer(0.2, process.stdin.close).start()  # ends the other
    RunLock.acquire(tmp_path).release()
    assert f"process {process.pid} on" in capsys.readouterr().err


def test_who_has_just_locked_the_file_is_named(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    """Between its lock and its first word the file is empty or names one that has ended."""
    path, told = tmp_path / NAME, (tmp_path / NAME).read_bytes()
    for before in (b"", json.dumps(json.loads(told) | {"started": "1"}).encode()):
        path.write_bytes(before)
        threading.Timer(0.2, path.write_bytes, (told,)).start()
        with pytest.raises(UserError, match=f"is being trained by process {holder.pid}"):
            RunLock.acquire(tmp_path)


def test_where_the_file_system_has_no_locks_the_process_is_looked_for(
    tmp_path: Path, holder: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(file: int, how: int) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(UserError, match=f"process {holder.pid} "):
        RunLock.acquire(tmp_path)
    told = json.loads((tmp_path / NAME).read_text())
    holder.kill()
    holder.wait()
    RunLock.acquire(tmp_path).release()
    # The number of a process that lives, which was started at another time than the holder.
    (tmp_path / NAME).write_text(json.dumps(told | {"pid": os.getppid()}))
    RunLock.acquire(tmp_path).release()


def elsewhere(folder: Path, beat: int = 0) -> None:
    """As a process on another machine writes it."""
    other = Holder("node7", "another boot", 12, "345", "token", beat)
    (folder / NAME).write_text(json.dumps(other._asdict()))


@pytest.mark.slow
def test_a_holder_on_another_machine_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(lock, "WATCH", 0.5)
    monkeypatch.setattr(lock, "BEAT", 0.1)
    elsewhere(tmp_path)
    beating = threading.Timer(0.2, elsewhere, (tmp_path, 1))
    beating.start()
    with pytest.raises(UserError, match="is being trained by process 12 on node7"):
        RunLock.acquire(tmp_path)
    beating.join()
    held = RunLock.acquire(tmp_path)  # nothing beats any more
    assert "process 12 on node7 has ended without a word" in capsys.readouterr().err
    seen = (tmp_path / NAME).read_text()
    deadline = time.monotonic() + 20
    while (tmp_path / NAME).read_text() == seen and time.monotonic() < deadline:
        time.sleep(0.02)
    assert json.loads((tmp_path / NAME).read_text())["beat"] > 0
    held.release()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\x00", b"[]", b'{"pid": "x"}', b"[" * 4096])
def test_a_damaged_lock_that_nobody_holds_is_taken(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    RunLock.acquire(tmp_path).release()
    assert not (tmp_path / NAME).exists()


def test_a_process_may_ask_twice(tmp_path: Path) -> None:
    one, two = RunLock.acquire(tmp_path), RunLock.acquire(tmp_path)
    one.release()
    assert (tmp_path / NAME).exists()
    two.release()
    two.release()
    assert not (tmp_path / NAME).exists()


TRAIN = ("train", "demo", "--tiny", "--data", "synthetic", "--workers", 0, "--steps", 1)


def test_training_is_refused_in_a_folder_where_another_trains(
    tmp_path: Path, holder: "subprocess.Popen[str]", capsys: Capture
) -> None:
    before = (tmp_path / NAME).read_bytes()
    require_one_line(command(capsys, *TRAIN, "--out", tmp_path), f"being trained by process {holder.pid}")
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    make_run(tmp_path)
    require_one_line(
        command(capsys, *TRAIN, "--out", tmp_path, "--resume"), f"being trained by process {holder.pid}"
    )
    assert len((tmp_path / NAME).read_bytes()) == len(before)


@pytest.mark.slow
def test_the_lock_goes_with_the_training(tmp_path: Path, capsys: Capture) -> None:
    experiment = tiny(preset("demo"))
    experiment = experiment.replace(training=experiment.training.replace(steps=1))
    with vidgan.Trainer(experiment, "synthetic", tmp_path / "run", progress=False, workers=0) as trainer:
        assert (tmp_path / "run" / NAME).exists()
        trainer.fit()
        assert not (tmp_path / "run" / NAME).exists()
        trainer.fit(steps=2)
        trainer.save()
        assert (tmp_path / "run" / NAME).exists()
    assert not (tmp_path / "run" / NAME).exists()
    changed = experiment.replace(training=experiment.training.replace(seed=5))
    with pytest.raises(UserError, match="cannot resume"):
        vidgan.Trainer(changed, "synthetic", tmp_path / "run", progress=False, workers=0)
    assert not (tmp_path / "run" / NAME).exists()
