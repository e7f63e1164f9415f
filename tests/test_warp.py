"""Warps: Luc et al. 2020, appendix B and F.1."""

import pytest
import torch
from torch import Tensor

import naive
from vidgan.nn import warping
from vidgan.nn.layers import NormalSpec, WeightLayer, initialise
from vidgan.nn.warping import (
    FactorisedWarp,
    FactorisedWarpSpec,
    PixelwiseWarp,
    PixelwiseWarpSpec,
    combine,
    warp,
)
from vidgan.spec import SpecError

F64 = torch.float64
TOLERANCE = {"rtol": 0.0, "atol": 1e-10}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=F64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def exact_sigma(module: torch.nn.Module) -> None:
    """Random weights and biases in float64, with the singular vectors that iterating would converge to."""
    module.double()
    rng = torch.Generator().manual_seed(1)
    initialise(module, NormalSpec(deviation=0.5), rng)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, WeightLayer):
                left, _, right = torch.linalg.svd(layer.weight.flatten(1), full_matrices=False)
                layer.get_buffer("u").copy_(left[:, 0])
                layer.get_buffer("v").copy_(right[0])
                assert layer.bias is not None
                layer.bias.normal_(std=0.5, generator=rng)


def check(actual: Tensor, expected: Tensor, inputs: list[Tensor]) -> None:
    """Values and gradients agree."""
    torch.testing.assert_close(actual, expected, **TOLERANCE)
    probe = random(*expected.shape, seed=9).detach()
    gradients = [torch.autograd.grad((y * probe).sum(), inputs) for y in (actual, expected)]
    for mine, reference in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, reference, **TOLERANCE)


@pytest.mark.parametrize("at_once", [False, True], ids=["tap after tap", "all taps at once"])
@pytest.mark.parametrize("shape", [(1, 1, 3, 5), (2, 3, 4, 4), (1, 2, 1, 2)])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_warp_is_equation_11(
    shape: tuple[int, int, int, int], k: int, at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warping, "at_once", lambda h, kernels: at_once)
    h, kernels = random(*shape), random(shape[0], k * k, *shape[2:], seed=1)
    expected = torch.stack([naive.warp(a, b) for a, b in zip(h, kernels, strict=True)])
    check(warp(h, kernels), expected, [h, kernels])


@pytest.mark.parametrize("at_once", [False, True], ids=["tap after tap", "all taps at once"])
def test_memory_order_changes_nothing(at_once: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warping, "at_once", lambda h, kernels: at_once)
    h, kernels = random(2, 3, 4, 5), random(2, 9, 4, 5, seed=1)
    last = [t.detach().to(memory_format=torch.channels_last).requires_grad_() for t in (h, kernels)]
    warped = warp(last[0], last[1])
    assert at_once or warped.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(warped, warp(h, kernels), **TOLERANCE)
    gradients = torch.autograd.grad(warped.square().sum(), last)
    for mine, reference in zip(
        gradients, torch.autograd.grad(warp(h, kernels).square().sum(), [h, kernels]), strict=True
    ):
        torch.testing.assert_close(mine, reference, **TOLERANCE)


@pytest.mark.parametrize("k", [3, 5])
def test_one_hot_kernels_shift_exactly(k: int) -> None:
    h = random(1, 2, 7, 5).detach()
    for m in range(k):
        for n in range(k):
            kernels = torch.zeros(1, k * k, 7, 5, dtype=F64)
            kernels[:, m * k + n] = 1
            down, right = k // 2 - m, k // 2 - n  # the way that the content goes
            expected = torch.zeros_like(h)
            for i in range(7):
                for j in range(5):
                    if 0 <= i - down < 7 and 0 <= j - right < 5:
                        expected[:, :, i, j] = h[:, :, i - down, j - right]
            assert torch.equal(warp(h, kernels), expected)


def test_a_gpu_multiplies_all_taps_at_once_on_small_maps() -> None:
    small, large = (torch.empty((1, 32, side, side), device="meta") for side in (32, 512))
    for h, expected in ((small, True), (large, False)):
        assert warping.at_once(h, h[:, :9]) == expected
    assert not warping.at_once(torch.empty(1, 2, 4, 4), torch.empty(1, 9, 4, 4))


def test_combine_is_equation_12() -> None:
    w, selection = random(2, 9, 4), random(2, 4, 3, 5, seed=1)
    expected = torch.stack([naive.combine(a, b) for a, b in zip(w, selection, strict=True)])
    check(combine(w, selection), expected, [w, selection])


@pytest.mark.slow
@pytest.mark.parametrize("size", [(3, 2), (4, 4), (5, 7)])
def test_factorised_hypernetwork(size: tuple[int, int]) -> None:
    module = FactorisedWarpSpec(kernels=4).build(6)
    assert isinstance(module, FactorisedWarp)
    exact_sigma(module)
    x = random(2, 6, *size)
    w = {name: naive.normalise(p) for name, p in module.named_parameters() if name.endswith("weight")}
    b = {name: p for name, p in module.named_parameters() if name.endswith("bias")}
    expected = []
    for sample in x:
        features = torch.relu(naive.convolve(sample, w["features.weight"], b["features.bias"]))
        pooled = naive.pool(features, 4).reshape(-1)
        hidden = torch.relu(naive.affine(pooled, w["hidden.weight"], b["hidden.bias"]))
        logits = naive.affine(hidden, w["basis.weight"], b["basis.bias"]).reshape(9, 4)
        basis = torch.stack([naive.softmax(logits[:, number]) for number in range(4)], dim=1)
        selection = naive.softmax_maps(naive.convolve(sample, w["selection.weight"], b["selection.bias"]))
        expected.append(naive.combine(basis, selection))
    assert module.features.weight.shape[0] == module.hidden.weight.shape[0] == 3
    kernels = module.bind(F64)(x)
    check(kernels, torch.stack(expected), [x, *module.parameters()])
    torch.testing.assert_close(kernels.sum(1), torch.ones(2, *size, dtype=F64), **TOLERANCE)


def test_pixelwise_hypernetwork() -> None:
    module = PixelwiseWarpSpec().build(4)
    assert isinstance(module, PixelwiseWarp)
    exact_sigma(module)
    x = random(2, 4, 3, 5)
    expected = []
    for sample in x:
        features = sample
        for layer in (module.first, module.second):
            features = torch.relu(naive.convolve(features, naive.normalise(layer.weight), layer.bias))
        last = naive.convolve(features, naive.normalise(module.last.weight), module.last.bias)
        expected.append(naive.softmax_maps(last))
    assert module.first.weight.shape[0] == module.second.weight.shape[0] == 2
    check(module.bind(F64)(x), torch.stack(expected), [x, *module.parameters()])


@pytest.mark.parametrize(("size", "why"), [(0, "at least 1"), (2, "odd"), (-3, "at least 1")])
def test_even_kernels_are_refused(size: int, why: str) -> None:
    for spec in (FactorisedWarpSpec, PixelwiseWarpSpec):
        with pytest.raises(SpecError, match=why):
            spec(size=size)
