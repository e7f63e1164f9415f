"""Winograd's algorithm, with and without the change of size beside the convolution, against torch's convolution."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vidgan.nn import winograd as algorithm
from vidgan.nn.layers import Conv2d, Conv3d, fold_resizing, held_weights, power_iterate
from vidgan.nn.winograd import (
    POOLED,
    SAME,
    UPSAMPLED,
    Resizing,
    winograd,
    winograd_by,
    winograd_kernel,
    winograd_pays,
)

RESIZINGS = {"same": SAME, "upsampled": UPSAMPLED, "pooled": POOLED}
SIZES = {
    "frames": ((3, 5, 8, 12), (7, 5, 3, 3)),
    "frames in several blocks": ((150, 2, 8, 4), (3, 2, 3, 3)),
    "clips": ((2, 5, 4, 8, 8), (7, 5, 3, 3, 3)),
    "clips in several blocks": ((5, 2, 14, 8, 16), (3, 2, 3, 3, 3)),
    "clips of one step": ((2, 5, 1, 8, 8), (7, 5, 3, 3, 3)),
    "clips of two steps": ((40, 2, 2, 8, 8), (3, 2, 3, 3, 3)),
    "clips, frames apart": ((40, 2, 3, 8, 8), (3, 2, 1, 3, 3)),
}


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def plain(x: Tensor, weight: Tensor, bias: Tensor | None, resizing: Resizing) -> Tensor:
    if resizing is UPSAMPLED:
        x = x.repeat_interleave(2, -1).repeat_interleave(2, -2)
    if x.ndim == 4:
        y = F.conv2d(x, weight, bias, padding=1)
    else:
        y = F.conv3d(x, weight, bias, padding=(weight.shape[2] // 2, 1, 1))
    if resizing is POOLED:
        y = (y[..., ::2, ::2] + y[..., 1::2, ::2] + y[..., ::2, 1::2] + y[..., 1::2, 1::2]) / 4
    return y


@pytest.mark.parametrize("resizing", RESIZINGS.values(), ids=RESIZINGS)
@pytest.mark.parametrize(("shape", "kernel"), SIZES.values(), ids=SIZES)
def test_values_and_gradients(resizing: Resizing, shape: tuple[int, ...], kernel: tuple[int, ...]) -> None:
    x, weight, bias = random(*shape), random(*kernel, seed=1), random(kernel[0], seed=2)
    for tensor in (x, weight, bias):
        tensor.requires_grad_()
    made = winograd(x, weight, bias, resizing)
    expected = plain(x, weight, bias, resizing)
    torch.testing.assert_close(made, expected, rtol=1e-12, atol=1e-12)
    above = random(*expected.shape, seed=3)
    gradients = (torch.autograd.grad(y, (x, weight, bias), above) for y in (made, expected))
    for own, other in zip(*gradients, strict=True):
        assert (own - other).abs().max() <= 1e-12 * other.abs().max()


def test_any_order_in_memory() -> None:
    weight = random(7, 5, 3, 3, 3, seed=1)
    x = random(2, 4, 8, 8, 5).permute(0, 4, 1, 2, 3)
    for seen in (x, x.contiguous(), x.transpose(0, 2).contiguous().transpose(0, 2)):
        made = winograd(seen, weight, None)
        torch.testing.assert_close(made, plain(x, weight, None, SAME), rtol=1e-12, atol=1e-12)
    assert made.permute(0, 2, 3, 4, 1).is_contiguous()


def test_no_kernel_is_kept_for_the_backward_pass() -> None:
    x, weight = random(4, 16, 8, 8).requires_grad_(), random(16, 16, 3, 3, seed=1).requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()), lambda _: x):
        winograd(x, weight, None)
    assert sorted(kept) == sorted([x.numel(), weight.numel()])


def test_a_second_derivative_is_refused() -> None:
    x, weight = random(4, 16, 8, 8).requires_grad_(), random(16, 16, 3, 3, seed=1)
    (first,) = torch.autograd.grad(winograd(x, weight, None).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_float32_keeps_its_digits() -> None:
    x, weight = random(8, 256, 8, 8).relu(), random(256, 256, 3, 3, seed=1) / 48
    expected = plain(x, weight, None, SAME)
    made = winograd(x.float(), weight.float(), None)
    assert (made - expected).abs().max() < 4e-6 * expected.abs().max()


def test_a_tile_takes_a_quarter_of_the_multiplications() -> None:
    x, weight = random(4, 64, 8, 8), random(64, 64, 3, 3, seed=1)
    kernel = winograd_kernel(weight)
    with FlopCounterMode(display=False) as counter:
        winograd_by(kernel, x, None)
    # Besides the transforms by 36x36 and 16x36 matrices, which wide layers hardly feel.
    assert counter.get_total_flops() == 2 * 16 * (36 * 64 * 64 + 36 * 36 * 64 + 16 * 36 * 64)


@pytest.mark.parametrize("options", [{}, {"upsample": True}, {"downsample": True}], ids=str)
def test_a_layer_of_frames(options: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Conv2d(3, 5).double()
    power_iterate(layer, 20)
    x = random(2, 3, 8, 8)
    fold_resizing(layer, False)
    expected = layer(x, **options)
    fold_resizing(layer, True)
    monkeypatch.setattr(algorithm, "PAYS", algorithm.Least(channels=1, tiles=1))
    with FlopCounterMode(display=False) as counter:
        torch.testing.assert_close(layer(x, **options), expected, rtol=1e-12, atol=1e-12)
    assert torch.ops.aten.bmm in counter.get_flop_counts()["Global"]
    with held_weights(layer), torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(layer(x, **options), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("downsample", [False, True])
@pytest.mark.parametrize("halve_time", [False, True])
def test_a_layer_of_clips(downsample: bool, halve_time: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Conv3d(3, 5).double()
    x = random(2, 3, 5, 8, 8)
    fold_resizing(layer, False)
    expected = layer(x, downsample=downsample, halve_time=halve_time)
    fold_resizing(layer, True)
    monkeypatch.setattr(algorithm, "PAYS", algorithm.Least(channels=1, tiles=1))
    with FlopCounterMode(display=False) as counter:
        made = layer(x, downsample=downsample, halve_time=halve_time)
    torch.testing.assert_close(made, expected, rtol=1e-12, atol=1e-12)
    assert torch.ops.aten.bmm in counter.get_flop_counts()["Global"]


def test_where_it_is_used() -> None:
    wide, narrow = torch.empty(256, 256, 3, 3), torch.empty(256, 128, 3, 3)
    assert winograd_pays(torch.empty(32, 256, 4, 4), wide, SAME)
    assert winograd_pays(torch.empty(8, 256, 4, 4), wide, UPSAMPLED)
    assert winograd_pays(torch.empty(2, 128, 4, 8, 8), torch.empty(128, 128, 3, 3, 3), POOLED)
    assert not winograd_pays(torch.empty(31, 256, 4, 4), wide, SAME)
    assert not winograd_pays(torch.empty(32, 256, 4, 6), wide, SAME)
    assert not winograd_pays(torch.empty(32, 128, 4, 4), narrow, SAME)
    assert not winograd_pays(torch.empty(32, 256, 4, 4), torch.empty(256, 256, 1, 1), SAME)
    assert not winograd_pays(torch.empty(32, 256, 4, 4, dtype=torch.bfloat16), wide, SAME)
    assert not winograd_pays(torch.empty(32, 256, 4, 4, device="meta"), wide, SAME)
    # Few cells of a wider layer are one matrix product.
    assert not winograd_pays(torch.empty(32, 512, 4, 4), torch.empty(512, 512, 3, 3), SAME)
