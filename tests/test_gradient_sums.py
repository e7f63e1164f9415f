"""The project's buckets against torch's DistributedDataParallel, as benchmarks/gradient_sums.py times them: the same
gradients."""

import sys
from pathlib import Path

import pytest
import torch

import catalog
import steps
from vidgan.run.distributed import Replicas, side_by_side

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
BYTES = 2000
"""of a bucket, of which tiny networks have several"""


def work(replicas: Replicas, folder: Path) -> bool:
    """Three steps of accumulated passes in each way; the gradients after each step."""
    sys.path.insert(0, str(BENCHMARKS))
    import gradient_sums

    gradient_sums.BUCKET = BYTES  # type: ignore[misc]
    found = {}
    for way in gradient_sums.WAYS:
        asked = steps.batched(catalog.experiments()["demo"], 8, micro_batch=2, sync_batch_norm=True)
        state = steps.level_state(asked, 0, replicas)
        state.gradients = gradient_sums.sums(way, state.level, replicas)
        for step in range(3):
            steps.run_step(state)
            found |= {(way.name, step, name): each for name, each in steps.gradients(state).items()}
    if replicas.is_rank_zero:
        torch.save(found, folder / "gradients.pt")
    replicas.wait()
    return True


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.broadcast_buffers. is deprecated")  # by torch 2.13
def test_torchs_own_data_parallelism_gives_the_same_gradients(tmp_path: Path) -> None:
    """Bit for bit: two numbers have one sum, and half of it twice is that again."""
    side_by_side(2, work, tmp_path)
    found = torch.load(tmp_path / "gradients.pt", weights_only=True)
    names = {(step, name) for _, step, name in found}
    assert {step for step, _ in names} == {0, 1, 2}
    for at in names:
        expected = found["DistributedDataParallel", *at]
        assert torch.equal(found["in buckets", *at], expected), at
        assert torch.equal(found["one flat sum", *at], expected), at
    assert not all(torch.equal(found["not summed", *at], found["in buckets", *at]) for at in names)
