"""Presets of SSW-GAN and CVG differ as the papers say, and have the sizes that they print."""

from collections.abc import Sequence

import pytest
import torch

from changes import changed
from vidgan.models.cascade import below_of
from vidgan.models.discriminator import BodySpec
from vidgan.models.level import LevelSpec
from vidgan.models.views import ClipSpec, FramesSpec, MatchingPairSpec
from vidgan.nn.temporal import RecurrentSpec, SeparableConvolutionSpec
from vidgan.presets import preset

PAPERS = {
    # Frames, pixels and distance of frames, level by level from the first, and frames of windows.
    "ssw-gan-k600-48x128": ([(25, 32, 8), (50, 128, 4)], [None, 12]),
    "ssw-gan-k600-48x128-window3": ([(25, 32, 8), (50, 128, 4)], [None, 6]),
    "ssw-gan-k600-48x128-no-matching": ([(25, 32, 8), (50, 128, 4)], [None, 6]),
    "ssw-gan-k600-48x128-convgru": ([(25, 32, 8), (50, 128, 4)], [None, 12]),
    "ssw-dvd-gan-k600-6x128": ([(6, 128, 4)], [None]),
    "ssw-dvd-gan-k600-50x128": ([(50, 128, 4)], [None]),
    "ssw-gan-bdd100k-100x128": ([(25, 32, 8), (50, 64, 4), (100, 128, 2)], [None, 12, 12]),
    "ssw-gan-bdd100k-6x128": ([(25, 32, 8), (50, 128, 4)], [None, 6]),
    "ssw-gan-bdd100k-6x128-no-matching": ([(25, 32, 8), (50, 128, 4)], [None, 6]),
    "cvg-k600-48x128": ([(24, 32, 4), (48, 128, 2)], [None, 12]),
    "cvg-k600-48x128-window3": ([(24, 32, 4), (48, 128, 2)], [None, 6]),
    "cvg-k600-48x128-no-matching": ([(24, 32, 4), (48, 128, 2)], [None, 6]),
    "cvg-ucf101-16x128": ([(8, 64, 2), (16, 128, 1)], [None, None]),
    "cvg-bdd100k-48x256": ([(12, 64, 8), (24, 128, 4), (48, 256, 2)], [None, 12, 12]),
    "cvg-bdd100k-6x128": ([(24, 32, 4), (48, 128, 2)], [None, 6]),
    "cvg-bdd100k-6x128-no-matching": ([(24, 32, 4), (48, 128, 2)], [None, 6]),
}


@pytest.mark.parametrize("name", PAPERS)
def test_sizes_are_the_papers(name: str) -> None:
    sizes, windows = PAPERS[name]
    levels = preset(name).levels
    assert [(level.frames, level.size, level.stride) for level in levels] == sizes
    assert [level.window for level in levels] == windows


@pytest.mark.parametrize("name", PAPERS)
def test_training_is_the_papers(name: str) -> None:
    """SSW-GAN, 5.1 and A; CVG, implementation details."""
    experiment = preset(name)
    training, bdd, cvg = experiment.training, "bdd" in name, name.startswith("cvg")
    ablation = ("no-matching" in name or "convgru" in name or name == "ssw-dvd-gan-k600-6x128") and not cvg
    kinetics = 100_000 if ablation and not bdd else 300_000
    assert training.steps == (100_000 if "k600" not in name and cvg else 35_000 if bdd else kinetics)
    assert training.batch.global_batch == (256 if cvg and bdd else 512)
    assert (training.adam.generator_rate, training.adam.discriminator_rate) == (1e-4, 5e-4)
    assert training.discriminator_updates == 2
    assert training.average is None
    assert training.orthogonal_penalty == 0
    assert training.standing_statistics.batches == 200
    assert experiment.smooth_views == cvg
    assert experiment.conditional == (not bdd)
    assert experiment.classes == (1 if bdd else 101 if "ucf101" in name else 600)


def widths(level: LevelSpec) -> tuple[int, ...]:
    """Channels of a generator's units."""
    return tuple(stage.channels * level.generator.width for stage in level.generator.stages)


def test_widths_are_those_of_b() -> None:
    first, second = preset("ssw-gan-k600-48x128").levels
    assert widths(first) == (1024, 1024, 512, 256)
    assert widths(second) == (1024, 1024, 512, 256, 128)
    assert {body_of(first, name).width for name in ("frames", "clip")} == {128}
    assert {body_of(second, name).width for name in ("frames", "clip", "matching")} == {96}
    assert body_of(first, "clip").channels == (2, 4, 8, 16, 16)
    assert body_of(second, "matching").channels == (1, 2, 4, 8, 16, 16)
    _, _, top = preset("ssw-gan-bdd100k-100x128").levels
    assert widths(top) == (768, 384, 384, 192, 192)
    assert {body_of(top, name).width for name in ("frames", "clip", "matching")} == {64}
    assert body_of(top, "frames").channels == (1, 2, 4, 8, 8, 16)


def body_of(level: LevelSpec, name: str) -> BodySpec:
    (discriminator,) = (discriminator for discriminator in level.discriminators if discriminator.name == name)
    return discriminator.body


@pytest.mark.parametrize("name", PAPERS)
def test_units_and_discriminators(name: str) -> None:
    """B: a ConvGRU or a separable block, then two blocks, all but the last unit upsampling; 2-D, 3-D and pairs."""
    for index, level in enumerate(preset(name).levels):
        above = index > 0
        unit = RecurrentSpec if not above or name.endswith("convgru") else SeparableConvolutionSpec
        for stage in level.generator.stages:
            assert [type(layer) for layer in stage.temporal] == [unit]
            assert stage.blocks == 2
        grows = [stage.upsample for stage in level.generator.stages]
        assert grows == [True] * (len(grows) - 1) + [False]
        views: list[object] = [FramesSpec(k=min(8, level.trained_frames)), ClipSpec(scale=2)]
        if above and not name.endswith("no-matching"):
            views.append(MatchingPairSpec())
        assert [discriminator.view for discriminator in level.discriminators] == views
        assert [discriminator.body.blocks_3d for discriminator in level.discriminators] == [0, 2, 2][
            : len(views)
        ]


def test_a_window_of_3_frames_changes_the_window_and_what_the_frame_discriminator_sees() -> None:
    for paper in ("ssw-gan-k600-48x128", "cvg-k600-48x128"):
        expected = {"levels.1.window": 6, "levels.1.discriminators.0.view.k": 6}
        assert changed(f"{paper}-window3", paper) == expected


@pytest.mark.parametrize(
    ("name", "parent", "more"),
    [
        ("ssw-gan-k600-48x128-no-matching", "ssw-gan-k600-48x128-window3", {"training.steps": 100_000}),
        ("ssw-gan-bdd100k-6x128-no-matching", "ssw-gan-bdd100k-6x128", {}),
        ("cvg-k600-48x128-no-matching", "cvg-k600-48x128-window3", {}),
        ("cvg-bdd100k-6x128-no-matching", "cvg-bdd100k-6x128", {}),
    ],
)
def test_without_matching_the_third_discriminator_is_gone(
    name: str, parent: str, more: dict[str, object]
) -> None:
    found = changed(name, parent)
    gone = {place for place in found if place.startswith("levels.1.discriminators.2.")}
    assert gone
    assert all(found[place] is None for place in gone)
    assert {place: found[place] for place in found.keys() - gone} == more


def test_the_recurrent_variant_changes_the_temporal_layers_alone() -> None:
    """SSW-GAN, C: one ConvGRU per generator block against one separable convolution."""
    found = changed("ssw-gan-k600-48x128-convgru", "ssw-gan-k600-48x128")
    assert found.pop("training.steps") == 100_000
    assert all(place.startswith("levels.1.generator.stages.") and ".temporal.0." in place for place in found)


def joins(name: str, index: int) -> list[list[bool]]:
    """Unit by unit, after which of its blocks the video below is added."""
    experiment = preset(name)
    below = below_of(experiment.levels, index)
    with torch.device("meta"):
        generator = experiment.levels[index].build_generator(experiment.classes, below)
    return [
        [added.projection is not None for added in (*stage.after_temporal, *stage.after_blocks)]
        for stage in generator.stages
    ]


@pytest.mark.parametrize(
    ("name", "index", "expected"),
    [
        ("ssw-gan-k600-48x128", 0, [0, 0, 0, 0]),
        # Maps of 8, 16, 32, 64 and 128 pixels: added up to 32, so last after the first block of the third unit.
        ("ssw-gan-k600-48x128", 1, [3, 3, 2, 0, 0]),
        ("ssw-gan-k600-48x128-convgru", 1, [3, 3, 2, 0, 0]),
        ("ssw-gan-bdd100k-100x128", 2, [3, 3, 3, 2, 0]),
    ],
)
def test_the_video_below_is_added_up_to_its_resolution(
    name: str, index: int, expected: Sequence[int]
) -> None:
    """SSW-GAN, B.2: at the end of each 3-D and 2-D block, not to maps larger than it."""
    found = joins(name, index)
    assert [sum(unit) for unit in found] == expected
    # Within a unit the last block grows, so that it alone may be too large.
    assert all(unit == sorted(unit, reverse=True) for unit in found)
