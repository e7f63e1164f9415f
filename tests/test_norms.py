"""Normalisation against loops over time steps and channels, and its fused operations against plain ones."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from vidgan.nn import norm
from vidgan.nn.layers import power_iterate
from vidgan.nn.norm import (
    BatchNormAllFramesSpec,
    BatchNormSpec,
    BatchStatistics,
    Clock,
    ConditionalNormReLU,
    Context,
    GroupNormSpec,
    InstanceNormSpec,
    LearntNormReLU,
    NoNormSpec,
    NormReLU,
    NormSpec,
    RecordedStatistics,
    StandingStatistics,
    Statistics,
    mean_and_square,
    name_norms,
    scale_shift_relu,
)
from vidgan.spec import SpecError

F64 = torch.float64
EPSILON = 1e-5
B, T, C, H, W, K = 3, 4, 6, 2, 5, 7


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def video(seed: int = 0) -> Tensor:
    """Features (B T C H W) whose mean and spread differ between steps, channels and clips."""
    offset = random(B, T, C, 1, 1, seed=seed + 100)
    return offset + random(B, T, C, H, W, seed=seed) * (1 + offset.abs())


def standard(values: Tensor) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) over all entries, with the biased variance."""
    mean = values.sum() / values.numel()
    variance = ((values - mean) ** 2).sum() / values.numel()
    return (values - mean) / torch.sqrt(variance + EPSILON)


def per_step(x: Tensor) -> Tensor:
    """Statistics are not reduced over time (Clark et al. 2019, A.2)."""
    y = torch.zeros_like(x)
    for t in range(x.shape[1]):
        for c in range(x.shape[2]):
            y[:, t, c] = standard(x[:, t, c])
    return y


def all_frames(x: Tensor) -> Tensor:
    """Over all frames of all batch elements (Clark et al. 2019, C)."""
    y = torch.zeros_like(x)
    for c in range(x.shape[2]):
        y[:, :, c] = standard(x[:, :, c])
    return y


def grouped(groups: int) -> Callable[[Tensor], Tensor]:
    def group(x: Tensor) -> Tensor:
        y, each = torch.zeros_like(x), x.shape[2] // groups
        for b in range(x.shape[0]):
            for t in range(x.shape[1]):
                for g in range(groups):
                    part = slice(g * each, (g + 1) * each)
                    y[b, t, part] = standard(x[b, t, part])
        return y

    return group


def unchanged(x: Tensor) -> Tensor:
    return x / (1 + EPSILON) ** 0.5


NORMS: dict[str, tuple[NormSpec, Callable[[Tensor], Tensor]]] = {
    "batch": (BatchNormSpec(), per_step),
    "batch, all frames": (BatchNormAllFramesSpec(), all_frames),
    "two groups": (GroupNormSpec(groups=2), grouped(2)),
    "layer": (GroupNormSpec(groups=1), grouped(1)),
    "more groups than channels": (GroupNormSpec(groups=32), grouped(6)),
    "groups that do not divide": (GroupNormSpec(groups=4), grouped(3)),
    "instance": (InstanceNormSpec(), grouped(C)),
    "none": (NoNormSpec(), unchanged),
}


def filled(layer: nn.Module, seed: int) -> nn.Module:
    rng = torch.Generator().manual_seed(seed)
    layer.double()
    with torch.no_grad():
        for tensor in layer.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=rng, dtype=F64))
        for name, tensor in layer.named_buffers():
            if name.endswith((".u", ".v")):
                drawn = torch.randn(tensor.shape, generator=rng, dtype=F64)
                tensor.copy_(drawn / drawn.norm())
    power_iterate(layer)
    return layer


def context(statistics: Statistics | None = None, start: int | Tensor = 0, seed: int = 9) -> Context:
    return Context(random(B, K, seed=seed), statistics or BatchStatistics(), Clock(start))


def affine_of(linear: nn.Module, condition: Tensor) -> Tensor:
    """W c + b for every clip, W divided by u^T W v."""
    weight = linear.weight / (linear.u @ linear.weight @ linear.v)
    return torch.stack([weight @ c + linear.bias for c in condition])


def conditional(layer: nn.Module, normalised: Tensor, condition: Tensor) -> Tensor:
    """relu((1 + gain(condition)) x + bias(condition)), element by element over clips, steps and channels."""
    gain, bias = affine_of(layer.gain, condition), affine_of(layer.bias, condition)
    rows = []
    for b in range(normalised.shape[0]):
        for t in range(normalised.shape[1]):
            for c in range(normalised.shape[2]):
                rows.append(torch.relu(normalised[b, t, c] * (1 + gain[b, c]) + bias[b, c]))
    return torch.stack(rows).reshape(normalised.shape)


@pytest.mark.parametrize("name", NORMS)
def test_conditional_norm(name: str) -> None:
    spec, naive = NORMS[name]
    layer = filled(ConditionalNormReLU(C, K, spec), seed=1)
    x, told = video(), context()
    made = layer(x, told)
    torch.testing.assert_close(made, conditional(layer, naive(x), told.condition))
    assert 0.2 < (made > 0).double().mean() < 0.8  # both sides of the rectifier are compared


def test_the_kinds_of_norm_differ() -> None:
    different = [spec for spec, _ in NORMS.values() if spec != GroupNormSpec(groups=32)]
    outputs = [filled(ConditionalNormReLU(C, K, spec), seed=1)(video(), context()) for spec in different]
    for i, first in enumerate(outputs):
        assert all((first - other).abs().max() > 1e-2 for other in outputs[:i])


def test_the_gain_is_around_one() -> None:
    layer = ConditionalNormReLU(C, K, BatchNormSpec()).double()
    nn.init.constant_(layer.gain.weight, 1.0)
    nn.init.constant_(layer.bias.weight, 1.0)
    nothing = Context(torch.zeros(B, K, dtype=F64), BatchStatistics(), Clock())
    torch.testing.assert_close(layer(video(), nothing), torch.relu(per_step(video())))


def test_each_clip_gets_the_gain_of_its_own_condition() -> None:
    layer = filled(ConditionalNormReLU(C, K, NoNormSpec()), seed=1)
    told = context()
    other = told.condition.clone()
    other[1] += 1
    before, after = layer(video(), told), layer(video(), told._replace(condition=other))
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.equal(before[1], after[1])


def test_learnt_norm() -> None:
    """The last normalisation has a regular learnt scale and offset (Luc et al. 2020, E.2)."""
    layer = LearntNormReLU(C, BatchNormSpec()).double()
    x = video()
    torch.testing.assert_close(layer(x, context()), torch.relu(per_step(x)))  # starts as scale 1, offset 0
    layer = filled(layer, seed=2)
    expected = per_step(x)
    for c in range(C):
        expected[:, :, c] = torch.relu(expected[:, :, c] * layer.gain[c] + layer.bias[c])
    torch.testing.assert_close(layer(x, context()), expected)
    assert torch.equal(layer(x, context(seed=3)), layer(x, context(seed=4)))


def test_a_step_is_blind_to_other_steps_unless_all_frames_are_joined() -> None:
    x, changed = video(), video()
    changed[:, 2] = video(seed=5)[:, 2]
    for spec, _ in NORMS.values():
        layer = filled(ConditionalNormReLU(C, K, spec), seed=1)
        same = (layer(x, context()) == layer(changed, context())).flatten(2).all(2).all(0)
        assert same.tolist() == (
            [False] * 4 if spec == BatchNormAllFramesSpec() else [True, True, False, True]
        )


@pytest.mark.parametrize("name", NORMS)
def test_gradients_of_a_norm_layer(name: str) -> None:
    spec, naive = NORMS[name]
    layer = filled(ConditionalNormReLU(C, K, spec), seed=1)
    weight = random(B, T, C, H, W, seed=3)
    gradients = []
    for use in (lambda x, told: layer(x, told), lambda x, told: conditional(layer, naive(x), told.condition)):
        x, told = video().requires_grad_(), context()
        told.condition.requires_grad_()
        leaves = [x, told.condition, *layer.parameters()]
        gradients.append(torch.autograd.grad((use(x, told) * weight).sum(), leaves))
    for ours, naively in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, naively, rtol=1e-7, atol=1e-10)


def test_fused_operations_pass_gradcheck() -> None:
    x = random(2, 2, 3, 2, 2).requires_grad_()
    scale, shift = random(2, 2, 3, seed=1).requires_grad_(), random(2, 2, 3, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(scale_shift_relu, (x, scale, shift))
    for over_time in (False, True):
        assert torch.autograd.gradcheck(lambda x, whole=over_time: mean_and_square(x, whole), (x,))


@pytest.mark.parametrize("block", [norm.BLOCK, 5 * C * H * W])
def test_fused_operations_match_plain_ones(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of the blocks that a CPU works on at a time, the last of which is smaller."""
    monkeypatch.setattr(norm, "BLOCK", block)
    x, scale, shift = video(), random(B, T, C, seed=1), random(B, T, C, seed=2)
    expected = torch.relu(x * scale[..., None, None] + shift[..., None, None])
    torch.testing.assert_close(scale_shift_relu(x, scale, shift), expected)
    first, second = mean_and_square(x, False)
    for t in range(T):
        for c in range(C):
            values = x[:, t, c].reshape(-1)
            torch.testing.assert_close(first[t, c], sum(values) / len(values))
            torch.testing.assert_close(second[t, c], sum(v * v for v in values) / len(values))
    weight, gradients = video(seed=5), []
    for use in (scale_shift_relu, lambda x, a, b: torch.relu(x * a[..., None, None] + b[..., None, None])):
        leaves = [leaf.clone().requires_grad_() for leaf in (x, scale, shift)]
        gradients.append(torch.autograd.grad((use(*leaves) * weight).sum(), leaves))
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain)


def test_an_input_that_is_used_twice_keeps_its_gradient() -> None:
    """The fused backward pass works in place; the gradient that others hold must survive it."""
    gradients = []
    for fused in (True, False):
        x, scale = video().requires_grad_(), random(B, T, C, seed=1)
        shift = random(B, T, C, seed=2)
        if fused:
            y = scale_shift_relu(x, scale, shift)
        else:
            y = torch.relu(x * scale[..., None, None] + shift[..., None, None])
        gradients.append(torch.autograd.grad((y * y + y).sum() + (x + y).square().sum(), x)[0])
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("spread", [1.0, 0.05, 0.01])
def test_moments_of_bfloat16_are_those_of_its_values(spread: float) -> None:
    """Sums, and the squares that are summed, are wider than bfloat16."""
    x = (1.2 + spread * random(8, T, C, 16, 16)).to(torch.bfloat16)
    taken = BatchStatistics().moments("", x, Clock(), over_time=False)
    assert taken.mean.dtype == taken.variance.dtype == torch.float32
    wide = x.double()
    torch.testing.assert_close(taken.mean.double(), wide.mean((0, 3, 4)), rtol=1e-5, atol=0)
    expected = wide.var((0, 3, 4), correction=0)
    torch.testing.assert_close(taken.variance.double(), expected, rtol=1e-2, atol=0)


def passes(over_time: bool) -> tuple[RecordedStatistics, list[Tensor]]:
    recorded, batches = RecordedStatistics(), [video(seed) for seed in (0, 1, 2)]
    for x in batches:
        recorded.moments("a", x, Clock(), over_time)
        recorded.moments("b", 2 * x, Clock(), over_time)
    return recorded, batches


def test_recorded_statistics_average_means_and_variances_over_passes() -> None:
    """Means and variances of passes are averaged each on its own (Luc et al. 2020, E.2), not pooled."""
    recorded, batches = passes(over_time=False)
    table = recorded.averages()
    assert set(table) == {"a/mean", "a/variance", "b/mean", "b/variance"}
    for t in range(T):
        for c in range(C):
            values = [x[:, t, c].reshape(-1) for x in batches]
            means = [sum(v) / len(v) for v in values]
            variances = [sum((v - m) ** 2) / len(v) for v, m in zip(values, means, strict=True)]
            torch.testing.assert_close(table["a/mean"][t, c], sum(means) / 3)
            torch.testing.assert_close(table["a/variance"][t, c], sum(variances) / 3)
            torch.testing.assert_close(table["b/mean"][t, c], 2 * sum(means) / 3)
            torch.testing.assert_close(table["b/variance"][t, c], 4 * sum(variances) / 3)


def test_recording_normalises_with_the_batch_at_hand() -> None:
    recorded = RecordedStatistics()
    layer = filled(ConditionalNormReLU(C, K, BatchNormSpec()), seed=1)
    layer.key = "norm"
    for seed in (0, 1):
        x, told = video(seed), context(recorded)
        torch.testing.assert_close(layer(x, told), conditional(layer, per_step(x), told.condition))
    assert not recorded.averages()["norm/mean"].requires_grad


def with_standing_statistics(
    x: Tensor, table: dict[str, Tensor], start: list[int], layer: nn.Module
) -> Tensor:
    """The layer with the statistics of absolute step start[b] + t for clip b's step t."""
    y = torch.zeros_like(x)
    for b in range(x.shape[0]):
        for t in range(x.shape[1]):
            step = start[b] + t
            for c in range(x.shape[2]):
                mean, variance = table["norm/mean"][step, c], table["norm/variance"][step, c]
                y[b, t, c] = (x[b, t, c] - mean) / torch.sqrt(variance + EPSILON)
    return conditional(layer, y, context().condition)


@pytest.mark.parametrize("start", [0, 2, 5, torch.tensor([4, 0, 5])], ids=["0", "2", "5", "per clip"])
def test_standing_statistics_are_looked_up_by_absolute_step(start: int | Tensor) -> None:
    table = {"norm/mean": random(9, C, seed=1), "norm/variance": random(9, C, seed=2).square()}
    layer = filled(ConditionalNormReLU(C, K, BatchNormSpec()), seed=1)
    layer.key = "norm"
    made = layer(video(), context(StandingStatistics(table), start))
    starts = start.tolist() if isinstance(start, Tensor) else [start] * B
    torch.testing.assert_close(made, with_standing_statistics(video(), table, starts, layer))


def test_standing_statistics_of_all_frames_have_no_step() -> None:
    recorded, batches = passes(over_time=True)
    table = recorded.averages()
    assert table["a/mean"].shape == (1, C)
    standing = StandingStatistics(table)
    for start in (0, 7, torch.tensor([7, 1, 0])):
        mean, variance = standing.moments("a", batches[0], Clock(start), over_time=True)
        for c in range(C):
            values = [x[:, :, c].reshape(-1) for x in batches]
            expected = sum(v.var(correction=0) for v in values) / 3
            torch.testing.assert_close(variance[..., c].flatten(), expected[None])
            torch.testing.assert_close(mean[..., c].flatten(), (sum(v.mean() for v in values) / 3)[None])


def test_standing_statistics_refuse_steps_that_they_lack() -> None:
    table = {"norm/mean": torch.zeros(5, C), "norm/variance": torch.ones(5, C)}
    standing = StandingStatistics(table)
    standing.moments("norm", video(), Clock(1), over_time=False)
    for start in (2, torch.tensor([0, 2, 1])):
        with pytest.raises(ValueError, match=r"norm: .* 5 steps, asked for 6"):
            standing.moments("norm", video(), Clock(start), over_time=False)


def test_layers_are_named_by_their_path() -> None:
    tree = nn.ModuleDict(
        {"block": nn.ModuleList([LearntNormReLU(2, NoNormSpec())]), "last": LearntNormReLU(2, NoNormSpec())}
    )
    name_norms(tree)
    assert {m.key for m in tree.modules() if isinstance(m, NormReLU)} == {"block.0", "last"}


def test_no_groups_are_refused() -> None:
    with pytest.raises(SpecError, match="groups must be at least 1"):
        GroupNormSpec(groups=0)


@pytest.mark.parametrize("spec", [BatchNormSpec(), BatchNormAllFramesSpec()], ids=["per step", "all frames"])
def test_a_norm_in_large_kernels_is_the_loop(spec: NormSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a GPU and a compiled graph compute it: values and gradients."""
    monkeypatch.setattr(norm, "_in_blocks", lambda x: False)
    layer = filled(ConditionalNormReLU(C, K, spec), seed=3)
    x, weight, told = video().requires_grad_(), random(B, T, C, H, W, seed=5), context()
    loop = per_step if isinstance(spec, BatchNormSpec) else all_frames
    ours, theirs = layer(x, told), conditional(layer, loop(x), told.condition)
    torch.testing.assert_close(ours, theirs)
    leaves = [x, *layer.parameters()]
    for first, second in zip(
        *(torch.autograd.grad((y * weight).sum(), leaves) for y in (ours, theirs)), strict=True
    ):
        torch.testing.assert_close(first, second)


def test_a_norm_in_large_kernels_sums_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16 a channel whose mean is large beside its deviation would lose its variance."""
    monkeypatch.setattr(norm, "_in_blocks", lambda x: False)
    x = (8 + 0.25 * video()).bfloat16()
    mean, variance = BatchStatistics().moments("", x, Clock(), over_time=False)
    assert mean.dtype == variance.dtype == torch.float32
    exact = x.double()
    torch.testing.assert_close(mean.double(), exact.mean((0, 3, 4)), rtol=1e-5, atol=0)
    torch.testing.assert_close(variance.double(), exact.var((0, 3, 4), correction=0), rtol=1e-3, atol=1e-4)


def test_scale_and_shift_in_large_kernels_round_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16, by numbers that stay float32: values and gradients of those rounded at the end."""
    monkeypatch.setattr(norm, "_in_blocks", lambda x: False)
    x = video().bfloat16().requires_grad_()
    scale, shift = (random(B, T, C, seed=s).float().requires_grad_() for s in (1, 2))
    above = random(B, T, C, H, W, seed=3).bfloat16()
    y = scale_shift_relu(x, scale, shift)
    assert y.dtype == torch.bfloat16
    wide = [leaf.detach().double().requires_grad_() for leaf in (x, scale, shift)]
    expected = torch.relu(wide[0] * wide[1][..., None, None] + wide[2][..., None, None])
    torch.testing.assert_close(y.double(), expected, rtol=2**-8, atol=1e-6)
    ours = torch.autograd.grad(y, (x, scale, shift), above)
    theirs = torch.autograd.grad(expected, wide, above.double())
    for first, second in zip(ours, theirs, strict=True):
        torch.testing.assert_close(first.double(), second, rtol=2**-7, atol=0.05)
