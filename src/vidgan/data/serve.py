"""What a loader's worker process does: cut the windows it is asked for. Imports no torch."""

from multiprocessing.connection import Connection
from typing import Any

from vidgan.data.dataset import Dataset
from vidgan.data.window import WindowSpec, cut
from vidgan.data.workers import failure_of


def serve_windows(pipe: "Connection[Any, Any]", dataset: Dataset, window: WindowSpec) -> None:
    """For every place received, send None and the window's bytes, or a ``Failure``."""
    while True:
        place = pipe.recv()
        try:
            frames = cut(dataset, window, place)
        except Exception as error:
            pipe.send(failure_of(error))
        else:
            pipe.send(None)
            pipe.send_bytes(frames.reshape(-1).data)
