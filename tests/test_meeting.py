"""Processes of one launch meet, whatever an earlier launch has left in the store."""

import threading
from datetime import timedelta

import pytest
import torch.distributed as dist

from vidgan.errors import UserError
from vidgan.run.meeting import Meeting, meet

SECONDS = timedelta(seconds=20)


def all_meet(store: dist.Store, order: tuple[int, ...]) -> dict[int, Meeting]:
    """The processes of a launch in threads of this one, started one after another."""
    found: dict[int, Meeting] = {}

    def come(rank: int) -> None:
        found[rank] = meet(store, rank, len(order), SECONDS)

    threads = [threading.Thread(target=come, args=(rank,)) for rank in order]
    for thread in threads:
        thread.start()
        thread.join(timeout=0.2)  # those that come early find the store as the launch before has left it
    for thread in threads:
        thread.join()
    return found


@pytest.mark.slow
def test_every_launch_has_a_store_of_its_own() -> None:
    store = dist.HashStore()
    for number, order in enumerate(((0, 1, 2), (2, 1, 0), (1, 0, 2))):
        met = all_meet(store, order)
        assert len(met) == 3
        for meeting in met.values():
            assert not meeting.store.check(["address"])
        met[1].store.set("address", str(number))
        assert [met[rank].store.get("address") for rank in order] == [str(number).encode()] * 3
        assert all(len(set(meeting.hosts)) == 1 and len(meeting.hosts) == 3 for meeting in met.values())


@pytest.mark.slow
def test_a_launch_whose_processes_do_not_all_come_says_so() -> None:
    store = dist.HashStore()
    all_meet(store, (0, 1))
    with pytest.raises(
        UserError, match=r"process 1 of 2 \(counted from 0\) has waited for the others for 0 s"
    ):
        meet(store, 1, 2, timedelta(seconds=0.2))
    with pytest.raises(UserError, match="not all have started"):
        meet(store, 0, 2, timedelta(seconds=0.2))
