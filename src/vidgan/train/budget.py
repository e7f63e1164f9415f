"""How many steps fit into a budget of time: steps are measured on made-up clips before a run begins."""

import time

import torch

from vidgan.errors import UserError
from vidgan.run.directory import Budget
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import Experiment
from vidgan.train.memory import short_of_memory, state_in_memory
from vidgan.train.plan import DryRun

SECONDS = 30.0
"""for which steps are measured (Luc et al. 2020, 4.2)"""
WARM = 2
"""steps before: the first ones make Adam's state and choose kernels"""


def measure_budget(experiment: Experiment, hours: float, replicas: Replicas, device: torch.device) -> Budget:
    """Measure the step of ``experiment`` on made-up clips, and tell how many fit into ``hours``.

    Nothing is read meanwhile, so that neither data loading nor preprocessing counts. Steps are measured for
    :data:`SECONDS`, or for the whole budget if that is less.

    Raises:
        UserError: if the model is a cascade, its level has a number of steps of its own, or memory does not suffice.
    """
    if len(experiment.levels) > 1:
        raise UserError(
            f"--budget-hours is for models of one level and {experiment.name} has {len(experiment.levels)}: "
            "give --steps or --minutes"
        )
    if experiment.levels[0].steps is not None:
        raise UserError("--levels.0.steps and --budget-hours both set the number of steps: give one of them")
    with state_in_memory("making the model", 0, replicas.size):
        dry_run = DryRun(experiment, 0, device, replicas=replicas)
    with short_of_memory(experiment, 0, replicas.size, 1):
        for _ in range(WARM):
            dry_run.step()
        synchronise(device)
        steps, began = 0, time.monotonic()
        enough = min(SECONDS, 3600 * hours)
        while True:
            dry_run.step()
            synchronise(device)
            steps += 1
            seconds = time.monotonic() - began
            if replicas.agree(seconds >= enough)[
                0
            ]:  # together: a replica that stopped alone would be waited for
                break
    # All replicas must come to the same number of steps.
    mean = replicas.average({"step": torch.tensor(seconds / steps, dtype=torch.float64)})["step"]
    return Budget(hours, mean, steps)


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done all that it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
