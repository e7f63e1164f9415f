"""Every recurrent unit against loops written from the papers' equations."""

import typing
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import naive
from vidgan.nn.joined import JoinedConvolution, kept_while_same
from vidgan.nn.layers import Conv2d, NormalSpec, OrthogonalSpec, WeightLayer, initialise
from vidgan.nn.recurrent import (
    ConvGRUSpec,
    ConvLSTMSpec,
    DynamicConvLSTMSpec,
    KTrajGRUSpec,
    MultiplicativeConvGRUSpec,
    PTSRUSpec,
    TSRUcSpec,
    TSRUpSpec,
    TSRUsSpec,
    Unit,
    unroll,
)
from vidgan.nn.recurrent.unit import ReLUSpec, TanhSpec
from vidgan.shapes import repeat_time
from vidgan.spec import Spec, SpecError, from_json, to_json

F64 = torch.float64
TOLERANCE = {"rtol": 0.0, "atol": 1e-10}
WARPING = (TSRUcSpec, TSRUpSpec, TSRUsSpec, PTSRUSpec, KTrajGRUSpec)
sigmoid, relu, tanh, cat = torch.sigmoid, torch.relu, torch.tanh, torch.cat

Run = Callable[["Weights", Tensor, Tensor], list[Tensor]]
"""(weights, one clip's inputs (T C H W), its encoding (C H W)) -> T outputs."""


class Weights:
    """A unit's parameters by the name of their layer, as the naive loops use them."""

    def __init__(self, unit: Unit) -> None:
        self.parameters = dict(unit.named_parameters())

    def conv(self, name: str, *inputs: Tensor) -> Tensor:
        """W * [inputs] + b; every matrix is normalised on its own."""
        weight = naive.normalise(self.parameters[f"{name}.weight"])
        return naive.convolve(cat(inputs), weight, self.parameters[f"{name}.bias"])

    def linear(self, name: str, x: Tensor) -> Tensor:
        weight = naive.normalise(self.parameters[f"{name}.weight"])
        return naive.affine(x, weight, self.parameters[f"{name}.bias"])

    def factorised(self, h: Tensor, x: Tensor) -> Tensor:
        """Luc et al. 2020, F.1 and Eq. 12, for nine kernels of 3x3."""
        pooled = naive.pool(relu(self.conv("warp.features", h, x)), 4)
        hidden = relu(self.linear("warp.hidden", pooled.reshape(-1)))
        logits = self.linear("warp.basis", hidden).reshape(9, 9)
        basis = torch.stack([naive.softmax(logits[:, number]) for number in range(9)], dim=1)
        return naive.combine(basis, naive.softmax_maps(self.conv("warp.selection", h, x)))

    def pixelwise(self, h: Tensor, x: Tensor) -> Tensor:
        """Luc et al. 2020, F.1."""
        features = relu(self.conv("warp.second", relu(self.conv("warp.first", h, x))))
        return naive.softmax_maps(self.conv("warp.last", features))


def conv_gru(w: Weights, xs: Tensor, h: Tensor) -> list[Tensor]:
    """Luc et al. 2020, Eqs. 1-5."""
    outputs = []
    for x in xs:
        r = sigmoid(w.conv("reset", h, x))
        c = relu(w.conv("candidate", r * h, x))
        u = sigmoid(w.conv("update", h, x))
        h = u * h + (1 - u) * c
        outputs.append(h)
    return outputs


def multiplicative_conv_gru(w: Weights, xs: Tensor, h: Tensor) -> list[Tensor]:
    """Clark et al. 2019, A.2."""
    outputs = []
    for x in xs:
        g = w.conv("from_state", h) * w.conv("from_input", x)
        r = sigmoid(w.conv("reset", g, x))
        u = sigmoid(w.conv("update", g, x))
        c = relu(w.conv("candidate", x, r * g))
        h = u * g + (1 - u) * c
        outputs.append(h)
    return outputs


def conv_lstm(w: Weights, xs: Tensor, encoding: Tensor) -> list[Tensor]:
    """Shi et al. 2015 without peepholes; states as Luc et al. 2020, F.3."""
    half = len(encoding) // 2
    h, cell = encoding[:half], encoding[half:]
    outputs = []
    for x in xs:
        i, f, o = (sigmoid(w.conv(name, h, x)) for name in ("input", "forget", "output"))
        cell = f * cell + i * relu(w.conv("candidate", h, x))
        h = o * relu(cell)
        outputs.append(cat([h, cell]))
    return outputs


def tsru_c(w: Weights, xs: Tensor, h: Tensor) -> list[Tensor]:
    """Luc et al. 2020, Eqs. 6-10."""
    outputs = []
    for x in xs:
        warped = naive.warp(h, w.factorised(h, x))
        c = relu(w.conv("candidate", warped, x))
        u = sigmoid(w.conv("update", h, x))
        h = u * warped + (1 - u) * c
        outputs.append(h)
    return outputs


def tsru_p(w: Weights, xs: Tensor, h: Tensor) -> list[Tensor]:
    """Luc et al. 2020, 3.2: Eq. 8 sees the state itself."""
    outputs = []
    for x in xs:
        warped = naive.warp(h, w.factorised(h, x))
        c = relu(w.conv("candidate", h, x))
        u = sigmoid(w.conv("update", h, x))
        h = u * warped + (1 - u) * c
        outputs.append(h)
    return outputs


def tsru_s(w: Weights, xs: Tensor, h: Tensor, predict: str = "factorised") -> list[Tensor]:
    """Luc et al. 2020, 3.2: Eq. 9 sees the warped state and the candidate."""
    outputs = []
    for x in xs:
        warped = naive.warp(h, w.factorised(h, x) if predict == "factorised" else w.pixelwise(h, x))
        c = relu(w.conv("candidate", warped, x))
        u = sigmoid(w.conv("update", warped, c))
        h = u * warped + (1 - u) * c
        outputs.append(h)
    return outputs


def ptsru(w: Weights, xs: Tensor, h: Tensor) -> list[Tensor]:
    """Luc et al. 2020, 3.2: TSRU_s with pixelwise warping."""
    return tsru_s(w, xs, h, "pixelwise")


def k_traj_gru(w: Weights, xs: Tensor, h: Tensor) -> list[Tensor]:
    """Luc et al. 2020, Eqs. 16-22."""
    outputs = []
    for x in xs:
        warped = naive.warp(h, w.factorised(h, x))
        r = sigmoid(w.conv("reset", warped, x))
        c = tanh(w.conv("candidate", r * warped, x))
        u = sigmoid(w.conv("update", warped, x))
        h = u * h + (1 - u) * c
        outputs.append(h)
    return outputs


def dynamic_conv_lstm(w: Weights, xs: Tensor, encoding: Tensor) -> list[Tensor]:
    """Luc et al. 2020, F.4."""
    ch = len(encoding) // 2
    q = xs.shape[1] // ch
    h, cell, previous = encoding[:ch], encoding[ch:], encoding[:ch]
    bias = w.parameters["bias"]
    outputs = []
    for x in xs:
        # predicted[i][j]: the kernels of input channel i and output channel j, (gates, q + 1, 3, 3)
        predicted = []
        for i in range(ch):
            predicted.append([])
            for j in range(ch):
                difference = (x[i] - previous[j])[None]
                pooled = naive.pool(relu(w.conv("kernels.features", difference)), 4).reshape(-1)
                hidden = relu(w.linear("kernels.hidden", pooled))
                predicted[i].append(w.linear("kernels.last", hidden).reshape(4, q + 1, 3, 3))
        values = []
        for gate in range(4):
            # W_h: ch input channels; W_x: q * ch; each with a softmax over its own input channels.
            of_h = [[predicted[i][j][gate, 0] for i in range(ch)] for j in range(ch)]
            of_x = [[predicted[i][j][gate, 1 + p] for p in range(q) for i in range(ch)] for j in range(ch)]
            w_h, w_x = (
                torch.stack([naive.softmax_maps(torch.stack(row)) for row in rows]) for rows in (of_h, of_x)
            )
            linear = naive.convolve(h, w_h, None) + naive.convolve(x, w_x, None)
            values.append(linear + bias[gate * ch : (gate + 1) * ch, None, None])
        cell = sigmoid(values[1]) * cell + sigmoid(values[0]) * tanh(values[3])
        h = sigmoid(values[2]) * tanh(cell)
        previous = x[:ch]
        outputs.append(cat([h, cell]))
    return outputs


REFERENCES: dict[type[Spec], Run] = {
    ConvGRUSpec: conv_gru,
    MultiplicativeConvGRUSpec: multiplicative_conv_gru,
    ConvLSTMSpec: conv_lstm,
    TSRUcSpec: tsru_c,
    TSRUpSpec: tsru_p,
    TSRUsSpec: tsru_s,
    PTSRUSpec: ptsru,
    KTrajGRUSpec: k_traj_gru,
    DynamicConvLSTMSpec: dynamic_conv_lstm,
}
SPECS = tuple(REFERENCES)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=F64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def ready(spec: typing.Any, inputs: int, hidden: int) -> Unit:
    """A unit in float64 with random weights and biases and the exact singular vectors of its matrices."""
    unit: Unit = spec.build(inputs, hidden).double()
    rng = torch.Generator().manual_seed(1)
    initialise(unit, NormalSpec(deviation=0.5), rng)
    with torch.no_grad():
        for name, parameter in unit.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.3, generator=rng)
        for layer in unit.modules():
            if isinstance(layer, WeightLayer):
                left, _, right = torch.linalg.svd(layer.weight.flatten(1), full_matrices=False)
                layer.get_buffer("u").copy_(left[:, 0])
                layer.get_buffer("v").copy_(right[0])
    return unit


def assert_is_its_equations(cls: typing.Any, leaf: Tensor, video: Tensor) -> None:
    """Values and gradients of the unit of ``video``, which is made of ``leaf``."""
    batch, _, inputs, height, width = video.shape
    hidden = 4
    unit = ready(cls(), inputs, hidden)
    encoding = random(batch, hidden, height, width, seed=1)
    reference, weights = REFERENCES[cls], Weights(unit)
    pairs = zip(video, encoding, strict=True)
    expected = torch.stack([torch.stack(reference(weights, a, b)) for a, b in pairs])
    actual, _ = unroll(unit, video, encoding)
    torch.testing.assert_close(actual, expected, **TOLERANCE)
    probe = random(*expected.shape, seed=2).detach()
    wanted = [leaf, encoding, *unit.parameters()]
    gradients = [
        torch.autograd.grad((y * probe).sum(), wanted, retain_graph=True) for y in (actual, expected)
    ]
    for mine, true in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, true, **TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1, 3, 5), (2, 2, 3, 2)], ids=["one-step", "two-steps"])
@pytest.mark.parametrize("cls", SPECS, ids=lambda cls: cls.__name__)
def test_unit_is_its_equations(cls: typing.Any, shape: tuple[int, int, int, int]) -> None:
    batch, steps, height, width = shape
    x = random(batch, steps, 4, height, width)
    assert_is_its_equations(cls, x, x)


@pytest.mark.slow
@pytest.mark.parametrize("cls", SPECS, ids=lambda cls: cls.__name__)
def test_unit_is_its_equations_where_all_steps_have_one_input(cls: typing.Any) -> None:
    frame = random(1, 4, 3, 2)
    assert_is_its_equations(cls, frame, repeat_time(frame, 3))


def operations(unit: Unit, video: Tensor) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        unit(video)
    return counted.get_total_flops()


@pytest.mark.parametrize(
    "cls", [c for c in SPECS if c is not DynamicConvLSTMSpec], ids=lambda cls: cls.__name__
)
def test_what_is_convolved_of_an_input_that_stays_the_same_is_kept(cls: typing.Any) -> None:
    unit, steps = ready(cls(), 4, 4), 8
    same = repeat_time(random(1, 4, 3, 2), steps)
    now, each = (operations(unit, x) for x in (same, same.clone(memory_format=torch.contiguous_format)))
    assert now < each
    if cls in (ConvGRUSpec, KTrajGRUSpec):  # the input is half of what three convolutions see
        of_convolutions = 2 * 9 * 4 * 8 * 6 * 3
        assert each - now == (steps - 2) * of_convolutions // 2


def test_a_tensor_that_is_changed_in_place_is_convolved_anew() -> None:
    layer = Conv2d(6, 4, bias=False).double()
    convolve = JoinedConvolution(F64, layer)
    a, b, other = (random(1, 3, 4, 5, seed=seed).detach() for seed in range(3))
    for step in range(4):
        torch.testing.assert_close(convolve(a, b), layer(cat([a, b], dim=1)), **TOLERANCE)
        b = b + 1
        if step > 0:
            a.add_(other)
    kept = kept_while_same(lambda x: x * 2)
    assert kept(a) is kept(a)
    doubled = kept(a).clone()
    a.add_(1)
    torch.testing.assert_close(kept(a), doubled + 2)


@pytest.mark.parametrize("cls", SPECS, ids=lambda cls: cls.__name__)
def test_inputs_and_outputs_may_differ_in_width(cls: typing.Any) -> None:
    unit = ready(cls(), 6, 4)
    x, encoding = random(1, 2, 6, 5, 3), random(1, 4, 5, 3, seed=1)
    reference = REFERENCES[cls]
    actual, _ = unroll(unit, x[:, :1], encoding)
    expected = torch.stack(reference(Weights(unit), x[0, :1], encoding[0]))[None]
    torch.testing.assert_close(actual, expected, **TOLERANCE)


@pytest.mark.parametrize("cls", SPECS, ids=lambda cls: cls.__name__)
def test_an_output_sees_its_own_clip_up_to_its_step(cls: typing.Any) -> None:
    batch, steps = 2, 3
    unit = ready(cls(), 4, 4)
    x, encoding = random(batch, steps, 4, 3, 3), random(batch, 4, 3, 3, seed=1)
    y, _ = unroll(unit, x, encoding)
    for b in range(batch):
        for t in range(steps):
            by_x, by_encoding = torch.autograd.grad(y[b, t].square().sum(), [x, encoding], retain_graph=True)
            seen = by_x.abs().sum(dim=(2, 3, 4)) > 0
            expected = [[other == b and s <= t for s in range(steps)] for other in range(batch)]
            assert seen.tolist() == expected
            assert (by_encoding.abs().sum(dim=(1, 2, 3)) > 0).tolist() == [o == b for o in range(batch)]


@pytest.mark.parametrize("cls", SPECS, ids=lambda cls: cls.__name__)
def test_kernels_are_reported_where_a_unit_warps(cls: typing.Any) -> None:
    unit = ready(cls(), 4, 4)
    _, kernels = unroll(unit, random(2, 3, 4, 5, 3), random(2, 4, 5, 3, seed=1))
    if cls not in WARPING:
        assert kernels is None
        return
    assert kernels is not None
    assert kernels.shape == (2, 3, 9, 5, 3)
    assert bool((kernels > 0).all())
    torch.testing.assert_close(kernels.sum(dim=2), torch.ones(2, 3, 5, 3, dtype=F64), **TOLERANCE)


@pytest.mark.parametrize("cls", SPECS, ids=lambda cls: cls.__name__)
def test_bfloat16_is_close(cls: typing.Any) -> None:
    unit = cls().build(8, 8)
    rng = torch.Generator().manual_seed(0)
    initialise(unit, OrthogonalSpec(), rng)
    x, encoding = torch.randn(2, 3, 8, 6, 5, generator=rng), torch.randn(2, 8, 6, 5, generator=rng)
    exact, _ = unroll(unit, x, encoding)
    rounded, _ = unroll(unit, x.bfloat16(), encoding.bfloat16())
    assert rounded.dtype == torch.bfloat16
    assert float((rounded - exact).detach().norm() / exact.detach().norm()) < 0.03
    rounded.sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in unit.parameters())


@pytest.mark.parametrize("cls", SPECS, ids=lambda cls: cls.__name__)
def test_json_both_ways(cls: typing.Any) -> None:
    assert from_json(cls, to_json(cls(kernel=5))) == cls(kernel=5)
    with pytest.raises(SpecError, match="odd"):
        cls(kernel=4)


def test_activations_are_the_papers() -> None:
    assert (
        ConvGRUSpec().activation
        == MultiplicativeConvGRUSpec().activation
        == ConvLSTMSpec().activation
        == ReLUSpec()
    )
    assert (
        TSRUcSpec().activation
        == TSRUpSpec().activation
        == TSRUsSpec().activation
        == PTSRUSpec().activation
        == ReLUSpec()
    )
    assert KTrajGRUSpec().activation == TanhSpec()
    x = torch.tensor([-1.0, 0.5])
    assert ReLUSpec()(x).tolist() == [0.0, 0.5]
    assert TanhSpec()(x).tolist() == pytest.approx([-0.7615942, 0.4621172])


def test_tanh_takes_both_places_of_the_lstm() -> None:
    unit = ready(ConvLSTMSpec(activation=TanhSpec()), 2, 2)
    x, encoding, w = random(1, 1, 2, 3, 2), random(1, 2, 3, 2, seed=1), Weights(unit)
    h, cell = encoding[0].split(1)
    i, f, o = (sigmoid(w.conv(name, h, x[0, 0])) for name in ("input", "forget", "output"))
    cell = f * cell + i * tanh(w.conv("candidate", h, x[0, 0]))
    torch.testing.assert_close(unroll(unit, x, encoding)[0][0, 0], cat([o * tanh(cell), cell]), **TOLERANCE)


def test_tsru_variants_differ_only_in_what_candidate_and_update_see() -> None:
    units = {cls: ready(cls(), 4, 4) for cls in (TSRUcSpec, TSRUpSpec, TSRUsSpec)}
    shared = units[TSRUcSpec].state_dict()
    for unit in units.values():
        unit.load_state_dict(shared)  # equal names and shapes, as inputs and hidden are equal
    x, encoding = random(2, 3, 4, 3, 5), random(2, 4, 3, 5, seed=1)

    def outputs() -> tuple[Tensor, Tensor, Tensor]:
        c, p, s = (unroll(units[cls], x, encoding)[0].detach() for cls in (TSRUcSpec, TSRUpSpec, TSRUsSpec))
        return c, p, s

    first = [unroll(unit, x[:, :1], encoding)[1] for unit in units.values()]
    assert torch.equal(first[0], first[1])
    assert torch.equal(first[0], first[2])
    c, p, s = outputs()
    assert min(float((c - p).abs().max()), float((c - s).abs().max()), float((p - s).abs().max())) > 1e-3
    with torch.no_grad():
        for unit in units.values():  # a warp that moves nothing: the candidates see the same
            unit.get_parameter("warp.basis.bias").view(9, 9)[4] = 1e4
    c, p, s = outputs()
    torch.testing.assert_close(c, p, **TOLERANCE)
    assert float((c - s).abs().max()) > 1e-3
    with torch.no_grad():
        for unit in units.values():  # an update gate blind to its second input: x there, the candidate here
            unit.get_parameter("update.weight")[:, 4:] = 0
    c, p, s = outputs()
    torch.testing.assert_close(c, p, **TOLERANCE)
    torch.testing.assert_close(c, s, **TOLERANCE)


def test_unfit_channels_are_refused() -> None:
    for spec in (ConvLSTMSpec(), DynamicConvLSTMSpec()):
        with pytest.raises(SpecError, match="even"):
            spec.build(6, 3)
    with pytest.raises(SpecError, match="multiple of 4"):
        DynamicConvLSTMSpec().build(6, 8)
    with pytest.raises(SpecError, match="width"):
        DynamicConvLSTMSpec(width=0)
