"""Which device this process computes on."""

import os

import torch

from vidgan.errors import UserError


def choose_device() -> torch.device:
    """The GPU of this process where torch sees GPUs, else the CPU.

    The GPU is number ``LOCAL_RANK``, which torchrun gives to every process, and it becomes torch's current one.

    Raises:
        UserError: if there are fewer GPUs than processes.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    index, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if index >= count:
        raise UserError(
            f"process {index + 1} has no GPU of its own: there are {count}; start at most {count} processes"
        )
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    return device
