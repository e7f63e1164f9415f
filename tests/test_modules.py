"""Every module is one like any of torch's: finite, callable and differentiable as constructed."""

import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import catalog
import vidgan.models
import vidgan.nn.recurrent
from vidgan.models.discriminator import (
    Discriminator,
    DiscriminatorSpec,
    MixedProjectionHead,
    ProjectionHead,
)
from vidgan.models.generator import AddBelow, EncoderSpec, Generator, GeneratorSpec, Stage, StageSpec
from vidgan.models.level import AdversarialLevel
from vidgan.models.views import ClipShape, DiscriminatorInput, FramesSpec
from vidgan.nn import (
    PTSRU,
    ConditionalNormReLU,
    Context,
    Conv2d,
    Conv3d,
    ConvGRU,
    ConvLSTM,
    Convolution3d,
    DeepDiscriminatorBlock,
    DeepGeneratorBlock,
    DiscriminatorBlock,
    DynamicConvLSTM,
    Embedding,
    FactorisedWarp,
    FactorisedWarpSpec,
    FullAttention,
    GeneratorBlock,
    KTrajGRU,
    LearntNormReLU,
    Linear,
    MultiplicativeConvGRU,
    OrthogonalSpec,
    PixelwiseWarp,
    RecurrentSpec,
    SelfAttentionSpec,
    SeparableAttention,
    SeparableBlock,
    SeparableConv,
    TSRUc,
    TSRUp,
    TSRUpSpec,
    TSRUs,
    WeightLayer,
    initialise,
    undrawn_weights,
    unroll,
)
from vidgan.nn.attention import Attention
from vidgan.nn.joined import join
from vidgan.nn.recurrent.conv_lstm import KernelCNN
from vidgan.nn.temporal import AttentionLayer, ConvolutionLayer, RecurrentLayer

CHANNELS, CONDITION = 8, 5
"""of the modules below; what they see has four clips or videos, three steps, four rows and four columns"""


def given(*shape: int) -> Tensor:
    """Gaussian inputs that take a gradient."""
    return catalog.random(*shape).float().requires_grad_()


def features(channels: int = CHANNELS) -> Tensor:
    """Features of a video (B T C H W)."""
    return given(4, 3, channels, 4, 4)


def labels() -> Tensor:
    """A class out of three for every clip."""
    return torch.arange(4) % 3


Bare = Callable[[], tuple[nn.Module, tuple[Any, ...]]]
"""Makes a module as a person would, and what to call it with."""

STAGE = StageSpec(
    channels=4, temporal=(SelfAttentionSpec(), RecurrentSpec(unit=TSRUpSpec())), convolution=True
)
GENERATOR = GeneratorSpec(latent=6, embedding=6, width=2, channels=4, stages=(STAGE,))

MODULES: Mapping[str, Bare] = {
    "linear": lambda: (Linear(CHANNELS, 6), (given(4, CHANNELS),)),
    "embedding": lambda: (Embedding(3, 6), (labels(),)),
    "2-D convolution": lambda: (Conv2d(CHANNELS, 6), (given(4, CHANNELS, 4, 4),)),
    "3-D convolution": lambda: (Conv3d(CHANNELS, 6), (given(4, CHANNELS, 3, 4, 4),)),
    "ConvGRU": lambda: (ConvGRU(CHANNELS), (features(),)),
    "multiplicative ConvGRU": lambda: (MultiplicativeConvGRU(CHANNELS), (features(),)),
    "ConvLSTM": lambda: (ConvLSTM(CHANNELS, hidden=6), (features(),)),
    "TSRU_c": lambda: (TSRUc(CHANNELS, kernel=5), (features(),)),
    "TSRU_p": lambda: (TSRUp(channels=CHANNELS), (features(),)),
    "TSRU_s": lambda: (TSRUs(CHANNELS, warp=FactorisedWarpSpec(size=5, kernels=2)), (features(),)),
    "PTSRU": lambda: (PTSRU(CHANNELS), (features(), given(4, CHANNELS, 4, 4))),
    "K-TrajGRU": lambda: (KTrajGRU(CHANNELS, activation=F.leaky_relu), (features(),)),
    "dynamic ConvLSTM": lambda: (DynamicConvLSTM(CHANNELS, width=2), (features(),)),
    "its kernels": lambda: (
        KernelCNN(2, (4, 2, 3, 3)),
        (given(4, 2, 4, 4), catalog.random(4, 2, 4, 4).float()),
    ),
    "factorised warp": lambda: (FactorisedWarp(CHANNELS), (given(4, CHANNELS, 4, 4),)),
    "pixelwise warp": lambda: (PixelwiseWarp(CHANNELS, size=5), (given(4, CHANNELS, 4, 4),)),
    "attention": lambda: (Attention(CHANNELS), (given(4, 5, CHANNELS),)),
    "full attention": lambda: (FullAttention(CHANNELS), (features(),)),
    "separable attention": lambda: (SeparableAttention(CHANNELS), (features(),)),
    "recurrent layer": lambda: (RecurrentLayer(ConvGRU(CHANNELS)), (features(),)),
    "attention layer": lambda: (AttentionLayer(FullAttention(CHANNELS)), (features(),)),
    "convolution layer": lambda: (ConvolutionLayer(SeparableBlock(CHANNELS, CONDITION)), (features(),)),
    "conditional norm": lambda: (ConditionalNormReLU(CHANNELS, CONDITION), (features(),)),
    "learnt norm": lambda: (LearntNormReLU(CHANNELS), (features(),)),
    **{
        f"{name} norm": lambda norm=norm: (
            ConditionalNormReLU(CHANNELS, CONDITION, norm),
            (features(), Context(given(4, CONDITION))),
        )
        for name, norm in catalog.NORMS.items()
    },
    "separable convolution": lambda: (SeparableConv(CHANNELS, 6), (features(),)),
    "separable block": lambda: (SeparableBlock(CHANNELS, CONDITION), (features(),)),
    "generator's block": lambda: (GeneratorBlock(CHANNELS, 6, CONDITION, upsample=True), (features(),)),
    "generator's deep block": lambda: (DeepGeneratorBlock(CHANNELS, 6, CONDITION), (features(),)),
    "discriminator's block": lambda: (DiscriminatorBlock(CHANNELS, 6, downsample=True), (features(),)),
    "discriminator's 3-D block": lambda: (DiscriminatorBlock(CHANNELS, 6, conv3d=True), (features(),)),
    "discriminator's deep block": lambda: (DeepDiscriminatorBlock(CHANNELS, 9), (features(),)),
    "plain 3-D convolution": lambda: (Convolution3d(CHANNELS, 6, halve_time=True), (features(),)),
    **{
        f"body, {name}": lambda body=body: (body.build(steps=3), (given(4, 3, 3, 8, 8),))
        for name, body in catalog.BODIES.items()
    },
    "projection": lambda: (ProjectionHead(CHANNELS, 3), (given(4, 3, CHANNELS), labels())),
    "mixed projection": lambda: (MixedProjectionHead(CHANNELS, 3), (given(4, 3, CHANNELS), labels())),
    "encoder": lambda: (
        EncoderSpec(body=catalog.BODIES["frames"], skips=True).build(2, {4: CHANNELS}, 8),
        (given(4, 2, 3, 8, 8),),
    ),
    "stage": lambda: (Stage(STAGE, 4, CHANNELS, 6, CONDITION), (features(),)),
    "addition of the level below": lambda: (AddBelow(CHANNELS, 4, 8), (features(), given(4, 1, 3, 8, 8))),
    "generator": lambda: (Generator(GENERATOR, 3, 3), (given(4, 6), labels())),
    "discriminator": lambda: (
        Discriminator(
            DiscriminatorSpec(name="frames", view=FramesSpec(k=2), body=catalog.BODIES["frames"]), 3, 2
        ),
        (given(4, 3, 3, 8, 8), labels()),
    ),
}


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in what a module gives."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)


def in_package(kind: type[nn.Module]) -> set[type]:
    """The concrete classes of layers and networks that the package has."""
    for package in ("nn", "models"):
        root = importlib.import_module(f"vidgan.{package}")
        for found in pkgutil.walk_packages(root.__path__, f"vidgan.{package}."):
            importlib.import_module(found.name)
    children = set().union(*(in_package(child) for child in kind.__subclasses__()))
    ours = kind.__module__.startswith(("vidgan.nn.", "vidgan.models."))
    return children | ({kind} if ours and not inspect.isabstract(kind) else set())


@pytest.mark.slow
def test_every_module_of_the_package_is_in_the_table() -> None:
    """But for the containers of generator and discriminators, and what blocks share."""
    listed = {type(make()[0]) for make in MODULES.values()}
    found = {kind for kind in in_package(nn.Module) if not issubclass(kind, AdversarialLevel)}
    assert found == listed
    assert {type(unit.build(8, 8)) for unit in catalog.UNITS.values()} <= listed


@pytest.mark.parametrize("name", MODULES)
def test_a_new_module_gives_finite_features_and_gradients(name: str) -> None:
    module, inputs = MODULES[name]()
    outputs = list(tensors(module(*inputs)))
    assert outputs
    assert all(bool(y.isfinite().all()) and bool(y.any()) for y in outputs)
    sum(y.square().sum() for y in outputs).backward()
    leaves = [*module.parameters(), *(x for x in inputs if isinstance(x, Tensor) and x.requires_grad)]
    for leaf in leaves:
        assert leaf.grad is not None
        assert bool(leaf.grad.isfinite().all())
    assert any(bool(leaf.grad.any()) for leaf in leaves)


@pytest.mark.parametrize("name", catalog.VIEWS)
def test_a_view_gives_finite_pixels_and_gradients(name: str) -> None:
    view, clip = catalog.VIEWS[name], given(4, 3, 3, 8, 8)
    seen = DiscriminatorInput(clip, given(4, 3, 3, 4, 4), labels())
    shown = view.apply(seen, view.draw(4, ClipShape(3, 8, 8)))
    assert shown.shape[2] == view.channels
    shown.square().sum().backward()
    assert clip.grad is not None
    assert bool(clip.grad.isfinite().all())
    assert bool(clip.grad.any())


@pytest.mark.parametrize("name", MODULES)
def test_new_weights_are_orthogonal_and_the_seed_s(name: str) -> None:
    """As the papers initialise them; what a layer sees as their largest singular value is so from the start."""
    modules = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        modules.append(MODULES[name]()[0])
    first, again, other = (dict(module.named_parameters()) for module in modules)
    for layer in modules[0].modules():
        if isinstance(layer, WeightLayer):
            values = torch.linalg.svdvals(layer.weight.flatten(1))
            torch.testing.assert_close(values, torch.ones_like(values))
            assert layer.bias is None or not layer.bias.any()
            if layer.spectral:
                torch.testing.assert_close(layer.sigma(), torch.ones(()))
    for key, weight in first.items():
        assert torch.equal(weight, again[key])
        assert weight.dim() < 2 or not torch.equal(weight, other[key]), key


def test_undrawn_weights_and_those_without_memory_draw_nothing() -> None:
    before = torch.get_rng_state()
    with undrawn_weights():
        layer = Conv2d(3, 5)
        with undrawn_weights(), torch.device("meta"):
            assert Linear(3, 5).weight.is_meta
        assert not layer.weight.any()
    with torch.device("meta"):
        ConvGRU(3)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(ZeroDivisionError), undrawn_weights():
        raise ZeroDivisionError
    assert Linear(3, 5).weight.any()
    expected = Conv2d(3, 5)
    initialise(layer, OrthogonalSpec(), torch.Generator().manual_seed(3))
    initialise(expected, OrthogonalSpec(), torch.Generator().manual_seed(3))
    assert all(
        torch.equal(a, b)
        for a, b in zip(layer.state_dict().values(), expected.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("name", catalog.UNITS)
def test_a_unit_is_called_for_its_features(name: str) -> None:
    """Without an encoding it starts from zeros; a hook on it runs; its spec builds what its constructor makes."""
    unit, x = catalog.UNITS[name].build(CHANNELS, CHANNELS), features()
    seen: list[Tensor] = []
    unit.register_forward_hook(lambda module, inputs, output: seen.append(output))
    y = RecurrentLayer(unit)(x)
    expected, _ = unroll(unit, x, torch.zeros(4, CHANNELS, 4, 4))
    assert torch.equal(y, expected)
    assert torch.equal(seen[0], expected)
    assert y.shape == x.shape


def test_a_warp_s_kernels_are_collected_where_somebody_asks() -> None:
    layer, x = RecurrentLayer(TSRUp(CHANNELS)), features()
    kernels: list[Tensor] = []
    y = layer(x, Context(kernels=kernels))
    (of_unit,) = kernels
    expected, wanted = unroll(layer.unit, x)
    assert torch.equal(y, expected)
    assert wanted is not None
    assert torch.equal(of_unit, wanted)
    RecurrentLayer(ConvGRU(CHANNELS))(x, Context(kernels=kernels))
    assert len(kernels) == 1


def test_the_unit_that_the_contract_s_page_shows_works() -> None:
    page = inspect.getdoc(importlib.import_module("vidgan.nn.recurrent.unit"))
    assert page is not None
    names = dict(vars(vidgan.nn)) | {"torch": torch, "join": join}
    exec(textwrap.dedent(page.split("::\n", 1)[1]), names)
    unit = names["LeakySpec"]().build(CHANNELS, CHANNELS)
    x, first = features(), given(4, CHANNELS, 4, 4)
    y = unit(x, first)
    weight = unit.content.weight / torch.linalg.svdvals(unit.content.weight.flatten(1))[0]
    h = first
    for t in range(3):
        content = F.conv2d(torch.cat([h, x[:, t]], dim=1), weight, unit.content.bias, padding=1)
        h = 0.9 * h + 0.1 * torch.tanh(content)
        torch.testing.assert_close(y[:, t], h)


@pytest.mark.parametrize("package", [vidgan.nn, vidgan.models, vidgan.nn.recurrent])
def test_what_a_package_offers_is_there(package: Any) -> None:
    assert set(package.__all__) == {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    # The function, not a file of its name.
    assert callable(vidgan.nn.warp)
