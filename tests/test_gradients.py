"""Gradients are summed over processes in buckets that depend on the network alone."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vidgan.run.distributed import Replicas, side_by_side
from vidgan.train.gradients import GradientSum, in_buckets


class Net(nn.Module):
    """Layers used in another order than they are made in, one of them twice and one never."""

    def __init__(self) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        self.weights = nn.ParameterList(torch.randn((6, 6), generator=rng).double() for _ in range(5))
        self.unused = nn.Parameter(torch.zeros(3, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        for place in (3, 0, 4, 1, 0, 2):
            x = torch.tanh(x @ self.weights[place])
        return x


def inputs(count: int) -> Tensor:
    return torch.randn((count, 6), generator=torch.Generator().manual_seed(1)).double()


def losses(net: Net, rows: Tensor, total: int) -> list[Tensor]:
    """Of two micro-batches, weighted by their clips."""
    return [net(part).square().sum() / total for part in rows.tensor_split(2)]


def work(replicas: Replicas, folder: Path) -> bool:
    """Two updates; the gradients after each."""
    net = Net()
    size = 400  # bytes: two weights in each
    assert len(list(in_buckets(net, size))) == 3
    reducer = GradientSum(net, replicas, size)
    found = []
    for _ in range(2):
        net.zero_grad(set_to_none=True)
        first, second = losses(net, replicas.slice(inputs(11)), 11)
        reducer.backward(first, last=False)
        reducer.backward(second, last=True)
        found.append([None if p.grad is None else p.grad.clone() for p in net.parameters()])
    torch.save(found, folder / f"{replicas.rank}.pt")
    replicas.wait()
    return True


def test_gradients_come_in_the_order_of_the_backward_pass() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    assert [len(bucket) for bucket in in_buckets(net, 24)] == [2, 2]
    assert [p for bucket in in_buckets(net, 24) for p in bucket] == list(net.parameters())[::-1]
    assert [len(bucket) for bucket in in_buckets(net)] == [4]


@pytest.mark.slow
def test_sums_are_those_of_one_process_and_the_same_bits_in_every_step(tmp_path: Path) -> None:
    side_by_side(3, work, tmp_path)
    net = Net()
    sum(losses(net, inputs(11), 11)).backward()
    first, *others = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(3))
    for ours, again, expected in zip(*first, (p.grad for p in net.parameters()), strict=True):
        if expected is None:
            assert ours is None
            continue
        assert torch.allclose(ours, expected, rtol=1e-12, atol=1e-14)
        assert torch.equal(ours, again)
    for other in others:
        for ours, theirs in zip(first[0], other[0], strict=True):
            assert (ours is None and theirs is None) or torch.equal(ours, theirs)
