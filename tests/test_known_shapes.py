"""Operators on the meta device that are asked once give what torch gives each time."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vidgan.models.known_shapes import KnownShapes, operations

Work = Callable[[Tensor, Tensor], object]


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


CALLS: tuple[Work, ...] = (
    lambda x, w: x + 1,
    lambda x, w: x.half() + x,
    lambda x, w: x.transpose(1, 3) * 2,
    lambda x, w: x.contiguous(memory_format=torch.channels_last).relu(),
    lambda x, w: torch.nn.functional.conv2d(x, w, padding=1),
    lambda x, w: torch.nn.functional.conv2d(x, w, stride=2),
    lambda x, w: torch.var_mean(x, dim=(0, 2)),
    lambda x, w: x.sum(),
    lambda x, w: x > 0,
    lambda x, w: torch.cat([x, x], dim=1),
    lambda x, w: torch.cat([x, x], dim=2),
    lambda x, w: x.sum(dim=1, dtype=torch.float64),
    lambda x, w: x + 1.5,
    lambda x, w: x.long() + True,
    lambda x, w: x.long() + 1.0,
)


def described(made: object) -> object:
    if isinstance(made, Tensor):
        return made.shape, made.stride(), made.dtype, made.device
    assert isinstance(made, tuple)
    return [described(each) for each in made]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_known_is_what_torch_tells(dtype: torch.dtype) -> None:
    for _ in range(2):  # the second time, all is known
        for work in CALLS:
            x, w = meta(2, 4, 6, 6, dtype=dtype), meta(8, 4, 3, 3, dtype=dtype)
            with KnownShapes():
                made = work(x, w)
            assert described(made) == described(work(x, w))


def test_each_result_is_a_tensor_of_its_own() -> None:
    x = meta(3)
    with KnownShapes():
        a, b = x + 1, x + 1
    assert a.untyped_storage()._cdata != b.untyped_storage()._cdata


def test_views_and_changes_stay_what_they_are() -> None:
    with KnownShapes():
        for _ in range(2):
            x = meta(4, 4)
            assert x.view(16).untyped_storage()._cdata == x.untyped_storage()._cdata
            assert x.add_(1) is x


def test_tensors_with_content_are_computed() -> None:
    with KnownShapes():
        for _ in range(2):
            assert (torch.ones(3) + torch.ones(3)).tolist() == [2, 2, 2]


def test_operations_of_a_forward_and_backward_pass_are_those_that_torch_counts() -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3), torch.nn.Flatten()
    ).to("meta")

    def step() -> None:
        network(meta(2, 3, 9, 9)).square().mean().backward()

    with FlopCounterMode(display=False) as counted:
        step()
    for _ in range(2):
        with operations() as found:
            step()
        assert found.get_total_flops() == counted.get_total_flops() > 0
