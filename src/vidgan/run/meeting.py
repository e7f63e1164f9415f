"""Where the processes of one launch meet: a store that holds nothing of the launch before.

torchrun keeps one store for all launches of its workers (torch 2.13, ``DynamicRendezvousHandler``): after a restart,
a process may read the addresses of one that is dead, and wait for it for ever. So all agree on a prefix of their own.
"""

import json
import secrets
import socket
import time
from datetime import timedelta
from typing import Final, NamedTuple

import torch.distributed as dist

from vidgan.errors import UserError

Store = dist.distributed_c10d.Store

PAUSE: Final = 0.05
"""seconds between two looks at the store"""


class Meeting(NamedTuple):
    """What the processes of a launch have in common."""

    store: dist.distributed_c10d.PrefixStore
    """theirs alone"""
    hosts: tuple[str, ...]
    """the machine of each process"""


def meet(store: Store, rank: int, size: int, patience: timedelta) -> Meeting:
    """Return when all ``size`` processes of this launch have come here.

    The first one names the launch; each of the others answers with a number of its own until it finds that among those
    that the first one has read. An answer to an earlier launch is never among them.

    Raises:
        UserError: if some have not come after ``patience``.
    """
    end = time.monotonic() + patience.total_seconds()
    own = [secrets.token_hex(8), socket.gethostname()]
    launch = secrets.token_hex(8)
    if rank == 0:
        store.set("launch", launch)
    while time.monotonic() < end:
        if rank == 0:
            keys = [f"{launch} {other}" for other in range(1, size)]
            if all(store.check([key]) for key in keys):
                everyone = [own, *(json.loads(store.get(key)) for key in keys)]
                store.set(f"{launch} all", json.dumps(everyone))
                return Meeting(
                    dist.distributed_c10d.PrefixStore(launch, store), tuple(host for _, host in everyone)
                )
        elif store.check(["launch"]):
            launch = store.get("launch").decode()
            store.set(f"{launch} {rank}", json.dumps(own))
            if store.check([f"{launch} all"]):
                everyone = json.loads(store.get(f"{launch} all"))
                if own in everyone:
                    return Meeting(
                        dist.distributed_c10d.PrefixStore(launch, store), tuple(host for _, host in everyone)
                    )
        time.sleep(PAUSE)
    raise UserError(
        f"process {rank} of {size} (counted from 0) has waited for the others for {patience.total_seconds():.0f} s: "
        "not all have started"
    )
