"""A run goes on with another number of processes: the same clips and draws, the same weights up to rounding."""

from pathlib import Path

import pytest
import torch

import catalog
import steps
from vidgan.run.distributed import Replicas, side_by_side
from vidgan.run.experiment import Experiment

STEPS = 2


def asked() -> Experiment:
    """Five clips a step, which neither 2 nor 3 processes share evenly."""
    experiment = steps.batched(catalog.experiments()["demo"], 5, sync_batch_norm=True)
    return steps.one_discriminator_update(experiment)


def train(replicas: Replicas, folder: Path, last: int) -> bool:
    """Go on from the step that stands in ``folder`` to ``last``, in float64."""
    state = steps.level_state(asked(), 0, replicas)
    for step in range(1, last):
        if (file := folder / f"{step}.pt").exists():
            state.restore(torch.load(file, weights_only=True), step)
    while state.steps < last:
        steps.run_step(state)
    if replicas.is_rank_zero:
        folder.mkdir(exist_ok=True)
        torch.save(state.tensors(), folder / f"{last}.pt")
    replicas.wait()
    return True


@pytest.mark.slow
def test_three_then_two_processes_are_one_that_never_stopped(tmp_path: Path) -> None:
    train(Replicas(), tmp_path / "one", STEPS)
    for step, processes in enumerate((3, 2), 1):
        side_by_side(processes, train, tmp_path / "many", step)
    one, many = (torch.load(tmp_path / name / f"{STEPS}.pt", weights_only=True) for name in ("one", "many"))
    assert one.keys() == many.keys()
    for name, expected in one.items():
        error = float((many[name] - expected).abs().max())
        assert error < 1e-9 + 1e-9 * float(expected.abs().max()), name
