"""A run directory on a disk that several machines share, seen from another one than that which made it."""

import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from vidgan.errors import UserError
from vidgan.run.directory import RunDirectory

PATIENCE: Final = 60.0
"""seconds in which a file must be seen that another machine has written: NFS may recall for as long that it was not
there"""
PAUSE: Final = 0.1
"""seconds between two looks"""


def open_shared(path: Path) -> RunDirectory:
    """The run in ``path``, which process 0 has made before this one came here, on whichever machine.

    Raises:
        UserError: if it is not seen here: the disk is not a shared one.
    """
    end = time.monotonic() + PATIENCE
    while not (path / "experiment.json").is_file():
        if time.monotonic() > end:
            raise UserError(
                f"{socket.gethostname()} does not see the run that process 0 has made in {path}: put --out on a disk "
                "that all machines share"
            )
        for folder in (path.parent, path):
            with suppress(OSError):
                os.listdir(
                    folder
                )  # for which NFS asks its server, as it does not for a file that it takes for missing
        time.sleep(PAUSE)
    return RunDirectory.open(path)
