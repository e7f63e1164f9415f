"""Processes of one machine that train as one: they meet, share the threads, and fail with one line."""

import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from vidgan.errors import UserError
from vidgan.run.distributed import Replicas, side_by_side


def note(replicas: Replicas, folder: Path) -> bool:
    """Write what this process knows of itself, and the sum of what all know."""
    total = torch.tensor([replicas.rank + 1.0])
    if replicas.group is not None:
        dist.all_reduce(total, group=replicas.group)
    facts = f"{replicas.size} {torch.get_num_threads()} {total.item():g}"
    (folder / f"{replicas.rank}").write_text(facts)
    return replicas.is_rank_zero


def refuse(replicas: Replicas) -> bool:
    raise UserError("the data are gone")


def break_off(replicas: Replicas) -> bool:
    """The second process dies while the first waits for it."""
    if not replicas.is_rank_zero:
        os._exit(7)
    replicas.wait()
    return True


@pytest.mark.slow
@pytest.mark.parametrize(("count", "threads", "total"), [(1, 4, 1), (2, 2, 3)])
def test_all_work_with_an_equal_share_of_the_threads(
    tmp_path: Path, count: int, threads: int, total: int
) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        assert side_by_side(count, note, tmp_path) is True
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
        str(rank): f"{count} {threads} {total}" for rank in range(count)
    }
    assert not dist.is_initialized()


@pytest.mark.slow
def test_what_is_wrong_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="the data are gone"):
        side_by_side(2, refuse)
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_process_that_dies_ends_the_others_with_a_line() -> None:
    with pytest.raises(UserError, match=r"a training process ended with status 7; resume with --resume"):
        side_by_side(2, break_off)
