"""The project's buckets against torch's DistributedDataParallel, as benchmarks/gradient_sums.py times them: the same
gradients."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

import catalog
import steps
from vidgan.run.distributed import Replicas, side_by_side

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def with_buckets_of(size: int) -> ModuleType:
    """The benchmark with buckets of so many bytes, that small networks have several."""
    sys.path.insert(0, str(BENCHMARKS))
    import gradient_sums

    gradient_sums.BUCKET = size  # type: ignore[misc]
    return gradient_sums


def train(replicas: Replicas, folder: Path) -> bool:
    """Three steps of accumulated passes in each way; the gradients after each step."""
    gradient_sums, found = with_buckets_of(2000), {}
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
    side_by_side(2, train, tmp_path)
    found = torch.load(tmp_path / "gradients.pt", weights_only=True)
    names = {(step, name) for _, step, name in found}
    assert {step for step, _ in names} == {0, 1, 2}
    for at in names:
        expected = found["DistributedDataParallel", *at]
        assert torch.equal(found["in buckets", *at], expected), at
        assert torch.equal(found["one flat sum", *at], expected), at
    assert not all(torch.equal(found["not summed", *at], found["in buckets", *at]) for at in names)


class Mixed(nn.Module):
    """Layers used in another order than they are made in."""

    def __init__(self) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        self.weights = nn.ParameterList(torch.randn((48, 48), generator=rng) / 7 for _ in range(6))

    def forward(self, x: Tensor) -> Tensor:
        for place in (3, 0, 4, 1, 5, 2):
            x = torch.tanh(x @ self.weights[place])
        return x


def repeat(replicas: Replicas, folder: Path) -> bool:
    """The same update three times in each way; how many gradients have other bits than the first time."""
    gradient_sums, other = with_buckets_of(20000), {}
    x = torch.randn((12, 48), generator=torch.Generator().manual_seed(1))
    for way in gradient_sums.WAYS:
        net, found = Mixed(), []
        sums = way.sums(net, replicas)
        for _ in range(3):
            net.zero_grad(set_to_none=True)
            sums.backward(net(replicas.slice(x)).square().sum() / len(x), last=True)
            found.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
        other[way.name] = [int((each != found[0]).sum()) for each in found]
    if replicas.is_rank_zero:
        torch.save(other, folder / "other.pt")
    replicas.wait()
    return True


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.broadcast_buffers. is deprecated")
def test_torchs_own_buckets_are_others_after_the_first_update(tmp_path: Path) -> None:
    """Which is why the project has its own (train/gradients.py): a run that is resumed would start with the first ones
    again. Should torch change this, its own may take their place."""
    side_by_side(3, repeat, tmp_path)
    other = torch.load(tmp_path / "other.pt", weights_only=True)
    first, second, third = other.pop("DistributedDataParallel")
    assert first == 0
    assert second == third > 0
    assert other == {"not summed": [0, 0, 0], "one flat sum": [0, 0, 0], "in buckets": [0, 0, 0]}
