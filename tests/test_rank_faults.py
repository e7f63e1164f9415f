"""A fault of one process ends all that train together, with one line from one of them."""

import random
from pathlib import Path

import pytest
import torch.distributed as dist

import rank_faults
from vidgan.errors import UserError
from vidgan.run import watch as module
from vidgan.run.distributed import Replicas, ending_together
from vidgan.run.watch import Watch, is_lost_connection, named

CASES = {
    "data": "process 2 of 3 has another fingerprint of its data than process 0",
    "code": "process 2 of 3 has another hash of vidgan's code than process 0",
    "killed": "one of 3 processes has ended without a word",
    "disk": "the disk is full (checkpoint)",
    "hung": "process 2 of 3 (counted from 0) has not ended a step for 0.333 minutes",
}


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("case", ["data", "killed", "hung"])
def test_a_fault_of_one_process_ends_all_with_one_line(tmp_path: Path, case: str) -> None:
    ended = rank_faults.run_case(case, 3, tmp_path / "run")
    assert [status for status, _ in ended] == [2, 2, -9 if case == "killed" else 2]
    lines = [line for _, said in ended for line in said.splitlines()]
    assert len(lines) == 1, lines
    assert lines[0].startswith("vidgan: error: ")
    assert CASES[case] in lines[0]


@pytest.mark.slow
@pytest.mark.long
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


def test_a_lost_connection_is_told_from_other_faults() -> None:
    assert is_lost_connection(dist.DistBackendError("NCCL error"))
    assert is_lost_connection(RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer"))
    assert not is_lost_connection(RuntimeError("shapes do not match"))
    assert not is_lost_connection(ValueError("gloo"))


def test_processes_are_named() -> None:
    assert named([2], 4) == "process 2 of 4 (counted from 0) has"
    assert named([1, 2], 4) == "processes 1, 2 of 4 (counted from 0) have"
    assert named([0, 1], 2) == "all 2 processes have"
