"""One of everything: each unit, layer, normalisation, view, head, objective and network structure, tiny.

Shared tests walk these tables; ``test_catalog.py`` fails where one of the package's classes is in none of them.
"""

import dataclasses
import functools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vidgan.models.cascade import below_of
from vidgan.models.discriminator import (
    BodySpec,
    DiscriminatorSpec,
    HeadSpec,
    MixedProjectionSpec,
    ProjectionSpec,
)
from vidgan.models.generator import Below
from vidgan.models.level import LevelSpec
from vidgan.models.losses import (
    HingeEachSpec,
    HingeJoinedSpec,
    ObjectiveSpec,
    RelativeHingeSpec,
    SumThenHingeSpec,
)
from vidgan.models.views import ClipSpec, CropSpec, FramesSpec, MatchingPairSpec, PackSpec, ViewSpec
from vidgan.nn.blocks import BigGANBlocksSpec, BigGANDeepBlocksSpec, Plain3dBlocksSpec, ResidualSpec
from vidgan.nn.layers import InitialiserSpec, NormalSpec, OrthogonalSpec, WeightLayer, power_iterate
from vidgan.nn.norm import (
    BatchNormAllFramesSpec,
    BatchNormSpec,
    GroupNormSpec,
    InstanceNormSpec,
    NoNormSpec,
    NormSpec,
)
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
    UnitSpec,
)
from vidgan.nn.recurrent.unit import ActivationSpec, ReLUSpec, TanhSpec
from vidgan.nn.temporal import (
    RecurrentSpec,
    SelfAttentionSpec,
    SeparableConvolutionSpec,
    SeparableSelfAttentionSpec,
    TemporalSpec,
)
from vidgan.nn.warping import FactorisedWarpSpec, PixelwiseWarpSpec
from vidgan.presets import presets
from vidgan.run.experiment import Experiment, TrainingSpec
from vidgan.run.tiny import tiny
from vidgan.spec import Spec

ACTIVATIONS: Mapping[str, ActivationSpec] = {"relu": ReLUSpec(), "tanh": TanhSpec()}

INITIALISERS: Mapping[str, InitialiserSpec] = {"orthogonal": OrthogonalSpec(), "normal": NormalSpec()}

NORMS: Mapping[str, NormSpec] = {
    "batch": BatchNormSpec(),
    "batch, all frames": BatchNormAllFramesSpec(),
    "group": GroupNormSpec(groups=2),
    "layer": GroupNormSpec(groups=1),
    "instance": InstanceNormSpec(),
    "none": NoNormSpec(),
}

RESIDUALS: Mapping[str, ResidualSpec] = {
    "BigGAN": BigGANBlocksSpec(),
    "BigGAN-deep": BigGANDeepBlocksSpec(),
    "plain 3-D": Plain3dBlocksSpec(),
}

WARPS: Mapping[str, FactorisedWarpSpec | PixelwiseWarpSpec] = {
    "factorised": FactorisedWarpSpec(kernels=4),
    "pixelwise": PixelwiseWarpSpec(),
}

UNITS: Mapping[str, UnitSpec] = {
    "ConvGRU": ConvGRUSpec(),
    "multiplicative ConvGRU": MultiplicativeConvGRUSpec(),
    "ConvLSTM": ConvLSTMSpec(),
    "TSRU_c": TSRUcSpec(),
    "TSRU_p": TSRUpSpec(),
    "TSRU_s": TSRUsSpec(),
    "PTSRU": PTSRUSpec(),
    "K-TrajGRU": KTrajGRUSpec(),
    "dynamic ConvLSTM": DynamicConvLSTMSpec(width=2),
}

TEMPORAL: Mapping[str, TemporalSpec] = {
    **{name: RecurrentSpec(unit=unit) for name, unit in UNITS.items()},
    "self-attention": SelfAttentionSpec(),
    "separable self-attention": SeparableSelfAttentionSpec(),
    "separable self-attention, time first": SeparableSelfAttentionSpec(time_first=True),
    "separable convolution": SeparableConvolutionSpec(),
}

VIEWS: Mapping[str, ViewSpec] = {
    "frames": FramesSpec(k=2),
    "downsampled frames": FramesSpec(k=2, scale=2),
    "clip": ClipSpec(scale=1),
    "downsampled clip": ClipSpec(scale=2),
    "crop": CropSpec(scale=2),
    "matching pair": MatchingPairSpec(),
    "pack of frames": PackSpec(view=FramesSpec(k=2)),
    "pack of clips": PackSpec(view=ClipSpec(scale=2), clips=3),
}

HEADS: Mapping[str, HeadSpec] = {"projection": ProjectionSpec(), "mixed projection": MixedProjectionSpec()}

OBJECTIVES: Mapping[str, ObjectiveSpec] = {
    "sum then hinge": SumThenHingeSpec(),
    "mean then hinge": SumThenHingeSpec(mean=True),
    "relative hinge": RelativeHingeSpec(),
    "hinge each": HingeEachSpec(),
    "hinge joined": HingeJoinedSpec(),
}

BODIES: Mapping[str, BodySpec] = {
    "frames": BodySpec(width=2, channels=(1, 2)),
    "clips": BodySpec(width=2, channels=(1, 2, 2), blocks_3d=1),
    "clips, halving time": BodySpec(width=2, channels=(1, 2, 2), blocks_3d=1, halve_time=True),
    "clips, time in channels": BodySpec(
        width=2, channels=(1, 2, 2), blocks_3d=1, halve_time=True, time_in_channels=True
    ),
    "clips, plain 3-D": BodySpec(width=2, channels=(1, 2), blocks_3d=1, residual=Plain3dBlocksSpec()),
    "deep": BodySpec(width=4, channels=(1, 2, 2), blocks_3d=1, residual=BigGANDeepBlocksSpec()),
    "leaky": BodySpec(width=2, channels=(1, 2), slope=0.2, input_mean=(0.1, 0.0, -0.1), input_gain=2.0),
}


@functools.cache
def experiments() -> dict[str, Experiment]:
    """Every preset, tiny."""
    return {name: tiny(experiment) for name, experiment in presets().items()}


@functools.cache
def distinct() -> dict[str, Experiment]:
    """Tiny presets that bring something new: some are put together from parts that others have, or differ in nothing
    but what making them tiny takes from them.
    """
    table: dict[str, Experiment] = {}
    seen: set[str] = set()
    for name, experiment in experiments().items():
        if not (found := {repr(part) for part in parts(experiment)}) <= seen:
            seen |= found
            table[name] = experiment
    return table


def parts(experiment: Experiment) -> Iterator[object]:
    """Generators, discriminators, objectives, and the numbers of every level and of training."""
    for level in experiment.levels:
        yield from (level.generator, *level.discriminators, level.objective)
        yield level.frames, level.stride, level.window, level.context_frames
    loss = experiment.training.pixel_loss
    if loss is not None:  # by how much and from when on is nothing new
        loss = loss.replace(weight=1.0, start=1)
    yield experiment.training.replace(pixel_loss=loss)
    yield "levels", len(experiment.levels)
    yield "classes", experiment.classes
    yield "bilinear views" if experiment.smooth_views else "nearest views"
    yield "together" if experiment.joint else "one by one"


@functools.cache
def discriminators() -> dict[str, tuple[LevelSpec, DiscriminatorSpec]]:
    """The distinct discriminators of all tiny presets, each with its level."""
    table: dict[str, tuple[LevelSpec, DiscriminatorSpec]] = {}
    seen = set()
    for name, index, level in each_level():
        for discriminator in level.discriminators:
            shape = (
                structure(discriminator),
                level.size if isinstance(discriminator.view, MatchingPairSpec) else None,
            )
            if shape not in seen:
                seen.add(shape)
                table[f"{name} level {index + 1} {discriminator.name}"] = level, discriminator
    return table


@functools.cache
def generators() -> dict[str, tuple[LevelSpec, Below | None]]:
    """The distinct generators of all tiny presets as levels of two frames, and what feeds each.

    Without the stages and the encoder that an earlier generator has too, but for one stage.
    """
    table: dict[str, tuple[LevelSpec, Below | None]] = {}
    seen: set[str] = set()
    for name, index, level in each_level():
        spec = level.generator
        if structure(spec) in seen:
            continue
        stages = {structure(stage): stage for stage in reversed(spec.stages)}
        fresh = [stage for tree, stage in stages.items() if tree not in seen] or list(spec.stages[-1:])
        encoder = None if structure(spec.encoder) in seen else spec.encoder
        if encoder is not None and encoder.skips:
            fresh = list(
                spec.stages[:-3:-1]
            )  # only a stage that is not the last takes features from the encoder
        seen |= {structure(spec), structure(spec.encoder), *stages}
        small = spec.replace(
            stages=tuple(stage.replace(blocks=1) for stage in reversed(fresh)),
            side=2,
            channels=max(stage.channels for stage in fresh),
            encoder=None,
        )
        if encoder is not None:
            channels = encoder.body.channels[: small.size.bit_length() - 1]
            small = small.replace(encoder=encoder.replace(body=encoder.body.replace(channels=channels)))
        below = below_of(structures()[name].levels, index)
        table[f"{name} level {index + 1}"] = (
            LevelSpec(
                generator=small, discriminators=(), frames=2, context_frames=0 if encoder is None else 1
            ),
            below and below._replace(size=max(2, small.size // 2)),
        )
    return table


@functools.cache
def structures() -> dict[str, Experiment]:
    """Tiny presets that differ in more than numbers: each part's tree of classes once, the smallest of it."""
    table: dict[str, Experiment] = {}
    seen: set[str] = set()
    for experiment in sorted(experiments().values(), key=lambda e: (e.joint, e.size)):
        if not (found := trees(experiment)) <= seen:
            seen |= found
            table[experiment.name] = experiment
    return table


def trees(experiment: Experiment) -> set[str]:
    """The trees of classes of the experiment's networks."""
    return {structure(part) for part in parts(experiment) if not isinstance(part, TrainingSpec)}


def each_level() -> Iterator[tuple[str, int, LevelSpec]]:
    """Preset, index and level of every preset that has a structure of its own."""
    for name, experiment in structures().items():
        for index, level in enumerate(experiment.levels):
            yield name, index, level


FEW_LEVELS = (
    "demo-prediction-variety level 1",
    "demo-cascade level 1",
    "demo-cascade level 2",
    "trivd-gan-fp-12x64-cpu level 1",
    "dvd-gan-k600-12x64 level 1",
    "dvd-gan-fp-k600-16x64-states level 1",
    "dvd-gan-norm-all-frames level 1",
)
"""Levels whose parts are put together in ways of their own: from noise, from frames (to one state or several, with
warps or without), from the level below, normalised over all frames. The others differ in what tests of layers have.
"""


def few_first(names: Iterable[str], few: Collection[str] = FEW_LEVELS) -> list[Any]:
    """``names`` as parameters: ``few`` for `make test`, the demos at every commit; the others for `make test-all`."""
    slow, long = pytest.mark.slow, pytest.mark.long
    marks = {
        name: (slow, long) if name not in few else () if name.startswith("demo") else (slow,)
        for name in names
    }
    return [pytest.param(name, id=name, marks=own) for name, own in marks.items()]


def structure(value: Any) -> str:
    """The tree of classes of a spec, with the switches that add or drop layers and without sizes."""
    if isinstance(value, Spec):
        fields = dataclasses.fields(value)  # type: ignore[arg-type]
        inner = ", ".join(
            f"{field.name}={structure(getattr(value, field.name))}"
            for field in fields
            if not isinstance(getattr(value, field.name), str)
        )
        return f"{type(value).__name__}({inner})"
    if isinstance(value, tuple):
        # A tower of equal stages is one structure, however high.
        parts = [structure(item) for item in value]
        return f"[{'; '.join(part for i, part in enumerate(parts) if i == 0 or part != parts[i - 1])}]"
    if isinstance(value, bool) or value is None:
        return str(value)
    return "some" if value else "zero"


def specs_in(value: Any) -> Iterator[type]:
    """The classes of all specs inside ``value``."""
    if isinstance(value, Spec):
        yield type(value)
        for field in dataclasses.fields(value):  # type: ignore[arg-type]
            yield from specs_in(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from specs_in(item)


def random(*shape: int, seed: int = 0) -> Tensor:
    """Gaussian numbers in float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def filled(module: nn.Module, seed: int = 1) -> nn.Module:
    """``module`` in float64 with random weights everywhere: no gain of attention or bias stays at zero.

    Weights are scaled by their inputs, so that deep networks neither die out nor saturate.
    """
    rng = torch.Generator().manual_seed(seed)
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng, dtype=torch.float64))
            if parameter.dim() == 1:
                parameter.mul_(0.3)
            elif parameter.dim() == 0:
                parameter.fill_(1.0)
        for layer in module.modules():
            if isinstance(layer, WeightLayer) and layer.spectral:
                layer.get_buffer("u").copy_(torch.randn(layer.get_buffer("u").shape, generator=rng))
    power_iterate(module, 20)
    return module
