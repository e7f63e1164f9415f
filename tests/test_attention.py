"""Self-attention against loops over pairs of positions."""

import math

import pytest
import torch
from torch import Tensor, nn

from vidgan.nn import attention
from vidgan.nn.attention import (
    Attention,
    FullAttention,
    SeparableAttention,
    attend,
    attend_along,
    attend_fused,
)
from vidgan.nn.layers import Linear
from vidgan.nn.norm import BatchNormSpec, BatchStatistics, Clock, Context
from vidgan.nn.temporal import SelfAttentionSpec, SeparableSelfAttentionSpec, Size

F64 = torch.float64
TOLERANCE = {"rtol": 0.0, "atol": 1e-10}
Position = tuple[int, int, int]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def filled(layer: nn.Module, seed: int = 1) -> nn.Module:
    """The layer in float64 with Gaussian parameters, gains included, and converged singular vectors."""
    rng = torch.Generator().manual_seed(seed)
    layer.double()
    with torch.no_grad():
        for tensor in layer.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=rng, dtype=F64))
        for linear in layer.modules():
            if isinstance(linear, Linear):
                left, _, right = torch.linalg.svd(linear.weight)
                linear.u.copy_(left[:, 0])
                linear.v.copy_(right[0])
    return layer


def matrix(linear: nn.Module) -> Tensor:
    return linear.weight / torch.linalg.svdvals(linear.weight)[0]


def attended(layer: Attention, features: list[Tensor]) -> list[Tensor]:
    """x_i + gain O sum_j softmax_j(q_i . k_j) v_j, a loop over positions i and j; the logits are not scaled."""
    q, k, v, o = (matrix(linear) for linear in (layer.query, layer.key, layer.value, layer.out))
    outputs = []
    for x_i in features:
        powers = [torch.exp(torch.dot(q @ x_i, k @ x_j)) for x_j in features]
        seen = sum(p * (v @ x_j) for p, x_j in zip(powers, features, strict=True)) / sum(powers)
        outputs.append(x_i + layer.gain * (o @ seen))
    return outputs


def places(x: Tensor) -> list[Position]:
    _, t, _, h, w = x.shape
    return [(s, i, j) for s in range(t) for i in range(h) for j in range(w)]


def naive_full(layer: FullAttention, x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    for b in range(len(x)):
        positions = places(x)
        outputs = attended(layer.attention, [x[b, t, :, i, j] for t, i, j in positions])
        for (t, i, j), value in zip(positions, outputs, strict=True):
            y[b, t, :, i, j] = value
    return y


def naive_along(layer: Attention, x: Tensor, axis: int) -> Tensor:
    """Attention between positions of a clip that differ along one axis only; axis 0 is time, 1 height, 2 width."""
    y = torch.zeros_like(x)
    for b in range(len(x)):
        lines: dict[Position, list[Position]] = {}
        for position in places(x):
            start = tuple(0 if a == axis else p for a, p in enumerate(position))
            lines.setdefault(start, []).append(position)
        for line in lines.values():
            outputs = attended(layer, [x[b, t, :, i, j] for t, i, j in line])
            for (t, i, j), value in zip(line, outputs, strict=True):
                y[b, t, :, i, j] = value
    return y


@pytest.mark.slow
def test_attend_does_not_scale_the_logits() -> None:
    query, key, value = random(2, 3, 4), random(2, 5, 4, seed=1), random(2, 5, 6, seed=2)
    made = attend(query, key, value)
    for n in range(2):
        for i in range(3):
            powers = [torch.exp((query[n, i] * key[n, j]).sum()) for j in range(5)]
            expected = sum(powers[j] / sum(powers) * value[n, j] for j in range(5))
            torch.testing.assert_close(made[n, i], expected)


def test_full_attention_joins_all_positions() -> None:
    layer, x = filled(FullAttention(8)), random(2, 3, 8, 2, 2)
    torch.testing.assert_close(layer(x), naive_full(layer, x))


def test_full_attention_is_not_causal_and_stays_within_a_clip() -> None:
    layer, x = filled(FullAttention(8)), random(2, 3, 8, 2, 2)
    changed = x.clone()
    changed[0, 2, :, 1, 1] += 1
    moved = (layer(x) - layer(changed)).abs().sum(2) > 1e-9
    assert moved[0].all()
    assert not moved[1].any()


@pytest.mark.parametrize(("name", "axis", "naive_axis"), [("time", 1, 0), ("height", 3, 1), ("width", 4, 2)])
def test_attention_along_one_axis(name: str, axis: int, naive_axis: int) -> None:
    layer, x = filled(Attention(8)), random(2, 3, 8, 4, 2)
    made = attend_along(layer, x, axis)
    assert made.shape == x.shape
    torch.testing.assert_close(made, naive_along(layer, x, naive_axis))


def test_separable_attention_runs_over_height_width_and_time_in_turn() -> None:
    """Clark et al. 2019, 3.2."""
    layer, x = filled(SeparableAttention(8)), random(2, 3, 8, 4, 2)
    expected = naive_along(layer.height, x, axis=1)
    expected = naive_along(layer.width, expected, axis=2)
    expected = naive_along(layer.time, expected, axis=0)
    torch.testing.assert_close(layer(x), expected)
    otherwise = naive_along(layer.time, x, axis=0)
    otherwise = naive_along(layer.width, naive_along(layer.height, otherwise, axis=1), axis=2)
    assert (otherwise - expected).abs().max() > 1e-3  # the order can be told
    layer.time_first = True  # Du 2020, Figure 3.1: time, height, width
    otherwise = naive_along(layer.height, naive_along(layer.time, x, axis=0), axis=1)
    torch.testing.assert_close(layer(x), naive_along(layer.width, otherwise, axis=2))


@pytest.mark.parametrize("kind", [FullAttention, SeparableAttention])
def test_a_fresh_gain_is_zero_and_means_identity(kind: type[nn.Module]) -> None:
    layer, x = filled(kind(8)), random(2, 3, 8, 2, 2)
    for module in layer.modules():
        if isinstance(module, Attention):
            assert Attention(8).gain.item() == 0
            with torch.no_grad():
                module.gain.zero_()
    assert torch.equal(layer(x), x)
    layer(x).square().sum().backward()
    gains = [p.grad for name, p in layer.named_parameters() if name.endswith("gain")]
    assert all(g is not None and g != 0 for g in gains)  # and it can leave zero


def test_widths_are_an_eighth_and_a_half() -> None:
    """BigGAN's: queries and keys C/8, values C/2; no biases."""
    layer = Attention(48)
    shapes = {name: tuple(p.shape) for name, p in layer.named_parameters()}
    assert shapes == {
        "gain": (),
        "query.weight": (6, 48),
        "key.weight": (6, 48),
        "value.weight": (24, 48),
        "out.weight": (48, 24),
    }


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 3, 5), (2, 2, 3, 2), (1, 3, 1, 1)],
    ids=["one step, odd sides", "two clips", "one position"],
)
@pytest.mark.parametrize("kind", [FullAttention, SeparableAttention])
def test_values_and_gradients_are_those_of_the_loops(
    kind: type[nn.Module], shape: tuple[int, int, int, int]
) -> None:
    batch, steps, height, width = shape
    layer, x = filled(kind(8)), random(batch, steps, 8, height, width).requires_grad_()
    weight = random(*x.shape, seed=4)

    def naive(x: Tensor) -> Tensor:
        if isinstance(layer, FullAttention):
            return naive_full(layer, x)
        y = naive_along(layer.height, x, axis=1)
        return naive_along(layer.time, naive_along(layer.width, y, axis=2), axis=0)

    ours, theirs = layer(x), naive(x)
    torch.testing.assert_close(ours, theirs, **TOLERANCE)
    leaves = [x, *layer.parameters()]
    gradients = [torch.autograd.grad((y * weight).sum(), leaves) for y in (ours, theirs)]
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, **TOLERANCE)


def test_the_largest_tensor_of_separable_attention_is_small() -> None:
    """Memory max(H^2 W T, H W^2 T, H W T^2) instead of (H W T)^2 per clip (Clark et al. 2019, 3.2)."""
    b, t, h, w = 2, 3, 6, 5
    x = random(b, t, 8, h, w)

    def largest_map(layer: nn.Module) -> int:
        saved: list[int] = []

        def keep(tensor: Tensor) -> Tensor:
            is_map = tensor.dim() == 3 and tensor.shape[1] == tensor.shape[2]
            saved.append(tensor.numel() if is_map else 0)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            layer(x)
        return max(saved)

    assert largest_map(filled(FullAttention(8))) == b * (h * w * t) ** 2
    assert largest_map(filled(SeparableAttention(8))) == b * max(h * h * w * t, h * w * w * t, h * w * t * t)


@pytest.mark.parametrize(
    ("spec", "kind"),
    [(SelfAttentionSpec(), FullAttention), (SeparableSelfAttentionSpec(), SeparableAttention)],
)
def test_as_temporal_layers(
    spec: SelfAttentionSpec | SeparableSelfAttentionSpec, kind: type[nn.Module]
) -> None:
    layer = filled(spec.build(Size(8, 4, BatchNormSpec())))
    x = random(2, 3, 8, 2, 2)
    told = Context(random(2, 4), BatchStatistics(), Clock())
    made = layer(x, told)
    assert spec.context is None
    assert isinstance(layer.attention, kind)
    torch.testing.assert_close(made, layer.attention(x))
    assert math.isfinite(made.sum().item())


@pytest.mark.parametrize("most", [1, 3, 7, 65_535])
def test_attention_by_torch_in_parts_is_the_loop(most: int) -> None:
    """What a GPU takes: each row alone, the logits not scaled; values and gradients."""
    rows, length, narrow, half = 7, 4, 3, 5
    q, k, v = (
        random(rows, length, width, seed=s).requires_grad_() for s, width in enumerate((narrow, narrow, half))
    )
    expected = []
    for n in range(rows):
        for i in range(length):
            powers = [torch.exp(torch.dot(q[n, i], k[n, j])) for j in range(length)]
            expected.append(sum(p * v[n, j] for j, p in enumerate(powers)) / sum(powers))
    theirs = torch.stack(expected).view(rows, length, half)
    ours, weight = attend_fused(q, k, v, most), random(rows, length, half, seed=4)
    torch.testing.assert_close(ours, theirs, **TOLERANCE)
    for first, second in zip(
        *(torch.autograd.grad((y * weight).sum(), (q, k, v)) for y in (ours, theirs)), strict=True
    ):
        torch.testing.assert_close(first, second, **TOLERANCE)


@pytest.mark.slow
def test_fused_kernels_get_an_axis_of_heads_and_no_more_rows_than_they_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Along the time of 20 clips of 64x64; on the meta device, which goes where a GPU does."""
    given: list[tuple[int, ...]] = []

    def kernel(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        given.append(tuple(query.shape))
        return value

    monkeypatch.setattr(attention.F, "scaled_dot_product_attention", kernel)
    shape = (20, 12, 2, 64, 64)
    with torch.device("meta"):
        layer = SeparableAttention(2)
        assert layer(torch.empty(shape)).shape == shape
    rows = 20 * 64 * 64
    assert [g for g in given if g[2] == 12] == [(65_535, 1, 12, 1), (rows - 65_535, 1, 12, 1)]
    assert {len(g) for g in given} == {4}
