"""Which GPU a process takes."""

import pytest
import torch

from vidgan.errors import UserError
from vidgan.run.distributed import choose_device


@pytest.mark.parametrize(
    ("rank", "gpus", "named", "expected"),
    [
        (None, 4, None, 0),
        (2, 4, None, 2),
        (2, 4, "0,1,2,3", 2),
        (0, 1, "3", 0),
        (3, 1, "3", 0),
        (1, 1, None, None),
        (2, 2, "0,1", None),
    ],
    ids=[
        "a plain process",
        "one of torchrun's",
        "all are visible to all",
        "the first, which sees one",
        "a later one, which sees its own alone",
        "one GPU for two processes",
        "two GPUs for three",
    ],
)
def test_each_process_takes_its_own(
    rank: int | None, gpus: int, named: str | None, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`srun --gpus-per-task 1` lets every process see its own GPU alone, which is number 0 there."""
    taken: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    for name, value in (("LOCAL_RANK", rank), ("CUDA_VISIBLE_DEVICES", named)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, str(value))
    if expected is None:
        with pytest.raises(UserError, match="has no GPU of its own"):
            choose_device()
    else:
        assert choose_device() == torch.device("cuda", expected)
        assert taken == [torch.device("cuda", expected)]
