"""A run goes on with another number of processes: the same clips and draws, the same weights up to rounding."""

from pathlib import Path

import pytest
import torch

import catalog
import steps
from vidgan.run.distributed import Replicas, side_by_side
from vidgan.run.experiment import Experiment


def asked() -> Experiment:
    """Five clips a step, which neither 2, 3 nor 4 processes share evenly."""
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
@pytest.mark.parametrize("launches", [(3, 2), pytest.param((2, 4, 3), marks=pytest.mark.long)])
def test_other_numbers_of_processes_are_one_that_never_stopped(
    tmp_path: Path, launches: tuple[int, ...]
) -> None:
    train(Replicas(), tmp_path / "one", len(launches))
    for step, processes in enumerate(launches, 1):
        side_by_side(processes, train, tmp_path / "many", step)
    last = f"{len(launches)}.pt"
    one, many = (torch.load(tmp_path / name / last, weights_only=True) for name in ("one", "many"))
    assert one.keys() == many.keys()
    for name, expected in one.items():
        error = float((many[name] - expected).abs().max())
        assert error < 1e-9 + 1e-9 * float(expected.abs().max()), name
