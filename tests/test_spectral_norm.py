"""Spectral normalisation against singular values of the flattened weights."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.models.discriminator import BodySpec, DiscriminatorSpec
from vidgan.models.generator import Below, GeneratorSpec, StageSpec
from vidgan.nn.layers import (
    Conv2d,
    Conv3d,
    Embedding,
    Linear,
    NormalSpec,
    OrthogonalSpec,
    WeightLayer,
    initialise,
    power_iterate,
)
from vidgan.nn.recurrent import TSRUpSpec
from vidgan.nn.temporal import RecurrentSpec, SeparableConvolutionSpec, SeparableSelfAttentionSpec

F64 = torch.float64
LAYERS: dict[str, Callable[[], WeightLayer]] = {
    "linear": lambda: Linear(5, 4),
    "embedding": lambda: Embedding(6, 3),
    "conv2d": lambda: Conv2d(3, 5),
    "conv3d": lambda: Conv3d(2, 4),
    "conv3d in time": lambda: Conv3d(3, 4, (3, 1, 1)),
}


def filled(name: str, seed: int = 0) -> WeightLayer:
    """A layer in float64 with Gaussian weight, bias and singular vectors."""
    rng = torch.Generator().manual_seed(seed)
    layer = LAYERS[name]().double()
    with torch.no_grad():
        for tensor in [*layer.parameters(), layer.u]:
            tensor.copy_(torch.randn(tensor.shape, generator=rng, dtype=F64))
        layer.u.div_(layer.u.norm())
    return layer


def rows(weight: Tensor) -> Tensor:
    """The weight as the matrix (out, rest), filled entry by entry."""
    matrix = torch.zeros(weight.shape[0], weight[0].numel(), dtype=weight.dtype)
    for o in range(weight.shape[0]):
        for i, value in enumerate(weight[o].reshape(-1)):
            matrix[o, i] = value
    return matrix


@pytest.mark.parametrize("name", LAYERS)
def test_sigma_converges_to_the_largest_singular_value(name: str) -> None:
    layer = filled(name)
    first = torch.linalg.svdvals(rows(layer.weight.detach()))[0]
    before = abs(layer.sigma() - first)
    power_iterate(layer, 2000)
    assert before > 1e-3
    torch.testing.assert_close(layer.sigma().detach(), first, rtol=1e-10, atol=0)
    largest = torch.linalg.svdvals(rows(layer.effective_weight(F64).detach()))[0]
    torch.testing.assert_close(largest, torch.ones((), dtype=F64), rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", LAYERS)
def test_one_power_iteration(name: str) -> None:
    """v = W^T u / |W^T u|, then u = W v / |W v| (Miyato et al. 2018, algorithm 1), in this order, once."""
    layer = filled(name)
    matrix, u = rows(layer.weight.detach()), layer.u.clone()
    v = torch.stack([sum(matrix[o, i] * u[o] for o in range(len(u))) for i in range(matrix.shape[1])])
    v = v / v.square().sum().sqrt()
    u = torch.stack([sum(matrix[o, i] * v[i] for i in range(len(v))) for o in range(len(u))])
    u = u / u.square().sum().sqrt()
    power_iterate(layer)
    torch.testing.assert_close(layer.u, u)
    torch.testing.assert_close(layer.v, v)
    torch.testing.assert_close(layer.sigma().detach(), u @ matrix @ v)


def test_convolutions_use_the_normalised_weight() -> None:
    rng = torch.Generator().manual_seed(1)
    layers = {name: filled(name) for name in LAYERS}
    for layer in layers.values():
        power_iterate(layer)
    inputs = {
        "linear": torch.randn(2, 5, generator=rng, dtype=F64),
        "conv2d": torch.randn(2, 3, 4, 5, generator=rng, dtype=F64),
        "conv3d": torch.randn(2, 2, 3, 4, 3, generator=rng, dtype=F64),
        "conv3d in time": torch.randn(2, 3, 4, 2, 2, generator=rng, dtype=F64),
    }
    plain = {
        "linear": lambda x, w, b: x @ w.T + b,
        "conv2d": lambda x, w, b: F.conv2d(x, w, b, padding=1),
        "conv3d": lambda x, w, b: F.conv3d(x, w, b, padding=1),
        "conv3d in time": lambda x, w, b: F.conv3d(x, w, b, padding=(1, 0, 0)),
    }
    for name, x in inputs.items():
        layer = layers[name]
        weight = layer.weight / (layer.u @ rows(layer.weight) @ layer.v)
        torch.testing.assert_close(layer(x), plain[name](x, weight, layer.bias))
        torch.testing.assert_close(layer.bind(F64)(x), layer(x))
    labels = torch.tensor([4, 0, 4])
    embedding = layers["embedding"]
    matrix = embedding.weight / (embedding.u @ embedding.weight @ embedding.v)
    torch.testing.assert_close(embedding(labels), torch.stack([matrix[4], matrix[0], matrix[4]]))


@pytest.mark.parametrize("name", LAYERS)
def test_the_gradient_passes_through_sigma(name: str) -> None:
    """d/dW of <A, W / sigma> with u and v held: (A - <A, W/sigma> u v^T) / sigma (Miyato et al. 2018, Eq. 10)."""
    layer = filled(name)
    power_iterate(layer)
    a = torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(2), dtype=F64)
    (a * layer.effective_weight(F64)).sum().backward()

    matrix, u, v = rows(layer.weight.detach()), layer.u, layer.v
    sigma = u @ matrix @ v
    expected = (rows(a) - (rows(a) * matrix / sigma).sum() * torch.outer(u, v)) / sigma
    torch.testing.assert_close(rows(layer.weight.grad), expected)

    weight = layer.weight.detach().clone().requires_grad_()
    normed = weight / torch.dot(u, weight.reshape(len(u), -1) @ v)
    (again,) = torch.autograd.grad((a * normed).sum(), weight)
    torch.testing.assert_close(layer.weight.grad, again)


def test_forward_never_iterates_and_the_vectors_take_no_gradient() -> None:
    for name in ("linear", "conv2d"):
        layer = filled(name).train()
        u, v = layer.u.clone(), layer.v.clone()
        x = torch.ones((2, 5) if name == "linear" else (1, 3, 4, 4), dtype=F64)
        for _ in range(3):
            layer(x).sum().backward()
        assert torch.equal(layer.u, u)
        assert torch.equal(layer.v, v)
        assert not layer.u.requires_grad
        assert {p for p, _ in layer.named_parameters()} == {"weight", "bias"}


def test_the_vectors_are_saved_and_restored() -> None:
    layer, other = filled("conv2d", seed=0), filled("conv2d", seed=1)
    assert set(layer.state_dict()) == {"weight", "bias", "u", "v"}
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.u, layer.u)
    assert torch.equal(other.sigma(), layer.sigma())
    power_iterate(layer)
    power_iterate(other)
    assert torch.equal(other.u, layer.u)
    plain = Linear(2, 3, spectral=False)
    assert set(plain.state_dict()) == {"weight", "bias"}


CHANGES: dict[str, Callable[[WeightLayer], object]] = {
    "in place": lambda layer: layer.weight.mul_(3),
    "by foreach": lambda layer: torch._foreach_mul_([layer.weight], 3),
    "another tensor": lambda layer: setattr(layer.weight, "data", 3 * layer.weight.data),
    "from a file": lambda layer: layer.load_state_dict(
        {name: 2 * tensor for name, tensor in layer.state_dict().items()}
    ),
    "the vector": lambda layer: layer.v.copy_(layer.v.flip(0)),
    "the dtype": lambda layer: layer.float(),
    "a power iteration": power_iterate,
    "one that remembers": lambda layer: power_iterate(layer, remember=True),
    "nothing": lambda layer: None,
}


@torch.no_grad()
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_sigma_is_of_the_weight_as_it_is(change: Callable[[WeightLayer], object]) -> None:
    """What an iteration has come by is not used for another weight; bit for bit what is computed anew, as resuming
    does."""
    layer = filled("conv2d")
    power_iterate(layer, remember=True)
    before = layer.sigma()
    change(layer)
    matrix, v = layer.weight.flatten(1), layer.v
    assert torch.equal(layer.sigma(), torch.linalg.vector_norm(torch.mv(matrix, v)))
    torch.testing.assert_close(layer.sigma(), (rows(layer.weight) @ v).square().sum().sqrt())
    assert (change is CHANGES["nothing"]) == (layer.sigma() is before)
    fresh = LAYERS["conv2d"]().to(layer.weight.dtype)
    fresh.load_state_dict(layer.state_dict())
    assert torch.equal(fresh.effective_weight(F64), layer.effective_weight(F64))


def test_sigma_follows_an_optimiser_unless_it_is_remembered() -> None:
    """Fused ones change weights without a trace."""
    layer = filled("conv2d")
    power_iterate(layer)
    layer.weight.grad = torch.ones_like(layer.weight)
    before = layer.sigma()
    torch.optim.Adam([layer.weight], 0.5, fused=True).step()
    assert (layer.sigma() - before).abs() > 0.01


def test_a_layer_without_spectral_norm_uses_its_weight_as_it_is() -> None:
    layer = Linear(2, 2, spectral=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 1.0], [0.0, 2.0]]))
        layer.bias.copy_(torch.tensor([1.0, -1.0]))
    power_iterate(layer)
    torch.testing.assert_close(
        layer(torch.tensor([1.0, 2.0], dtype=F64)), torch.tensor([6.0, 3.0], dtype=F64)
    )


def test_low_precision_input_casts_only_the_normalised_weight() -> None:
    layer = filled("linear").float()
    made = layer.effective_weight(torch.bfloat16)
    assert made.dtype == torch.bfloat16
    assert layer.u.dtype == layer.sigma().dtype == torch.float32
    assert torch.equal(made, (layer.weight / layer.sigma()).to(torch.bfloat16))


def test_fresh_orthogonal_weights_have_sigma_one_and_gaussian_ones_their_own() -> None:
    layers = torch.nn.ModuleList([Conv2d(3, 5), Linear(6, 4), Embedding(7, 3), Conv3d(2, 4)]).double()
    initialise(layers, OrthogonalSpec(), torch.Generator().manual_seed(3))
    for layer in layers:
        matrix = rows(layer.weight.detach())
        values = torch.linalg.svdvals(matrix)
        torch.testing.assert_close(values, torch.ones_like(values))
        torch.testing.assert_close(layer.sigma().detach(), torch.ones((), dtype=F64))
        assert layer.bias is None or not layer.bias.any()
    initialise(layers, NormalSpec(deviation=0.1), torch.Generator().manual_seed(3))
    for layer in layers:
        first = torch.linalg.svdvals(rows(layer.weight.detach()))[0]
        assert 0.8 * first < layer.sigma().detach() <= first * (1 + 1e-12)


def every_kind_of_generator(spectral_start: bool) -> torch.nn.Module:
    stages = (
        StageSpec(channels=2, temporal=(RecurrentSpec(unit=TSRUpSpec()),), convolution=True),
        StageSpec(channels=2, temporal=(SeparableSelfAttentionSpec(), SeparableConvolutionSpec())),
    )
    spec = GeneratorSpec(
        latent=3, embedding=3, width=4, channels=2, stages=stages, spectral_start=spectral_start
    )
    return spec.build(classes=3, frames=2, below=Below(8, 1))


def test_exempt_layers_are_those_the_papers_name() -> None:
    """All weight layers (Clark et al. 2019, A.3); all but the map to the first features (Luc et al. 2020, A).

    A table of class vectors is no weight layer of a generator, but it is one of a discriminator.
    """

    def exempt(module: torch.nn.Module) -> set[str]:
        layers = [(n, m) for n, m in module.named_modules() if isinstance(m, WeightLayer)]
        matrices = {n for n, p in module.named_parameters() if p.dim() > 1}
        assert matrices == {f"{n}.weight" for n, _ in layers}  # no weight outside these layers
        return {n for n, m in layers if not m.spectral}

    assert exempt(every_kind_of_generator(spectral_start=True)) == {"embed"}
    assert exempt(every_kind_of_generator(spectral_start=False)) == {"embed", "start"}
    discriminator = DiscriminatorSpec(name="clip", body=BodySpec(width=2, channels=(1, 2), blocks_3d=1))
    assert exempt(discriminator.build(classes=3, steps=2)) == set()
