"""A fault of one process ends all that train together, with one line from one of them."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch.distributed as dist

import rank_faults
from vidgan.errors import UserError
from vidgan.run import watch as module
from vidgan.run.distributed import Replicas, ending_together
from vidgan.run.watch import Watch, is_lost_connection, named

CASES = {
    ("data", 2): "process 2 of 3 has another fingerprint of its data than process 0",
    ("code", 1): "process 1 of 3 has another hash of vidgan's code than process 0",
    ("apart", 2): "does not see the run that process 0 has made",
    (
        "checkpoint",
        1,
    ): "another newest checkpoint than process 0: level1-step00000007.safetensors instead of none",
    ("disk", 1): "the disk is full (checkpoint)",
    ("killed", 0): "one of 3 processes has ended without a word",
    ("killed", 2): "one of 3 processes has ended without a word",
    ("hung", 2): "process 2 of 3 (counted from 0) has not ended a step for 0.333 minutes",
    (
        "stands",
        2,
    ): "process 2 of 3 (counted from 0) has not got on for 0.25 minutes, in looking, at train/loop.py",
    ("stopped", 0): "the process through which all met is gone",
}
"""kind of fault and the process that has it; `python tests/rank_faults.py --case KIND --at N` is one process of more"""


SAMPLE = {("data", 2), ("killed", 0)}
"""cases of `make test`; the others are of `make test-all`"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "at"), [pytest.param(*case, marks=[] if case in SAMPLE else pytest.mark.long) for case in CASES]
)
def test_a_fault_of_one_process_ends_all_with_one_line(tmp_path: Path, kind: str, at: int) -> None:
    ended = rank_faults.run_case(kind, 3, at, tmp_path / "run")
    dies = kind in ("killed", "stopped")
    assert [status for status, _ in ended] == [-9 if dies and rank == at else 2 for rank in range(3)]
    lines = [line for _, said in ended for line in said.splitlines()]
    assert len(lines) == 1, lines
    assert lines[0].startswith("vidgan: error: ")
    assert CASES[kind, at] in lines[0]


@pytest.mark.slow
def test_a_run_whose_processes_are_killed_is_finished_by_torchrun(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = rank_faults.train_through_kills(2, 2, out, 3, longest=8.0, rng=random.Random(1))
    assert done > 0
    assert rank_faults.steps_logged(out) == [1, 2, 3]
    assert rank_faults.finished(out)["finished"]


@pytest.fixture
def watches(monkeypatch: pytest.MonkeyPatch) -> tuple[Watch, Watch]:
    """Of two processes, whose threads stand in one."""
    monkeypatch.setattr(module, "BEAT", 0.01)
    store = dist.HashStore()
    first, second = Watch(store, 0, 2), Watch(store, 1, 2)
    return first, second


def test_the_first_to_fail_speaks(watches: tuple[Watch, Watch]) -> None:
    """The other one, whose connection broke, ends without a word."""
    first, second = watches
    with pytest.raises(UserError, match="no such clip"), ending_together(Replicas(1, 2, watch=second)):
        raise UserError("no such clip")
    with pytest.raises(SystemExit) as ended, ending_together(Replicas(0, 2, watch=first)):
        raise RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer")
    assert ended.value.code == 2


def test_a_process_that_says_nothing_is_spoken_for(
    watches: tuple[Watch, Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    from vidgan.run import distributed

    monkeypatch.setattr(distributed, "WORD", 0.1)
    monkeypatch.setattr(module, "GRACE", 0.1)
    _, second = watches
    with (
        pytest.raises(UserError, match="one of 2 processes has ended without a word"),
        ending_together(Replicas(1, 2, watch=second)),
    ):
        raise RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer")
    watches[0].close()


class KeptStore(dist.HashStore):
    """Of a process that may be gone: then it fails, or never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.gone = self.silent = False
        self.is_over = threading.Event()

    def check(self, keys: list[str]) -> bool:
        if self.silent:
            self.is_over.wait()
        if self.gone:
            raise RuntimeError("Broken pipe")
        return super().check(keys)


class Ending(NamedTuple):
    """Processes that end in threads of this one."""

    store: KeptStore
    statuses: list[int]
    watches: list[Watch]

    def watch(self, *args: Any, **named: Any) -> Watch:
        """One more process."""
        self.watches.append(Watch(self.store, *args, **named))
        return self.watches[-1]

    def wait(self, count: int) -> None:
        """Until so many have ended."""
        end = time.monotonic() + 20
        while len(self.statuses) < count and time.monotonic() < end:
            time.sleep(0.01)


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ending]:
    """The first process keeps the store: the first that ends without waiting takes it along."""
    times = {"BEAT": 0.01, "LOST": 0.3, "GRACE": 0.3, "LINGER": 1.0}
    for name, seconds in times.items():
        monkeypatch.setattr(module, name, seconds)
    ended = Ending(KeptStore(), [], [])

    def end(status: int) -> None:
        # The store is gone with the first process, which is the last where it waits for the others.
        ended.store.gone = True
        ended.statuses.append(status)
        raise SystemExit

    monkeypatch.setattr(module.os, "_exit", end)
    yield ended
    ended.store.is_over.set()
    for watch in ended.watches:
        watch._done.set()
        for thread in watch._threads:
            thread.join()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # by it threads end
def test_a_hung_process_is_named_once_by_whoever_notices_first(
    ending: Ending, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one that keeps the store notices it here, and ends after the others, which know then that all is said."""
    first = ending.watch(0, 2, stall=0.2, keeps=True)
    second = ending.watch(1, 2, stall=2.0)
    first.meetings, second.meetings = 7, 6
    with first.step(), second.step():
        ending.wait(2)
    assert ending.statuses == [2, 2]
    (line,) = capsys.readouterr().err.splitlines()
    assert "process 1 of 2 (counted from 0) has not ended a step for 0.00333 minutes" in line


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_process_that_hangs_between_steps_is_named_with_what_it_does(
    ending: Ending, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is this thread, which waits for nothing that the other one does; that one works on."""

    def work() -> None:
        ending.watch(1, 2, idle=60.0)
        while not ending.statuses:
            time.sleep(0.03)
            time.sleep(0.03)

    other = threading.Thread(target=work)
    other.start()
    first = ending.watch(0, 2, idle=0.3, keeps=True)
    with first.during("standing statistics"):
        ending.wait(2)
    other.join()
    assert ending.statuses == [2, 2]
    (line,) = capsys.readouterr().err.splitlines()
    assert "process 0 of 2 (counted from 0) has not got on for 0.005 minutes, in standing statistics" in line


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("fault", ["gone", "silent"])
def test_a_store_that_is_gone_or_does_not_answer_is_noticed(
    ending: Ending, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    """One process of each machine says so."""
    for rank in (1, 2):
        ending.watch(rank, 3, speaks_alone=rank == 1)
    setattr(ending.store, fault, True)
    ending.wait(2)
    assert ending.statuses == [2, 2]
    (line,) = capsys.readouterr().err.splitlines()
    assert "the process through which all met is gone" in line


def test_a_lost_connection_is_told_from_other_faults() -> None:
    assert is_lost_connection(dist.DistBackendError("NCCL error"))
    assert is_lost_connection(RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer"))
    assert not is_lost_connection(RuntimeError("shapes do not match"))
    assert not is_lost_connection(ValueError("gloo"))


def test_processes_are_named() -> None:
    assert named([2], 4) == "process 2 of 4 (counted from 0) has"
    assert named([1, 2], 4) == "processes 1, 2 of 4 (counted from 0) have"
    assert named([0, 1], 2) == "all 2 processes have"
