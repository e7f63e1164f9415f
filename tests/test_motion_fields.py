"""Motion fields of continuations, their colours, and ``vidgan predict --motion`` (Luc et al. 2020, 4.4)."""

import colorsys
import math

import numpy as np
import torch
from torch import nn

import catalog
from vidgan.models.cascade import FrozenLevel
from vidgan.nn.norm import BatchStatistics
from vidgan.nn.warping import FactorisedWarp, Warp
from vidgan.sample.sampler import Sampler
from vidgan.sample.video_io import colour_wheel, under
from vidgan.shapes import as_video

SHIFTS = ((1, -1), (0, 1), (-1, 0))
"""(right, down) of the kernels at 4x4, 8x8 and 16x16."""
TOTAL = (8 * 1 + 4 * 0 - 2 * 1, -8 * 1 + 4 * 1 + 2 * 0)
"""By hand: a position is 8, 4 and 2 pixels of 32."""


def point(warp: nn.Module, right: int, down: int) -> None:
    """Make ``warp`` predict one kernel everywhere, which moves content ``right`` and ``down``."""
    assert isinstance(warp, FactorisedWarp)
    basis, selection = warp.basis.bias, warp.selection.bias
    assert basis is not None
    assert selection is not None
    with torch.no_grad():
        selection[2] = 1e4  # of the N kernels, the third
        basis.view(warp.taps, warp.kernels)[(1 - down) * 3 + 1 - right, 2] = 1e4


def moving() -> Sampler:
    """An untrained model whose kernels are one-hot."""
    experiment = catalog.experiments()["trivd-gan-fp-k600-16x64"]
    (spec,) = experiment.levels
    generator = spec.build_generator(1)
    catalog.filled(generator)
    generator.float().requires_grad_(False)
    warps = [module for module in generator.modules() if isinstance(module, Warp)]
    for warp, shift in zip(warps, SHIFTS, strict=True):
        point(warp, *shift)
    return Sampler([FrozenLevel(spec, generator, BatchStatistics())], 16)


def test_one_hot_kernels_make_an_exact_field() -> None:
    model = moving()
    given = as_video(catalog.random(2, 2, 3, 32, 32).float().tanh())
    made = model.predict(given, range(2), [0, 0], 0)
    frames = model.levels[0].spec.frames
    assert made.motion is not None
    assert made.motion.shape == (2, frames, 2, 32, 32)
    for axis, pixels in enumerate(TOTAL):
        assert torch.equal(made.motion[:, :, axis], torch.full((2, frames, 32, 32), float(pixels)))
    longer = model.predict(given, range(2), [0, 0], 0, frames + 2)
    assert torch.equal(longer.video[:, :frames], made.video)
    assert longer.motion is not None
    assert longer.motion.shape == (2, frames + 2, 2, 32, 32)
    assert longer.video.shape == (2, frames + 2, 3, 32, 32)


def test_units_that_warp_are_those_with_a_warp() -> None:
    for name, unit in catalog.UNITS.items():
        built = unit.build(4, 4)
        assert any(isinstance(module, Warp) for module in built.modules()) == unit.warps, name
    answers = {name: e.levels[0].generator.warps for name, e in catalog.experiments().items()}
    assert answers["trivd-gan-fp-k600-16x64"]
    assert answers["trivd-table2-k-trajgru"]
    assert not answers["trivd-table2-convgru"]
    assert not answers["demo"]
    assert not answers["ssw-gan-k600-48x128"]


def test_colours_are_those_of_a_hue_circle() -> None:
    for degrees in range(0, 360, 15):
        for speed in (0.0, 0.3, 1.0, 2.0):
            angle = math.radians(degrees)
            motion = np.array([math.cos(angle), math.sin(angle)])[:, None, None] * 4 * speed
            expected = colorsys.hsv_to_rgb(degrees / 360, min(speed, 1), 1)
            found = colour_wheel(motion, 4.0)[0, 0]
            np.testing.assert_allclose(found, 255 * np.array(expected), atol=0.51)
    assert (colour_wheel(np.zeros((2, 3, 3)), 0.0) == 255).all()


def test_the_field_stands_under_the_frames_that_were_made() -> None:
    video = np.zeros((5, 4, 6, 3), np.uint8)
    motion = np.zeros((3, 2, 4, 6), np.float32)
    motion[:, 0] = 2
    both = under(video, motion, 2.0)
    assert both.shape == (5, 8, 6, 3)
    assert not both[:, :4].any()
    assert (both[:2, 4:] == 128).all()
    assert (both[2:, 4:] == (255, 0, 0)).all()
