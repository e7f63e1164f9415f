"""Every preset trains, tiny; and differs from its parent as its paper says."""

import fnmatch
import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

import catalog
from changes import changed, fields
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.models.costs import networks
from vidgan.models.views import ClipSpec, CropSpec, FramesSpec
from vidgan.nn.layers import NormalSpec
from vidgan.nn.norm import (
    BatchNormAllFramesSpec,
    BatchNormSpec,
    GroupNormSpec,
    InstanceNormSpec,
    NoNormSpec,
)
from vidgan.nn.recurrent import (
    ConvGRUSpec,
    ConvLSTMSpec,
    DynamicConvLSTMSpec,
    KTrajGRUSpec,
    PTSRUSpec,
    TSRUcSpec,
    TSRUpSpec,
    TSRUsSpec,
)
from vidgan.nn.recurrent.unit import TanhSpec
from vidgan.presets import preset, presets
from vidgan.run.experiment import Experiment, whole_window
from vidgan.train.callbacks import Callback, TrainContext
from vidgan.train.plan import plan_level
from vidgan.train.state import TrainState
from vidgan.train.trainer import Trainer

CPU = torch.device("cpu")

MAY_REST = ("discriminators.*.head.score.bias", "generator.stages.*.blocks.*.conv[123].bias")
"""While every hinge is open, the gradients of the first by real and fake scores cancel exactly. Normalisation behind a
convolution takes its bias away, so that rounding alone moves it."""

UNUSED = {
    # Luc et al. 2020, A: the encoder is "identical to the spatial discriminator network", but the generator begins at
    # 8x8, so that no state is made from the features at 4x4. At most the orthogonal penalty moves their weights.
    f"{name} level 1": ("generator.encoder.body.blocks.3.*", "generator.encoder.body.blocks.4.*")
    for name, experiment in presets().items()
    if experiment.source.startswith("Luc et al. 2020")
} | {
    # Without a recurrent unit all frames are alike, so that attention along time has nothing to choose from.
    "guide-no-convgru level 1": (
        "generator.stages.*.attention.time.query.*",
        "generator.stages.*.attention.time.key.*",
    )
}
"""Parameters without influence on anything, and why."""


class Heard(NamedTuple):
    """What a level reported, its state, and its weights before its first step."""

    state: TrainState
    before: dict[str, Tensor]
    ticks: list[Mapping[str, float]]
    saved: list[tuple[int, bool]]


class Listener(Callback):
    """Hears what levels report."""

    def __init__(self) -> None:
        self.levels: list[Heard] = []

    def on_level_start(self, trainer: TrainContext) -> None:
        self.levels.append(Heard(trainer.state, weights(trainer.state), [], []))

    def on_tick(self, trainer: TrainContext, scalars: Mapping[str, float]) -> None:
        self.levels[-1].ticks.append(scalars)

    def on_checkpoint(self, trainer: TrainContext, finished: bool) -> None:
        self.levels[-1].saved.append((trainer.state.steps, finished))


def dataset_for(experiment: Experiment) -> SyntheticDataset:
    frames = whole_window(experiment).span
    # As many classes as the experiment has.
    motions = ("right", "left", "grow")[: experiment.classes]
    return SyntheticDataset(
        SyntheticSpec(shapes=("disc",), motions=motions, size=experiment.size, frames=frames, clips=60)
    )


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def weights(state: TrainState) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in state.level.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", catalog.few_first({**catalog.structures(), **catalog.distinct()}, catalog.structures())
)
def test_tiny_presets_train_two_steps(name: str) -> None:
    experiment, listener = catalog.experiments()[name], Listener()
    data = dataset_for(experiment)
    trainer = Trainer(experiment, data, device="cpu", workers=0, callbacks=[listener], progress=False)
    assert trainer.fit()
    assert [heard.state.index for heard in listener.levels] == list(experiment.rounds)
    for heard in listener.levels:
        state, index = heard.state, heard.state.index
        assert state.steps == 2
        assert heard.saved == [(1, False), (2, True)]
        assert len(heard.ticks) == 2
        for scalars in heard.ticks:
            assert {"loss/discriminators", "loss/generator"} <= scalars.keys()
            assert {
                f"discriminator/{discriminator}/real" for discriminator in state.level.discriminators
            } <= scalars.keys()
            assert all(math.isfinite(value) for value in scalars.values())
        still = {n for n, p in weights(state).items() if torch.equal(p, heard.before[n])}
        unused = UNUSED.get(f"{name} level {index + 1}", ())
        assert {n for n in still if not matches(n, (*MAY_REST, *unused))} == set()
        for pattern in unused:
            assert fnmatch.filter(still, pattern), f"{pattern} is listed as unused but moves"


def test_long_clips_take_another_unit_and_half_the_width() -> None:
    """Clark et al. 2019, A.2: a plain ConvGRU at 48 frames; the generator is half as wide."""
    assert changed("dvd-gan-k600-48x64", "dvd-gan-k600-12x64") == {
        "levels.0.frames": 48,
        "levels.0.generator.width": 64,
        "levels.0.generator.stages.0.temporal.0.unit.is": "ConvGRUSpec",
    }
    assert changed("dvd-gan-k600-48x128", "dvd-gan-k600-12x128") == {
        "levels.0.frames": 48,
        "levels.0.generator.stages.0.temporal.0.unit.is": "ConvGRUSpec",
    }


def test_ucf101_is_the_kinetics_model_on_16_frames() -> None:
    """Clark et al. 2019, B.2: 16 frames, 101 classes; consecutive ones by A.1, though 2.4 skips by default."""
    parent = "dvd-gan-k600-12x128"
    expected = {"levels.0.frames": 16, "levels.0.stride": 1, "classes": 101}
    assert changed("dvd-gan-ucf101-16x128", parent) == expected


def test_without_skipping_16_frames_are_made_of_nothing() -> None:
    """Clark et al. 2019, 4.2.1: Table 3's last row, "without any frame skipping (no conditioning frames)"."""
    expected = {"levels.0.frames": 16, "levels.0.stride": 1}
    assert changed("dvd-gan-k600-16x64-noskip", "dvd-gan-k600-12x64") == expected


CLIP = "levels.0.discriminators.1.view."
FIGURE_7 = {
    "dvd-gan-phi-avg2": {},
    "dvd-gan-phi-avg4": {CLIP + "scale": 4},
    "dvd-gan-phi-none": {CLIP + "scale": 1},
    "dvd-gan-phi-crop": {CLIP + "is": "CropSpec"},
    "dvd-gan-k1": {"levels.0.discriminators.0.view.k": 1},
    "dvd-gan-k2": {"levels.0.discriminators.0.view.k": 2},
    "dvd-gan-k8": {},
    "dvd-gan-k10": {"levels.0.discriminators.0.view.k": 10},
}


@pytest.mark.parametrize("name", FIGURE_7)
def test_ablations_change_one_view_and_take_100_000_steps(name: str) -> None:
    """Clark et al. 2019, 4.3: phi is 2x2 and 4x4 pooling, the identity or a half-sized crop; k is 1, 2, 8 or 10."""
    expected = FIGURE_7[name] | {"training.steps": 100_000}
    assert changed(name, "dvd-gan-k600-12x64") == expected


BLOCKS, FINAL = "levels.0.generator.norm.", "levels.0.generator.final_norm."
APPENDIX_C = {
    "dvd-gan-norm-group": {f"{place}{key}" for place in (BLOCKS, FINAL) for key in ("is", "groups")},
    "dvd-gan-norm-layer": {f"{place}{key}" for place in (BLOCKS, FINAL) for key in ("is", "groups")},
    "dvd-gan-norm-instance": {f"{BLOCKS}is", f"{FINAL}is"},
    "dvd-gan-norm-none": {f"{BLOCKS}is", f"{FINAL}is"},
    "dvd-gan-norm-all-frames": {f"{BLOCKS}is", f"{FINAL}is"},
    "dvd-gan-norm-none-in-blocks": {f"{BLOCKS}is"},
    "dvd-gan-norm-no-final": {f"{FINAL}is"},
}


@pytest.mark.parametrize("name", APPENDIX_C)
def test_normalisations_change_nothing_else(name: str) -> None:
    """Clark et al. 2019, C: everywhere, in the residual blocks alone, or the last one alone."""
    assert set(changed(name, "dvd-gan-k600-12x64")) == APPENDIX_C[name]
    (level,) = preset(name).levels
    kinds = {
        "group": (GroupNormSpec(), GroupNormSpec()),
        "layer": (GroupNormSpec(groups=1), GroupNormSpec(groups=1)),
        "instance": (InstanceNormSpec(), InstanceNormSpec()),
        "none": (NoNormSpec(), NoNormSpec()),
        "all-frames": (BatchNormAllFramesSpec(), BatchNormAllFramesSpec()),
        "none-in-blocks": (NoNormSpec(), BatchNormSpec()),
        "no-final": (BatchNormSpec(), NoNormSpec()),
    }
    assert (level.generator.norm, level.generator.final_norm) == kinds[name.removeprefix("dvd-gan-norm-")]


@pytest.mark.parametrize("frames", [12, 48])
def test_recurrent_units_are_compared_at_both_lengths(frames: int) -> None:
    """Clark et al. 2019, A.2: the multiplicative ConvGRU and the standard one, at 12 and at 48 frames."""
    names = [f"dvd-gan-unit-{unit}-{frames}x64" for unit in ("multiplicative", "convgru")]
    place = "levels.0.generator.stages.0.temporal.0.unit."
    assert {key.removeprefix(place) for key in changed(*names)} == {"is"}
    main = names[0] if frames == 12 else names[1]  # as the main model of that length
    assert changed(main, f"dvd-gan-k600-{frames}x64") == {}


def test_dvd_gan_has_an_orthogonal_penalty_and_its_successor_none() -> None:
    """SSW-GAN, A: "Different from DVD-GAN, we do not use weight moving averages nor orthogonal penalties"."""
    assert preset("dvd-gan-k600-12x64").training.orthogonal_penalty == 1e-4
    assert preset("dvd-gan-fp-bair-16x64").training.orthogonal_penalty == 1e-4
    for name in ("ssw-gan-k600-48x128", "cvg-k600-48x128", "guide-k400-12x64", "demo"):
        assert preset(name).training.orthogonal_penalty == 0, name


def test_deep_blocks_are_in_every_stage_and_every_discriminator() -> None:
    """Clark et al. 2019, C: "models based on the residual blocks of BigGAN-deep"."""
    (level,) = preset("dvd-gan-deep-blocks").levels
    places = {f"generator.stages.{i}.residual.is" for i in range(4)}
    places |= {f"discriminators.{i}.body.residual.is" for i in range(2)}
    expected = {f"levels.0.{place}": "BigGANDeepBlocksSpec" for place in places}
    assert changed("dvd-gan-deep-blocks", "dvd-gan-k600-12x64") == expected
    assert len(level.generator.stages) == 4


def test_the_model_for_one_gpu_names_what_it_changes() -> None:
    """Nobody should take it for the paper's."""
    one = preset("dvd-gan-ucf101-16x64-1gpu")
    assert one.description.startswith("Not the paper's")
    words = {
        "width": "width 64",
        "frames": "64x64 instead of 128x128",
        "stride": "consecutive frames",
        "classes": "UCF-101",
        "steps": "100,000 steps",
        "batch": "batch 64",
        "average": "decay 0.999 from step 5,000",
        "standing_statistics": "50 batches of 64",
    }
    said = " ".join([one.description, *one.deviations])
    for place in changed("dvd-gan-ucf101-16x64-1gpu", "dvd-gan-k600-12x64"):
        found = [word for part, word in words.items() if part in place]
        assert found, f"{place} has no words here"
        assert any(word in said for word in found), place


@pytest.mark.slow
def test_the_model_for_one_gpu_takes_the_memory_that_it_names() -> None:
    one = preset("dvd-gan-ucf101-16x64-1gpu")
    needed = plan_level(one, 0).memory(one.training.batch.share())
    assert "14 GB" in one.description
    assert needed / 1e9 == pytest.approx(14, abs=0.5)


def test_bair_differs_from_kinetics_prediction_in_frames_alone() -> None:
    """Clark et al. 2019, B.1: 15 frames given one."""
    expected = {"levels.0.frames": 15, "levels.0.context_frames": 1}
    assert changed("dvd-gan-fp-bair-16x64", "dvd-gan-fp-k600-16x64") == expected


def test_larger_frames_change_the_towers_alone() -> None:
    towers = {"generator.stages", "discriminators.0", "discriminators.1"}
    assert fields("dvd-gan-k600-12x256", "dvd-gan-k600-12x128") == towers
    # A.2: the generator at 128x128 is half as wide as at 64x64.
    more = {"generator.width", "generator.channels"}
    assert fields("dvd-gan-k600-12x128", "dvd-gan-k600-12x64") == towers | more


def test_prediction_adds_an_encoder_and_keeps_discriminators_and_training() -> None:
    """Clark et al. 2019, 4.2.1 and A.4: 11 frames given 5, class-free; the state has 512 channels."""
    assert fields("dvd-gan-fp-k600-16x64", "dvd-gan-k600-12x64") == {
        "generator.width",
        "generator.encoder",
        "frames",
        "stride",
        "context_frames",
        "classes",
        "conditional",
    }
    (level,) = preset("dvd-gan-fp-k600-16x64").levels
    assert level.generator.channels * level.generator.width == 512
    assert level.generator.encoder is not None
    assert level.generator.encoder.body == level.discriminators[0].body


def test_a_state_per_resolution() -> None:
    """Luc et al. 2020, A: from 8x8, states of 8x8, 16x16 and 32x32 from the encoder; discriminators and
    training stay."""
    name = "dvd-gan-fp-k600-16x64-states"
    changes = fields(name, "dvd-gan-fp-k600-16x64")
    assert {place.split(".")[0] for place in changes} == {"generator"}
    spec = preset(name).levels[0].generator
    with torch.device("meta"):
        encoder = spec.build(1, 12, context_frames=5).encoder
    assert encoder is not None
    shapes = {side: tuple(layer.weight.shape) for side, layer in encoder.compress.items()}
    # Five frames in the channels: 8, 4 and 2 times 128 of each; a state has the channels of its stage's input.
    assert shapes == {
        "8": (8 * 64, 5 * 8 * 128, 3, 3),
        "16": (8 * 64, 5 * 4 * 128, 3, 3),
        "32": (4 * 64, 5 * 2 * 128, 3, 3),
    }


def test_prediction_without_what_dvd_gan_fp_has_says_so() -> None:
    """Luc et al. 2020, A: "identical to DVD-GAN-FP", whose generator has attention and skip connections."""
    for name, experiment in presets().items():
        spec = experiment.levels[0].generator
        layers = [type(layer).__name__ for stage in spec.stages for layer in stage.temporal]
        whole = spec.encoder is None or (spec.encoder.skips and any("Attention" in each for each in layers))
        said = any("no attention and no skip connections" in each for each in experiment.deviations)
        assert whole != said, name


FINAL_MODEL = "trivd-gan-fp-k600-16x64"
TABLE_1 = {
    # Luc et al. 2020, Table 1: (k, scale) of frames, scales of clips, of crops, and thousands of steps.
    "clip": (None, 1, None, 758),
    "downsampled": (None, 2, None, 1000),
    "cropped": (None, None, 2, 997),
    "cropped-downsampled": (None, 2, 2, 792),
    "mocogan-k1": ((1, 1), 1, None, 651),
    "mocogan-k8": ((8, 1), 1, None, 561),
    "dvd-gan-fp": ((8, 1), 2, None, 689),
    "faster": ((8, 2), None, 2, 817),
    "stronger": ((8, 2), 2, 2, 675),
}


@pytest.mark.parametrize("name", TABLE_1)
def test_decompositions_of_the_discriminators(name: str) -> None:
    """Luc et al. 2020, Table 1: sub-discriminators and budgets; nothing else differs between its rows."""
    frames, clip, crop, thousands = TABLE_1[name]
    experiment = preset(f"trivd-table1-{name}")
    views: set[object] = set()
    if frames is not None:
        views.add(FramesSpec(k=frames[0], scale=frames[1]))
    if clip is not None:
        views.add(ClipSpec(scale=clip))
    if crop is not None:
        views.add(CropSpec(scale=crop))
    (level,) = experiment.levels
    assert {discriminator.view for discriminator in level.discriminators} == views
    assert len(level.discriminators) == len(views)
    for discriminator in level.discriminators:
        assert discriminator.body.blocks_3d == (0 if isinstance(discriminator.view, FramesSpec) else 2)
    assert experiment.training.steps == thousands * 1000
    places = fields(experiment.name, "trivd-table1-dvd-gan-fp") - {"training.steps"}
    assert {place.split(".")[0] for place in places} <= {"discriminators"}


TABLE_2 = {
    "convlstm": ConvLSTMSpec(),
    "convlstm-tanh": ConvLSTMSpec(activation=TanhSpec()),
    "convgru": ConvGRUSpec(),
    "k-trajgru": KTrajGRUSpec(),
    "tsru-c": TSRUcSpec(),
    "tsru-p": TSRUpSpec(),
    "tsru-s": TSRUsSpec(),
    "ptsru-s": PTSRUSpec(),
    "dynamic-convlstm": DynamicConvLSTMSpec(),
}


@pytest.mark.parametrize("name", TABLE_2)
def test_recurrent_units_on_the_faster_decomposition(name: str) -> None:
    """Luc et al. 2020, 4.3: "the fastest of our discriminator decompositions", 500k steps, one unit everywhere."""
    experiment = preset(f"trivd-table2-{name}")
    (level,) = experiment.levels
    units = [layer.unit for stage in level.generator.stages for layer in stage.temporal]  # type: ignore[union-attr]
    assert units == [TABLE_2[name]] * 3
    assert experiment.training.steps == 500_000
    places = changed(experiment.name, "trivd-table1-faster")
    assert all(".unit." in place or place == "training.steps" for place in places)


SUM_HINGE: dict[str, object] = {
    "levels.0.objective.is": "SumThenHingeSpec",
    "levels.0.objective.mean": False,
    "levels.0.objective.total": None,
}


def test_plain_and_mixed_projection_differ_in_heads_and_their_hinges() -> None:
    """Luc et al. 2020, E.1: width 48, 700k steps."""
    changes: dict[str, object] = {f"levels.0.discriminators.{i}.head.is": "ProjectionSpec" for i in range(2)}
    # "A single scalar per sample" instead of B x B x T outputs.
    changes |= SUM_HINGE
    assert changed("trivd-projection-plain", "trivd-projection-mixed") == changes
    assert changed("trivd-projection-mixed", "trivd-table1-dvd-gan-fp") == {"training.steps": 700_000}


def test_the_final_model_at_other_sizes() -> None:
    """Luc et al. 2020, 4.4, C.1 and C.2: widths, rates, frames; the encoder is as wide as the discriminators."""
    bodies = ("generator.encoder.body", *(f"discriminators.{i}.body" for i in range(3)))

    def widths(generator: int, discriminators: int) -> dict[str, object]:
        places = {f"levels.0.{body}.width": discriminators for body in bodies}
        return {"levels.0.generator.width": generator, **places}

    steps = {"training.steps": 1_000_000}
    assert changed(f"{FINAL_MODEL}-w48", FINAL_MODEL) == widths(48, 48) | steps
    assert changed("trivd-gan-fp-ucf101-16x64", FINAL_MODEL) == widths(92, 92) | steps
    assert changed("trivd-gan-fp-bair-16x64", FINAL_MODEL) == widths(48, 92) | {
        "levels.0.frames": 15,
        "levels.0.context_frames": 1,
        "training.adam.generator_rate": 2e-5,
        "training.adam.discriminator_rate": 3e-5,
    }
    final = preset(FINAL_MODEL)
    assert final.levels[0].generator.width == 120
    assert final.training.steps == 700_000
    assert (final.training.adam.generator_rate, final.training.adam.discriminator_rate) == (1e-4, 5e-4)
    # Put together from the tables' winners, at width 48 (4.4).
    parts = fields(f"{FINAL_MODEL}-w48", "trivd-table1-stronger")
    assert parts == {"generator.stages", "training.steps"}
    # What C.2 and D.1 set beside it: medium models, for as long.
    assert changed("dvd-gan-fp-k600-16x64-w48", "trivd-table1-dvd-gan-fp") == steps
    for unit in ("convgru", "tsru-p"):
        assert changed(f"trivd-medium-{unit}", f"trivd-table2-{unit}") == steps


GUIDE, ORIGINAL = "guide-k400-12x64", "guide-original"
CLIP_BODY = "levels.0.discriminators.1.body."


def test_shapes_of_the_guides_tables() -> None:
    """Du 2020, tables 3.1-3.3, with ch = 64 and 12 frames."""
    found = {n.name: {p.name: p.shape for p in n.parts} for n in networks(preset(GUIDE).levels, 0, 400)}

    def out(network: str, part: str, shape: tuple[int, ...]) -> bool:
        return found[network][part] == shape

    ch = 64
    up = [(12, ch * 8, 8), (12, ch * 8, 16), (12, ch * 4, 32), (12, ch * 2, 64), (12, ch, 64)]
    assert out("generator", "start", (1, ch * 8 * 4 * 4))
    assert out("generator", "stages.0.temporal.0", (12, ch * 8, 4, 4))
    for i, (steps, channels, side) in enumerate(up):
        assert out("generator", f"stages.{i}.blocks.0", (steps, channels, side, side))
    assert out("generator", "stages.3.temporal.0", (12, ch * 4, 32, 32))  # attention at 32x32 (4.2)
    assert out("generator", "to_pixels", (12, 3, 64, 64))
    frames = [(8, ch * 2, 32), (8, ch * 4, 16), (8, ch * 8, 8), (8, ch * 16, 4), (8, ch * 16, 4)]
    clip = [(6, ch, 16), (3, ch * 2, 8), (3, ch * 4, 4), (3, ch * 8, 4)]
    for name, blocks in (("frames", frames), ("clip", clip)):
        for i, (steps, channels, side) in enumerate(blocks):
            assert out(name, f"body.blocks.{i}", (steps, channels, side, side))
    (level,) = preset(GUIDE).levels
    assert sum(len(stage.temporal) for stage in level.generator.stages) == 3
    assert [discriminator.body.blocks_3d for discriminator in level.discriminators] == [0, 2]


def test_numbers_of_the_guides_table() -> None:
    """Du 2020, table 4.1 and 4.7."""
    experiment = preset(GUIDE)
    (level,) = experiment.levels
    training, adam = experiment.training, experiment.training.adam
    assert (adam.generator_rate, adam.discriminator_rate, adam.beta1, adam.beta2) == (5e-4, 1e-4, 0.0, 0.999)
    assert (training.batch.global_batch, training.discriminator_updates, training.steps) == (108, 2, 110_000)
    assert training.initial == NormalSpec(deviation=0.02)
    assert (level.generator.latent, level.generator.embedding) == (128, 128)
    assert (level.frames, level.stride, level.discriminators[0].view) == (12, 2, FramesSpec(k=8))
    assert level.discriminators[1].view == ClipSpec(scale=2)


GUIDE_VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "guide-per-frame-hinge-sum": ("guide-per-frame-hinge", {"levels.0.objective.total": True}),
    "guide-ucf101-12x64": (GUIDE, {"classes": 101}),
    "guide-original": (GUIDE, SUM_HINGE | {CLIP_BODY + "time_in_channels": True}),
    "guide-per-frame-hinge": (GUIDE, {CLIP_BODY + "time_in_channels": True}),
    "guide-conv3d": (GUIDE, {CLIP_BODY + "residual.is": "Plain3dBlocksSpec"}),
}


@pytest.mark.parametrize("name", GUIDE_VARIANTS)
def test_variants_of_the_guide(name: str) -> None:
    """Du 2020, 4.3, 4.5 and 4.6: hinge, fold of time, and 3-D blocks, one by one."""
    parent, expected = GUIDE_VARIANTS[name]
    assert changed(name, parent) == expected


@pytest.mark.parametrize(
    ("name", "weight", "start"),
    [("2-at-50k", 2.0, 50_000), ("1-at-50k", 1.0, 50_000), ("0.5-at-50k", 0.5, 50_000), ("0.5-at-0", 0.5, 0)],
)
def test_pixel_losses_of_the_guide(name: str, weight: float, start: int) -> None:
    """Du 2020, Figure 4.7: added to the model that turns dark, pixelwise as Eq. 4.1 is written."""
    values = {"weight": weight, "start": start, "of_means": False, "is": "PixelLossSpec"}
    expected = {f"training.pixel_loss.{key}": value for key, value in values.items()}
    changes = changed(f"guide-pixel-loss-{name}", ORIGINAL)
    assert changes.pop("training.pixel_loss", None) is None
    assert changes == expected


def test_layers_of_the_guides_generator_are_removed_one_at_a_time() -> None:
    """Du 2020, 4.5: "with everything else unchanged"."""

    def layers(name: str) -> list[str]:
        stages = preset(name).levels[0].generator.stages
        return [f"{i} {type(layer).__name__}" for i, stage in enumerate(stages) for layer in stage.temporal]

    whole = layers(ORIGINAL)
    assert len(whole) == 3
    for number, name in enumerate(("convgru", "attention", "separable-attention")):
        assert layers(f"guide-no-{name}") == whole[:number] + whole[number + 1 :]
        assert fields(f"guide-no-{name}", ORIGINAL) == {"generator.stages"}
    (level,) = preset("guide-no-frame-discriminator").levels
    assert level.discriminators == preset(ORIGINAL).levels[0].discriminators[1:]


def test_without_its_clip_discriminator() -> None:
    """Du 2020, Figure 4.12: the model that turns dark, one module less."""
    changes = changed("guide-no-clip-discriminator", ORIGINAL)
    assert set(changes.values()) == {None}
    assert all(place.startswith("levels.0.discriminators.1.") for place in changes)
    (level,) = preset("guide-no-clip-discriminator").levels
    assert level.discriminators == preset(ORIGINAL).levels[0].discriminators[:1]


def test_the_demo_keeps_the_papers_classes_of_layers() -> None:
    """It changes numbers and named switches; the kinds of layers, views, heads and objective stay."""
    swapped = {
        place: value
        for place, value in changed("demo", "dvd-gan-k600-12x64").items()
        if place.endswith(".is") and value is not None and not place.startswith("levels.0.generator.stages")
    }
    assert swapped == {"training.class_margin.is": "ClassMarginSpec"}  # which is no layer
    assert fields("demo", "dvd-gan-k600-12x64") <= {
        "generator.latent",
        "generator.width",
        "generator.side",
        "generator.channels",
        "generator.stages",
        "discriminators.0",
        "discriminators.1",
        "objective.mean",
        "frames",
        "stride",
        "classes",
        "training.steps",
        "training.discriminator_updates",
        "training.batch",
        "training.adam",
        "training.average",
        "training.class_margin",
        "training.orthogonal_penalty",
        "training.standing_statistics",
        "training.bf16",
        "reporting.tick",
        "reporting.checkpoint",
        "reporting.keep",
        "reporting.samples",
    }


def test_the_demo_names_all_that_it_changes() -> None:
    """Nobody should take it for the paper's recipe."""
    words = {
        "generator.width": "width 8",
        "generator.side": "3x3 map",
        "generator.channels": "channels 4 and then 4, 2, 1",
        "generator.stages": "one block instead of two in each but the last",
        "body.width": "width 8",
        "body.channels": "channels 4, 8, 16",
        "body.input_mean": "centred",
        "body.input_gain": "times 32",
        "view.k": "2 frames instead of 8",
        "mean_pool": "means over positions",
        "objective.mean": "means over positions, frames and steps",
        "frames": "8 consecutive frames",
        "stride": "consecutive",
        "classes": "8 classes",
        "steps": "100,000 steps",
        "discriminator_updates": "one discriminator update",
        "micro_batch": "in passes of 8 clips",
        "batch": "batch 16",
        "generator_rate": "rates 3e-3",
        "discriminator_rate": "and 2e-3",
        "beta2": "beta2 0.99",
        "average.decay": "decay 0.999",
        "average.ramp": "over a quarter of the steps so far",
        "average.start": "from the start",
        "class_margin": "by a margin (of 1, weight 8)",
        "orthogonal_penalty": "no orthogonal penalty",
        "standing_statistics": "16 batches of 64",
        "bf16": "float32",
    }
    listed = " ".join(preset("demo").deviations)
    for place in changed("demo", "dvd-gan-k600-12x64"):
        if place.startswith("reporting."):
            continue
        found = [word for part, word in words.items() if part in place]
        assert found, f"{place} has no words here"
        assert any(word in listed for word in found), place


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dvd-gan-k600-12x64", ()),
        ("dvd-gan-k600-12x256", ("BigGAN",)),
        ("dvd-gan-phi-crop", ()),
        ("dvd-gan-k10", ()),
        ("dvd-gan-norm-group", ()),
        ("dvd-gan-deep-blocks", ("C names the blocks alone",)),
        ("dvd-gan-ucf101-16x128", ("consecutive frames",)),
        ("dvd-gan-fp-k600-16x64", ("width 64 instead of 128", "skip connections")),
        ("dvd-gan-fp-bair-16x64", ("width 64", "skip connections", "consecutive")),
    ],
)
def test_presets_say_where_they_leave_their_paper(name: str, words: tuple[str, ...]) -> None:
    shared = ("1x1", "no attention", "class embedding", "order of the data")
    for line, word in zip(preset(name).deviations, (*shared, *words), strict=True):
        assert word in line


def test_names_are_the_keys_and_sources_are_given() -> None:
    for name, experiment in presets().items():
        assert experiment.name == name
        assert experiment.source, name
        assert experiment.description, name
