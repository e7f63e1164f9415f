"""Convolutions that take in the change of size beside them, against doing one after the other."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import catalog
import steps
from vidgan.nn import convolution
from vidgan.nn.blocks import (
    Convolution3d,
    DeepGeneratorBlock,
    DiscriminatorBlock,
    GeneratorBlock,
)
from vidgan.nn.convolution import folding_pays
from vidgan.nn.layers import (
    Conv2d,
    Conv3d,
    OrthogonalSpec,
    WeightLayer,
    fold_resizing,
    held_weights,
    initialise,
    power_iterate,
)
from vidgan.seeds import stream

F64 = torch.float64


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fold maps of few cells too."""
    monkeypatch.setattr(convolution, "PAYS", convolution.Least(side=4, cells=1))


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def double(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)


def halve(x: Tensor) -> Tensor:
    """Means over 2x2 cells; an odd last row or column is dropped."""
    x = x[..., : x.shape[-2] // 2 * 2, : x.shape[-1] // 2 * 2]
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4


def halve_time(x: Tensor) -> Tensor:
    """Means over pairs of steps of a clip (B C T H W); an odd last step is dropped, a single one stays."""
    if x.shape[2] == 1:
        return x
    x = x[:, :, : x.shape[2] // 2 * 2]
    return (x[:, :, ::2] + x[:, :, 1::2]) / 2


def sigma(layer: WeightLayer) -> Tensor:
    """u^T W v, whose gradient is u v^T."""
    return layer.u @ layer.weight.flatten(1) @ layer.v


def plain2d(layer: Conv2d, x: Tensor) -> Tensor:
    return F.conv2d(x, layer.weight / sigma(layer), layer.bias, padding=1)


def plain3d(layer: Conv3d, x: Tensor) -> Tensor:
    return F.conv3d(x, layer.weight / sigma(layer), layer.bias, padding=layer.padding)


def gradients(made: Tensor, layer: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad((made * random(*made.shape, seed=9)).sum(), [x, *layer.parameters()])


def assert_same(
    layer: WeightLayer, x: Tensor, ours: Callable[[Tensor], Tensor], plain: Callable[[Tensor], Tensor]
) -> None:
    """Values and gradients agree to twelve digits, and ours takes fewer multiplications."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(random(*parameter.shape, seed=parameter.ndim))
    power_iterate(layer, 50)
    x.requires_grad_()
    with FlopCounterMode(display=False) as counter:
        made = ours(x)
    expected = plain(x)
    torch.testing.assert_close(made, expected, rtol=1e-12, atol=1e-12)
    for own, other in zip(gradients(made, layer, x), gradients(expected, layer, x), strict=True):
        assert (own - other).abs().max() <= 1e-12 * other.abs().max()
    with FlopCounterMode(display=False) as whole:
        plain(x)
    assert counter.get_total_flops() < 0.6 * whole.get_total_flops()


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("size", [(4, 4), (5, 8)])
def test_a_convolution_of_enlarged_frames(size: tuple[int, int]) -> None:
    layer = Conv2d(3, 5).double()
    x = random(2, 3, *size)
    assert_same(layer, x, lambda x: layer(x, upsample=True), lambda x: plain2d(layer, double(x)))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("size", [(8, 8), (9, 10), (8, 11)])
def test_frames_shrunk_after_a_convolution(size: tuple[int, int]) -> None:
    layer = Conv2d(3, 5).double()
    x = random(2, 3, *size)
    assert_same(layer, x, lambda x: layer(x, downsample=True), lambda x: halve(plain2d(layer, x)))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("kernel", [3, 1])
@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("pairs", [False, True])
def test_a_clip_shrunk_after_a_convolution(kernel: int, steps: int, pairs: bool) -> None:
    layer = Conv3d(3, 4, (kernel, 3, 3)).double()

    def plain(x: Tensor) -> Tensor:
        y = halve(plain3d(layer, x))
        return halve_time(y) if pairs else y

    x = random(2, 3, steps, 8, 9)
    assert_same(layer, x, lambda x: layer(x, downsample=True, halve_time=pairs), plain)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    "block",
    [
        GeneratorBlock(4, 3, 5, upsample=True),
        DeepGeneratorBlock(8, 4, 5, upsample=True),
        DiscriminatorBlock(3, 4, downsample=True),
        DiscriminatorBlock(3, 4, conv3d=True, downsample=True, halve_time=True, first=True),
        Convolution3d(3, 4, downsample=True),
    ],
    ids=lambda block: type(block).__name__,
)
def test_blocks_are_the_same_function_folded_or_not(block: nn.Module) -> None:
    initialise(block, OrthogonalSpec(), stream(0, "block"))
    block.double()
    channels = next(p for p in block.parameters() if p.ndim > 3).shape[1]
    x = random(2, 4, channels, 8, 8).requires_grad_()
    made, counted, slopes = [], [], []
    for on in (True, False):
        fold_resizing(block, on)
        with FlopCounterMode(display=False) as counter:
            made.append(block(x))
        counted.append(counter.get_total_flops())
        used = [p for p in block.parameters() if p.requires_grad]
        slopes.append(torch.autograd.grad(made[-1].square().sum(), [x, *used], allow_unused=True))
    assert counted[0] < counted[1]
    torch.testing.assert_close(made[0], made[1], rtol=1e-12, atol=1e-12)
    # A bias before batch normalisation has none but what rounding leaves of sums of the others.
    largest = torch.stack([plain.abs().max() for plain in slopes[1] if plain is not None]).max()
    for folded, plain in zip(*slopes, strict=True):
        if folded is not None:
            assert (folded - plain).abs().max() <= 1e-12 * torch.maximum(plain.abs().max(), largest / 100)


@pytest.mark.slow
@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("demo", 0),
        pytest.param("trivd-gan-fp-k600-16x64", 0, marks=pytest.mark.slow),
        pytest.param("ssw-gan-k600-48x128", 1, marks=pytest.mark.slow),
    ],
)
def test_a_whole_step_is_the_same_function_folded_or_not(name: str, index: int) -> None:
    """``--training.folded``: losses, and gradients after an update of the discriminators."""
    experiment = steps.one_discriminator_update(steps.batched(catalog.experiments()[name], 2))
    scalars, slopes, counted = [], [], []
    for on in (True, False):
        training = experiment.training.replace(folded=on)
        state = steps.level_state(experiment.replace(training=training), index)
        with FlopCounterMode(display=False) as counter:
            scalars.append(steps.run_step(state))
        slopes.append(steps.gradients(state))
        counted.append(counter.get_total_flops())
    assert counted[0] < counted[1]
    for key, value in scalars[1].items():
        torch.testing.assert_close(scalars[0][key], value, rtol=1e-9, atol=1e-11)
    assert steps.largest_difference(*slopes) < 1e-6


def test_small_maps_and_other_kernels_are_left_as_they_are() -> None:
    single = torch.zeros(())
    assert folding_pays(single, 64, 4, 4)
    assert not folding_pays(single, 63, 4, 4)
    assert not folding_pays(single, 640, 2, 8)
    layer = Conv2d(2, 2, 1).double()
    expected = F.conv2d(double(random(1, 2, 8, 8)), layer.effective_weight(F64), layer.bias)
    torch.testing.assert_close(layer(random(1, 2, 8, 8), upsample=True), expected)


@pytest.mark.parametrize(
    ("amx", "device", "side"), [(True, "cpu", 16), (False, "cpu", 8), (False, "meta", 16)]
)
def test_bfloat16_is_folded_by_what_the_processor_has(
    amx: bool, device: str, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "has_matrix_unit", lambda: amx)
    x = torch.zeros((), dtype=torch.bfloat16, device=device)
    assert folding_pays(x, 64, side, side)
    assert not folding_pays(x, 1000, side // 2, side // 2)


@pytest.mark.usefixtures("always")
def test_held_weights_are_made_once_and_forgotten() -> None:
    layer, x = Conv2d(3, 4).double(), random(1, 3, 8, 8)
    with torch.no_grad():
        before, wide = layer(x), layer(x, upsample=True)
        with held_weights(layer):
            for _ in range(2):
                assert torch.equal(layer(x), before)
                assert torch.equal(layer(x, upsample=True), wide)
                layer.weight[0].mul_(3)
        assert not torch.equal(layer(x), before)
        assert not torch.equal(layer(x, upsample=True), wide)


def test_weights_are_held_until_the_outer_block_ends() -> None:
    layer, other, x = Conv2d(3, 4).double(), Conv2d(3, 4).double(), random(1, 3, 8, 8)
    with torch.no_grad():
        before = layer(x)
        with held_weights(layer, other):
            layer(x)
            with held_weights(layer):
                layer.weight[0].mul_(3)
            assert torch.equal(layer(x), before)
        assert not torch.equal(layer(x), before)


def test_nobody_holds_the_weights_of_a_copy() -> None:
    layer, x = Conv2d(3, 4).double(), random(1, 3, 8, 8)
    with torch.no_grad(), held_weights(layer):
        before = layer(x)
        other = copy.deepcopy(layer)
        other.weight[0].mul_(3)
        assert not torch.equal(other(x), before)


def test_held_weights_still_get_their_gradients() -> None:
    layer, x = Conv2d(3, 4).double(), random(1, 3, 8, 8)
    with held_weights(layer):
        with torch.no_grad():
            layer(x)
        layer(x).square().sum().backward()
        held = layer.weight.grad
        layer.weight.grad = None
        layer.requires_grad_(False)
        y = x.clone().requires_grad_()
        layer(y).square().sum().backward()
    assert layer.weight.grad is None
    assert y.grad is not None, "frozen weights pass a gradient on"
    layer.requires_grad_(True)
    layer(x).square().sum().backward()
    assert held is not None
    torch.testing.assert_close(held, layer.weight.grad)
