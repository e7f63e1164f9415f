"""Dependence matrices of layers against declared patterns: clips apart, time as the layer's kind says."""

import pytest
import torch
from torch import Tensor, nn

import catalog
import dependence
from catalog import filled, random
from dependence import (
    Pattern,
    causal,
    everything,
    near,
    near_any_clip,
    of_clip,
    same,
    step,
    whole,
)
from vidgan.models.discriminator import MixedProjectionSpec
from vidgan.models.views import ClipShape, DiscriminatorInput, FramesSpec, MatchingPairSpec, PackSpec
from vidgan.nn.attention import FullAttention, SeparableAttention
from vidgan.nn.blocks import SeparableBlock
from vidgan.nn.norm import (
    BatchNormAllFramesSpec,
    BatchNormSpec,
    BatchStatistics,
    Clock,
    ConditionalNormReLU,
    Context,
    LearntNormReLU,
    NormSpec,
    RecordedStatistics,
    StandingStatistics,
    Statistics,
    name_norms,
)
from vidgan.nn.recurrent import unroll
from vidgan.nn.temporal import RecurrentSpec, SeparableConvolutionSpec, Size
from vidgan.nn.warping import expected_motion

B, T, C, S, K = 2, 4, 4, 4, 3
VIDEO = random(B, T, C, S, S)
CONDITION = random(B, K, seed=2)


def context(statistics: Statistics, condition: Tensor = CONDITION) -> Context:
    return Context(condition, statistics, Clock())


def standing_of(layer: nn.Module, x: Tensor = VIDEO) -> StandingStatistics:
    """Statistics of ``layer`` for another batch than the tests'."""
    recorded = RecordedStatistics()
    with torch.no_grad():
        layer(x.flip(0) * 1.5 + 0.1, context(recorded))
    return StandingStatistics(recorded.averages())


def test_the_measure_sees_what_is_there() -> None:
    """A fold that swaps batch and time, the classic mistake, is seen by both halves of the measure."""

    def wrong(x: Tensor) -> Tensor:
        return x.reshape(T, B, C, S, S).transpose(0, 1)

    for measure in (dependence.moved, dependence.reached):
        found = measure(wrong, VIDEO, 2, 2)
        assert not torch.equal(found, dependence.declared(same, (B, T, B, T)))
        assert found.sum() == B * T
    with pytest.raises(AssertionError, match="undeclared"):
        dependence.require(wrong, VIDEO, same)


@pytest.mark.parametrize("name", catalog.UNITS)
def test_units_see_their_past_only(name: str) -> None:
    unit = filled(catalog.UNITS[name].build(C, C))
    encoding = random(B, C, S, S, seed=3)
    dependence.require(lambda x: unroll(unit, x, encoding)[0], VIDEO, causal)
    dependence.require(lambda e: unroll(unit, VIDEO, e)[0], encoding, of_clip, inner=1)


@pytest.mark.parametrize("name", ["TSRU_c", "TSRU_p", "TSRU_s", "PTSRU", "K-TrajGRU"])
def test_warps_and_motion_see_their_past_only(name: str) -> None:
    unit = filled(catalog.UNITS[name].build(C, C))
    encoding = random(B, C, S, S, seed=3)

    def kernels(x: Tensor) -> Tensor:
        weights = unroll(unit, x, encoding)[1]
        assert weights is not None
        return weights

    dependence.require(kernels, VIDEO, causal)
    dependence.require(lambda x: expected_motion(kernels(x)), VIDEO, causal)


@pytest.mark.parametrize("name", catalog.NORMS)
@pytest.mark.parametrize("conditional", [True, False])
def test_normalisation_sees_what_its_statistics_are_over(name: str, conditional: bool) -> None:
    norm = catalog.NORMS[name]
    layer = filled(ConditionalNormReLU(C, K, norm) if conditional else LearntNormReLU(C, norm))
    name_norms(layer)
    over_batch: dict[type, Pattern] = {BatchNormSpec: step, BatchNormAllFramesSpec: everything}
    in_training = over_batch.get(type(norm), same)
    for statistics in (BatchStatistics(), RecordedStatistics()):
        dependence.require(lambda x, s=statistics: layer(x, context(s)), VIDEO, in_training)
    fixed = standing_of(layer)
    dependence.require(lambda x: layer(x, context(fixed)), VIDEO, same)
    if conditional:
        dependence.require(lambda c: layer(VIDEO, context(BatchStatistics(), c)), CONDITION, of_clip, inner=1)


@pytest.mark.parametrize("attention", [FullAttention, SeparableAttention])
def test_attention_sees_the_whole_clip(attention: type[nn.Module]) -> None:
    dependence.require(filled(attention(C)), VIDEO, whole)


@pytest.mark.parametrize("kind", catalog.RESIDUALS)
@pytest.mark.parametrize("name", catalog.NORMS)
@pytest.mark.parametrize("upsample", [False, True])
def test_generator_blocks_work_on_frames(name: str, upsample: bool, kind: str) -> None:
    block = filled(catalog.RESIDUALS[kind].generator(C, 3, K, catalog.NORMS[name], upsample=upsample))
    name_norms(block)
    fixed = standing_of(block)
    dependence.require(lambda x: block(x, context(fixed)), VIDEO, same)
    dependence.require(lambda c: block(VIDEO, context(fixed, c)), CONDITION, of_clip, inner=1)
    over_batch: dict[str, Pattern] = {"batch": step, "batch, all frames": everything}
    batch = BatchStatistics()
    dependence.require(lambda x: block(x, context(batch)), VIDEO, over_batch.get(name, same))


@pytest.mark.parametrize("name", catalog.NORMS)
def test_separable_blocks_reach_two_frames(name: str) -> None:
    block = filled(SeparableBlock(C, K, catalog.NORMS[name]))
    name_norms(block)
    fixed = standing_of(block)
    dependence.require(lambda x: block(x, context(fixed)), VIDEO, near(2))
    over_batch: dict[str, Pattern] = {"batch": near_any_clip(2), "batch, all frames": everything}
    batch = BatchStatistics()
    dependence.require(lambda x: block(x, context(batch)), VIDEO, over_batch.get(name, near(2)))


def pairs(reach: int) -> Pattern:
    """Steps 2t' and 2t' + 1, and as many on either side as convolutions over time reach."""

    def pattern(b2: int, t2: int, b: int, t: int) -> bool:
        return b2 == b and 2 * t2 - reach <= t <= 2 * t2 + 1 + reach

    return pattern


@pytest.mark.parametrize("kind", catalog.RESIDUALS)
@pytest.mark.parametrize("downsample", [False, True])
@pytest.mark.parametrize(("conv3d", "halve_time"), [(False, False), (True, False), (True, True)])
def test_discriminator_blocks(kind: str, downsample: bool, conv3d: bool, halve_time: bool) -> None:
    make = catalog.RESIDUALS[kind].discriminator
    reach = 1 if kind == "plain 3-D" else 2
    pattern = same if not conv3d else pairs(reach) if halve_time else near(reach)
    block = make(C, 6, conv3d=conv3d, downsample=downsample, halve_time=halve_time, first=False, slope=0.0)
    dependence.require(filled(block), random(B, 7, C, S, S), pattern)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("frames", same),
        ("leaky", same),
        ("clips", near(2)),
        ("deep", near(2)),
        ("clips, halving time", pairs(2)),
        ("clips, time in channels", whole),
        ("clips, plain 3-D", near(1)),
    ],
)
def test_bodies(name: str, pattern: Pattern) -> None:
    body = filled(catalog.BODIES[name].build(3, steps=7))
    dependence.require(lambda x: body(x)[-1], random(2, 7, 3, 8, 8), pattern)


@pytest.mark.parametrize("name", catalog.TEMPORAL)
def test_temporal_layers(name: str) -> None:
    spec = catalog.TEMPORAL[name]
    norm: NormSpec = BatchNormSpec()
    layer = spec.build(Size(C, K, norm))
    filled(layer)
    name_norms(layer)
    recurrent, convolution = isinstance(spec, RecurrentSpec), isinstance(spec, SeparableConvolutionSpec)
    encoding = random(B, C, S, S, seed=3) if recurrent else None
    recorded = RecordedStatistics()
    layer(VIDEO.flip(0), context(recorded), encoding)
    fixed = StandingStatistics(recorded.averages())
    pattern = causal if recurrent else near(2) if convolution else whole
    dependence.require(lambda x: layer(x, context(fixed), encoding), VIDEO, pattern)
    assert spec.context == (2 if convolution else None)
    in_training = near_any_clip(2) if convolution else pattern
    dependence.require(lambda x: layer(x, context(BatchStatistics()), encoding), VIDEO, in_training)


@pytest.mark.parametrize("name", catalog.VIEWS)
def test_views(name: str) -> None:
    spec = catalog.VIEWS[name]
    clip, label = random(B, 6, 3, 8, 8), torch.arange(B)
    inner = spec.view if isinstance(spec, PackSpec) else spec
    if isinstance(spec, PackSpec):  # the first clip and the last are of one class, and see each other
        label[-1] = label[0]
    pair = isinstance(spec, MatchingPairSpec)
    below = random(B, 3, 3, 4, 4, seed=4) if pair else None
    draw = spec.draw(B, ClipShape(6, 8, 8), torch.Generator().manual_seed(5))

    def seen(b2: int, t2: int, b: int, t: int) -> bool:
        if isinstance(inner, FramesSpec):
            return bool(label[b2] == label[b]) and t == int(draw[b, t2])
        return bool(label[b2] == label[b]) and t == (2 * t2 if pair else t2)

    dependence.require(lambda x: spec.apply(DiscriminatorInput(x, below, label), draw), clip, seen)
    if below is not None:
        dependence.require(lambda x: spec.apply(DiscriminatorInput(clip, x, label), draw), below, same)


@pytest.mark.parametrize("name", catalog.HEADS)
def test_heads(name: str) -> None:
    spec = catalog.HEADS[name]
    head = filled(spec.build(C, 4))
    h, label = random(B, T, C), torch.arange(B)
    if isinstance(spec, MixedProjectionSpec):
        # Luc et al. 2020, Eq. 15: score (b, b', t) joins frame t of b with all frames of b'.
        dependence.require(
            lambda x: head(x, label),
            h,
            lambda b2, other, t2, b, t: (b2 == b and t2 == t) or other == b,
            outer=3,
        )
    else:
        dependence.require(lambda x: head(x, label), h, same)
    before = head(h, label)
    for b in range(B):
        changed = (head(h, label.clone().index_fill_(0, torch.tensor(b), 3)) - before).abs() > 1e-10
        clips = torch.arange(B) == b
        expected = clips[None, :, None] if before.dim() == 3 else clips[:, None]
        assert torch.equal(changed, expected.expand_as(changed))
