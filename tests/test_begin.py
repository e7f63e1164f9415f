"""Processes that train together begin with the same numbers, whatever their processors made of the same seed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from test_ending import data, experiment
from vidgan.run.distributed import Replicas, side_by_side
from vidgan.train import state as module
from vidgan.train.state import TrainState
from vidgan.train.trainer import Trainer


def work(replicas: Replicas, folder: Path) -> bool:
    """The second process makes other weights and singular vectors of the seed; what both have before a step."""
    made = module.initial_level

    def perturbed(*args: Any) -> nn.Module:
        level = made(*args)
        for tensor in level.state_dict().values():
            tensor.mul_(1 + 1e-6)
        return level

    if replicas.rank == 1:
        module.initial_level = perturbed  # type: ignore[assignment]
    asked = experiment()
    with Trainer(asked, data(asked), device="cpu", workers=0, progress=False, replicas=replicas) as trainer:
        torch.save(trainer.state.networks(), folder / f"{replicas.rank}.pt")
        trainer.step()
        torch.save(trainer.state.tensors(), folder / f"{replicas.rank}-after.pt")
    return True


@pytest.mark.slow
def test_all_begin_with_the_weights_of_process_0(tmp_path: Path) -> None:
    side_by_side(2, work, tmp_path)

    def loaded(name: str) -> dict[str, Tensor]:
        found: dict[str, Tensor] = torch.load(tmp_path / f"{name}.pt", weights_only=True)
        return found

    alone = TrainState(experiment(), 0, torch.device("cpu")).networks()
    assert any(name.startswith("average/") for name in alone)
    assert any(name.endswith(".u") for name in alone)
    first, second = loaded("0"), loaded("1")
    assert alone.keys() == first.keys() == second.keys()
    for name, tensor in alone.items():
        assert torch.equal(tensor, first[name]), name
        assert torch.equal(tensor, second[name]), name
    one, two = loaded("0-after"), loaded("1-after")
    assert all(torch.equal(one[name], two[name]) for name in one)


def copied(replicas: Replicas, folder: Path) -> bool:
    """Tensors of any form."""
    tensors = [
        torch.arange(6.0).view(2, 3).t() + replicas.rank,
        torch.full((), 7 * replicas.rank),
        torch.ones(0),
        torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last) * (replicas.rank + 1),
    ]
    replicas.copy_from_first(tensors)
    torch.save(tensors, folder / f"{replicas.rank}.pt")
    return True


@pytest.mark.slow
def test_tensors_in_any_order_of_memory_are_copied(tmp_path: Path) -> None:
    side_by_side(2, copied, tmp_path)
    transposed, number, nothing, image = torch.load(tmp_path / "1.pt", weights_only=True)
    assert transposed.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert not transposed.is_contiguous()
    assert number.item() == 0
    assert nothing.numel() == 0
    assert image.tolist() == torch.ones(2, 3, 4, 4).tolist()
