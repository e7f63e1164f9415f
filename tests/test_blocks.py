"""Residual blocks written out with plain convolutions, in the order of the papers' figures."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.models.discriminator import BodySpec
from vidgan.nn.blocks import (
    Convolution3d,
    DeepDiscriminatorBlock,
    DeepGeneratorBlock,
    DiscriminatorBlock,
    GeneratorBlock,
    SeparableBlock,
    SeparableConv,
)
from vidgan.nn.convolution import nearest_upsample, pair_mean
from vidgan.nn.layers import WeightLayer
from vidgan.nn.norm import BatchNormSpec, BatchStatistics, Clock, ConditionalNormReLU, Context
from vidgan.spec import SpecError

F64 = torch.float64
B, T, H, W, K = 2, 3, 4, 6, 5


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def filled(module: nn.Module, seed: int = 1) -> nn.Module:
    """The module in float64 with Gaussian parameters and exact singular vectors."""
    rng = torch.Generator().manual_seed(seed)
    module.double()
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=rng, dtype=F64))
        for layer in module.modules():
            if isinstance(layer, WeightLayer):
                left, _, right = torch.linalg.svd(layer.weight.reshape(layer.weight.shape[0], -1))
                layer.u.copy_(left[:, 0])
                layer.v.copy_(right[0])
    return module


def weight(layer: nn.Module) -> Tensor:
    return layer.weight / torch.linalg.svdvals(layer.weight.reshape(layer.weight.shape[0], -1))[0]


def frames(layer: nn.Module, x: Tensor) -> Tensor:
    """A 2-D convolution of every frame; size is kept."""
    reach = layer.weight.shape[-1] // 2
    steps = [F.conv2d(x[:, t], weight(layer), layer.bias, padding=reach) for t in range(x.shape[1])]
    return torch.stack(steps, dim=1)


def conv3d(layer: nn.Module, x: Tensor) -> Tensor:
    """A 3-D convolution as a sum of 2-D ones of the neighbouring frames; frames outside are zero."""
    kernel = weight(layer)
    depth, reach = kernel.shape[2], kernel.shape[-1] // 2
    steps = []
    for t in range(x.shape[1]):
        total = layer.bias[:, None, None].expand(x.shape[0], -1, x.shape[3], x.shape[4])
        for d in range(depth):
            s = t + d - depth // 2
            if 0 <= s < x.shape[1]:
                total = total + F.conv2d(x[:, s], kernel[:, :, d], padding=reach)
        steps.append(total)
    return torch.stack(steps, dim=1)


def norm_relu(layer: ConditionalNormReLU, x: Tensor, condition: Tensor) -> Tensor:
    """Per-step batch normalisation with gain 1 + W c + b, then ReLU."""
    gain = 1 + condition @ weight(layer.gain).T + layer.gain.bias
    bias = condition @ weight(layer.bias).T + layer.bias.bias
    y = torch.zeros_like(x)
    for t in range(x.shape[1]):
        mean = x[:, t].mean((0, 2, 3), keepdim=True)
        deviation = torch.sqrt(((x[:, t] - mean) ** 2).mean((0, 2, 3), keepdim=True) + 1e-5)
        y[:, t] = (x[:, t] - mean) / deviation * gain[:, :, None, None] + bias[:, :, None, None]
    return y.clamp_min(0)


def double(x: Tensor) -> Tensor:
    """Each pixel becomes two by two of them."""
    y = torch.zeros(*x.shape[:-2], 2 * x.shape[-2], 2 * x.shape[-1], dtype=x.dtype)
    for i in range(y.shape[-2]):
        for j in range(y.shape[-1]):
            y[..., i, j] = x[..., i // 2, j // 2]
    return y


def halve(x: Tensor) -> Tensor:
    """Means of two by two pixels."""
    y = torch.zeros(*x.shape[:-2], x.shape[-2] // 2, x.shape[-1] // 2, dtype=x.dtype)
    for i in range(y.shape[-2]):
        for j in range(y.shape[-1]):
            y[..., i, j] = sum(x[..., 2 * i + a, 2 * j + b] for a in (0, 1) for b in (0, 1)) / 4
    return y


def halve_steps(x: Tensor) -> Tensor:
    """Means of two successive frames; an odd last one is left out, a single one kept."""
    if x.shape[1] == 1:
        return x
    return torch.stack([(x[:, 2 * t] + x[:, 2 * t + 1]) / 2 for t in range(x.shape[1] // 2)], dim=1)


def told() -> Context:
    return Context(random(B, K, seed=3), BatchStatistics(), Clock())


@pytest.mark.parametrize("upsample", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), [(4, 4), (4, 3)])
def test_generator_block(upsample: bool, inputs: int, outputs: int) -> None:
    """norm-ReLU-(up)-conv-norm-ReLU-conv, plus the (upsampled, projected) input (BigGAN, Figure 15 b)."""
    block = filled(GeneratorBlock(inputs, outputs, K, BatchNormSpec(), upsample=upsample))
    x, context = random(B, T, inputs, H, W), told()
    up = double if upsample else torch.clone
    h = frames(block.conv1, up(norm_relu(block.norm1, x, context.condition)))
    h = frames(block.conv2, norm_relu(block.norm2, h, context.condition))
    skip = up(x)  # upsampled first, as the figure has it
    if upsample or inputs != outputs:
        skip = frames(block.shortcut, skip)
    else:
        assert block.shortcut is None
    torch.testing.assert_close(block(x, context), h + skip)


@pytest.mark.parametrize("upsample", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), [(8, 8), (8, 3), (3, 2)])
def test_deep_generator_block(upsample: bool, inputs: int, outputs: int) -> None:
    """A bottleneck of a quarter of the inputs; the shortcut drops the last channels (BigGAN, appendix B)."""
    block = filled(DeepGeneratorBlock(inputs, outputs, K, BatchNormSpec(), upsample=upsample))
    assert block.conv2.weight.shape[:2] == (max(1, inputs // 4), max(1, inputs // 4))
    x, context = random(B, T, inputs, H, W), told()
    up = double if upsample else torch.clone
    h = frames(block.conv1, norm_relu(block.norm1, x, context.condition))
    h = frames(block.conv2, up(norm_relu(block.norm2, h, context.condition)))
    h = frames(block.conv3, norm_relu(block.norm3, h, context.condition))
    h = frames(block.conv4, norm_relu(block.norm4, h, context.condition))
    torch.testing.assert_close(block(x, context), h + up(x[:, :, :outputs]))
    kernels = {name: p.shape[-1] for name, p in block.named_parameters() if p.dim() == 4}
    assert kernels == {"conv1.weight": 1, "conv2.weight": 3, "conv3.weight": 3, "conv4.weight": 1}


@pytest.mark.parametrize("in_3d", [False, True])
@pytest.mark.parametrize("halve_time", [False, True])
@pytest.mark.parametrize(("downsample", "inputs", "outputs"), [(True, 3, 8), (True, 8, 8), (False, 3, 4)])
@pytest.mark.parametrize(("first", "slope"), [(False, 0.0), (True, 0.0), (False, 0.2)])
def test_deep_discriminator_block(
    in_3d: bool, halve_time: bool, downsample: bool, inputs: int, outputs: int, first: bool, slope: float
) -> None:
    """The shortcut keeps its channels and gains the others by a 1x1 convolution (BigGAN, appendix B)."""
    settings = {"conv3d": in_3d, "downsample": downsample, "halve_time": halve_time, "first": first}
    block = filled(DeepDiscriminatorBlock(inputs, outputs, slope=slope, **settings))

    def leaky_relu(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, slope * x)

    def down(x: Tensor) -> Tensor:
        x = halve(x) if downsample else x
        return halve_steps(x) if halve_time else x

    x = random(B, T, inputs, H, W)
    convolve = conv3d if in_3d else frames
    h = frames(block.conv1, x if first else leaky_relu(x))
    h = convolve(block.conv3, leaky_relu(convolve(block.conv2, leaky_relu(h))))
    h = frames(block.conv4, down(leaky_relu(h)))
    skip = down(x)
    if outputs > inputs:
        assert block.shortcut.weight.shape == (outputs - inputs, inputs, 1, 1)
        skip = torch.cat([skip, frames(block.shortcut, skip)], dim=2)
    else:
        assert block.shortcut is None
    torch.testing.assert_close(block(x), h + skip)


def test_deep_shortcuts_refuse_what_they_cannot_do() -> None:
    with pytest.raises(SpecError, match="4 channels of 3"):
        DeepGeneratorBlock(3, 4, K, BatchNormSpec(), upsample=False)
    with pytest.raises(SpecError, match="3 channels of 4"):
        DeepDiscriminatorBlock(4, 3, conv3d=False, downsample=False, halve_time=False, first=False, slope=0.0)


def test_separable_convolution() -> None:
    """First over time with three taps, then 3x3 over every frame (SSW-GAN, B.2)."""
    layer, x = filled(SeparableConv(4, 3)), random(B, T, 4, H, W)
    assert layer.time.weight.shape == (3, 4, 3, 1, 1)
    torch.testing.assert_close(layer(x), frames(layer.space, conv3d(layer.time, x)))


def test_separable_block() -> None:
    block = filled(SeparableBlock(4, K, BatchNormSpec()))
    x, context = random(B, T, 4, H, W), told()
    h = norm_relu(block.norm1, x, context.condition)
    h = frames(block.conv1.space, conv3d(block.conv1.time, h))
    h = norm_relu(block.norm2, h, context.condition)
    h = frames(block.conv2.space, conv3d(block.conv2.time, h))
    torch.testing.assert_close(block(x, context), x + h)


def is_3d(block: DiscriminatorBlock) -> bool:
    return block.conv1.weight.dim() == 5


def discriminator_block(
    block: DiscriminatorBlock, x: Tensor, downsample: bool, halve_time: bool, slope: float
) -> Tensor:
    """(ReLU)-conv-ReLU-conv-(down), plus the (projected, downsampled) input (BigGAN, Figure 15 c)."""

    def leaky_relu(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, slope * x)

    def down(x: Tensor) -> Tensor:
        x = halve(x) if downsample else x
        return halve_steps(x) if halve_time else x

    convolve = conv3d if is_3d(block) else frames
    h = convolve(block.conv1, x if block.first else leaky_relu(x))
    h = down(convolve(block.conv2, leaky_relu(h)))
    skip = x if block.shortcut is None else frames(block.shortcut, x)
    return h + down(skip)


@pytest.mark.parametrize("in_3d", [False, True])
@pytest.mark.parametrize(
    ("downsample", "inputs", "outputs"), [(True, 3, 4), (True, 3, 3), (False, 3, 4), (False, 3, 3)]
)
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_discriminator_block(
    in_3d: bool, downsample: bool, inputs: int, outputs: int, first: bool, slope: float
) -> None:
    settings = {"conv3d": in_3d, "downsample": downsample, "first": first, "slope": slope}
    block = filled(DiscriminatorBlock(inputs, outputs, halve_time=False, **settings))
    assert (block.shortcut is None) == (not downsample and inputs == outputs)
    x = random(B, T, inputs, H, W)
    torch.testing.assert_close(block(x), discriminator_block(block, x, downsample, False, slope))


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_discriminator_block_that_halves_time(steps: int) -> None:
    """Du 2020, table 3.3: 12 steps become 6; the skip connection halves too."""
    block = filled(
        DiscriminatorBlock(3, 4, conv3d=True, downsample=True, halve_time=True, first=False, slope=0.0)
    )
    x = random(B, steps, 3, H, W)
    made = block(x)
    assert made.shape == (B, max(1, steps // 2), 4, H // 2, W // 2)
    torch.testing.assert_close(
        made, discriminator_block(block, x, downsample=True, halve_time=True, slope=0.0)
    )


@pytest.mark.parametrize("halve_time", [False, True])
@pytest.mark.parametrize(
    ("downsample", "first", "slope"), [(True, False, 0.0), (False, True, 0.0), (True, False, 0.2)]
)
def test_plain_convolution_in_place_of_a_block(
    halve_time: bool, downsample: bool, first: bool, slope: float
) -> None:
    """Du 2020, 4.6: one 3x3x3 convolution; ReLU before and pooling behind it, as a block."""
    settings = {"downsample": downsample, "halve_time": halve_time, "first": first, "slope": slope}
    layer, x = filled(Convolution3d(3, 4, **settings)), random(B, 5, 3, H, W)
    assert [tuple(p.shape) for p in layer.parameters()] == [(4, 3, 3, 3, 3), (4,)]
    expected = conv3d(layer.conv, x if first else torch.where(x > 0, x, slope * x))
    expected = halve(expected) if downsample else expected
    torch.testing.assert_close(layer(x), halve_steps(expected) if halve_time else expected)


@pytest.mark.parametrize("steps", [1, 2, 3, 6, 7])
def test_pair_mean(steps: int) -> None:
    x = random(B, steps, 2, 1, 3)
    torch.testing.assert_close(pair_mean(x), halve_steps(x))


def test_upsample() -> None:
    x = random(B, 3, 2, 3)
    assert torch.equal(nearest_upsample(x), double(x))


def test_frames_of_a_2d_block_do_not_meet_and_those_of_a_3d_block_do() -> None:
    """Two 3x3x3 convolutions: a change of one step reaches two steps to either side."""
    x = random(1, 7, 3, H, W)
    changed = x.clone()
    changed[:, 3] = random(1, 3, H, W, seed=5)
    for is_3d, reached in ((False, [3]), (True, [1, 2, 3, 4, 5])):
        settings = {
            "conv3d": is_3d,
            "downsample": True,
            "halve_time": False,
            "first": False,
            "slope": 0.0,
        }
        block = filled(DiscriminatorBlock(3, 4, **settings))
        moved = (block(x) - block(changed)).abs().amax((0, 2, 3, 4)) > 0
        assert moved.nonzero().flatten().tolist() == reached


@pytest.mark.parametrize("halve_time", [False, True])
@pytest.mark.parametrize("blocks_3d", [0, 2])
def test_time_goes_into_channels_behind_the_3d_blocks(halve_time: bool, blocks_3d: int) -> None:
    """Du 2020, 4.5: channels of step 0, then of step 1 and so on, and one output per clip."""
    spec = BodySpec(
        width=2, channels=(1, 2, 3), blocks_3d=blocks_3d, halve_time=halve_time, time_in_channels=True
    )
    body = filled(spec.build(3, steps=5))
    x = random(B, 5, 3, 8, 8)
    h = x
    for block in body.blocks[:blocks_3d]:
        h = block(h)
    assert h.shape[1] == (1 if halve_time and blocks_3d else 5)
    h = torch.cat([h[:, t] for t in range(h.shape[1])], dim=1)[:, None]
    for block in body.blocks[blocks_3d:]:
        assert not is_3d(block)
        h = block(h)
    torch.testing.assert_close(body(x)[-1], h)
    assert h.shape == (B, 1, 6, 2, 2)


def test_time_can_go_into_the_channels_of_a_following_block_only() -> None:
    with pytest.raises(SpecError, match="needs a block after"):
        BodySpec(channels=(1, 2), blocks_3d=2, time_in_channels=True)


@pytest.mark.parametrize("halve_time", [False, True])
def test_a_body_is_its_blocks_in_turn(halve_time: bool) -> None:
    """All but the last block downsample; the first ``blocks_3d`` are 3-D; only the first has no ReLU before it."""
    spec = BodySpec(
        width=2,
        channels=(1, 2, 2),
        blocks_3d=2,
        halve_time=halve_time,
        input_mean=(0.1, -0.2, 0.3),
        input_gain=2.0,
    )
    body = filled(spec.build(3, steps=5))
    body.mean.copy_(torch.tensor(spec.input_mean, dtype=F64)[:, None, None])
    x = random(1, 5, 3, 8, 8)
    h = torch.stack([(x[:, :, c] - spec.input_mean[c]) * 2 for c in range(3)], dim=2)
    features = body(x)
    assert len(features) == 3
    for i, block in enumerate(body.blocks):
        assert (is_3d(block), block.first) == (i < 2, i == 0)
        h = discriminator_block(block, h, downsample=i < 2, halve_time=halve_time and i < 2, slope=0.0)
        torch.testing.assert_close(features[i], h)
    assert [f.shape[1] for f in features] == ([2, 1, 1] if halve_time else [5, 5, 5])
    assert [f.shape[-1] for f in features] == [4, 2, 2]
