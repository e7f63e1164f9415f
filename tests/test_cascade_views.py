"""Views between levels against index formulae, and windows of a cascade against crops of whole videos."""

import math

import pytest
import torch
from torch import Tensor

from cascades import (
    F64,
    GRU,
    SEPARABLE,
    frozen_level,
    level_spec,
    random,
    same_noise,
    smaller,
    ssw_levels,
    whole_videos,
)
from vidgan.models.cascade import below_of, by_label, sample_window, span_around
from vidgan.models.generator import Below, from_below, resize_nearest
from vidgan.models.level import LevelSpec, resize, take, view_below
from vidgan.nn.norm import BatchNormAllFramesSpec, Clock
from vidgan.presets import preset
from vidgan.presets.ssw_gan import ssw_gan_k600_48x128
from vidgan.run.networks import adversarial_level
from vidgan.run.tiny import tiny
from vidgan.spec import SpecError

# Views


@pytest.mark.parametrize(("size", "small"), [(8, 4), (8, 2), (9, 3), (6, 4), (7, 5), (5, 5)])
def test_nearest_resizing_takes_pixel_floor_of_i_times_ratio(size: int, small: int) -> None:
    clip = random(2, 3, 3, size, size)
    made = resize(clip, small, smooth=False)
    for i in range(small):
        for j in range(small):
            expected = clip[..., i * size // small, j * size // small]
            assert torch.equal(made[..., i, j], expected)


@pytest.mark.parametrize(("size", "small"), [(8, 4), (8, 2), (9, 3), (6, 4), (7, 5)])
def test_smooth_resizing_weighs_with_a_triangle_of_the_new_pixels_width(size: int, small: int) -> None:
    """Bilinear with antialiasing: the weight falls linearly to zero one new pixel away from the centre."""
    clip, ratio = random(2, 2, 3, size, size), size / small
    weights = torch.zeros(small, size, dtype=F64)
    for i in range(small):
        for j in range(size):
            weights[i, j] = max(0.0, 1 - abs((j + 0.5) - (i + 0.5) * ratio) / ratio)
        weights[i] /= weights[i].sum()
    made = resize(clip, small, smooth=True)
    for i in range(small):
        for j in range(small):
            total = torch.zeros(2, 2, 3, dtype=F64)
            for a in range(size):
                for b in range(size):
                    total += weights[i, a] * weights[j, b] * clip[..., a, b]
            torch.testing.assert_close(made[..., i, j], total)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_the_view_of_the_level_below(factor: int) -> None:
    """Every ``factor``-th frame from the first, nearest in space (SSW-GAN, 3.1)."""
    clip = random(2, 6, 3, 8, 8)
    made = view_below(clip, Below(4, factor), smooth=False)
    assert made.shape == (2, 6 // factor, 3, 4, 4)
    for t in range(6 // factor):
        for i in range(4):
            for j in range(4):
                assert torch.equal(made[:, t, :, i, j], clip[:, factor * t, :, 2 * i, 2 * j])


def test_a_level_learns_what_the_one_above_is_given() -> None:
    """Down to level 1 clips go through the size of every level above it (CVG: "by repeated application of f_s")."""
    experiment = tiny(preset("cvg-bdd100k-48x256"))
    first, second, top = experiment.levels
    assert first.size < second.size < top.size
    clip, label = random(1, 4, 3, top.size, top.size), torch.zeros(1, dtype=torch.int64)
    given = adversarial_level(experiment, 1).real_input(clip, label, smooth=True).below
    learnt = adversarial_level(experiment, 0).real_input(clip[:, ::2], label, smooth=True).clip
    assert given is not None
    assert torch.equal(learnt, given)
    assert not torch.allclose(learnt, resize(clip[:, ::2], first.size, smooth=True))


@pytest.mark.parametrize(("frames", "steps"), [(3, 6), (2, 6), (4, 4)])
@pytest.mark.parametrize(("size", "side"), [(8, 8), (8, 4), (8, 1), (6, 4)])
def test_the_way_up_repeats_frames_and_subsamples_pixels(
    frames: int, steps: int, size: int, side: int
) -> None:
    """Nearest neighbour in time and space (SSW-GAN, B.2)."""
    video = random(2, frames, 3, size, size)
    made = resize_nearest(video, steps, side)
    assert made.shape == (2, steps, 3, side, side)
    for t in range(steps):
        for i in range(side):
            for j in range(side):
                expected = video[:, t * frames // steps, :, i * size // side, j * size // side]
                assert torch.equal(made[:, t, :, i, j], expected)


def test_down_after_up_is_the_identity() -> None:
    low = random(2, 3, 3, 4, 4)
    repeated = low.repeat_interleave(2, 1).repeat_interleave(4, 3).repeat_interleave(4, 4)
    assert torch.equal(view_below(repeated, Below(4, 2), smooth=False), low)


def test_take_cuts_a_window_per_clip() -> None:
    video, start = random(3, 7, 2, 2, 3), [4, 0, 2]
    made = take(video, torch.tensor(start), 3)
    for b in range(3):
        for t in range(3):
            assert torch.equal(made[b, t], video[b, start[b] + t])


@pytest.mark.parametrize(
    ("frames", "halo", "total"), [(3, 2, 20), (1, 0, 5), (4, 3, 10), (4, 10, 12), (6, 1, 6)]
)
def test_a_span_holds_window_and_halo_or_ends_with_the_video(frames: int, halo: int, total: int) -> None:
    starts = torch.arange(total - frames + 1)
    span = span_around(starts, frames, halo, total)
    for start, first in zip(starts.tolist(), span.start.tolist(), strict=True):
        needed = {f for f in range(start - halo, start + frames + halo) if 0 <= f < total}
        assert needed <= set(range(first, first + span.frames)) <= set(range(total))
    assert span.frames <= frames + 2 * halo


# Shapes of levels


def test_below_of() -> None:
    levels = [
        level_spec(5, 2, 8, GRU),
        level_spec(10, 4, 4, SEPARABLE),
        level_spec(30, 4, 4 // 3 or 1, SEPARABLE),
    ]
    assert below_of(levels, 0) is None
    assert below_of(levels, 1) == Below(4, 2)
    with pytest.raises(SpecError, match=r"strides of levels 2 and 3 do not fit, 4 is not 3 x 1"):
        below_of(levels, 2)


def test_below_of_a_preset() -> None:
    levels = ssw_gan_k600_48x128().levels
    below = below_of(levels, 1)
    assert below is not None
    # 32x32 at stride 8, then twice the frames at stride 4 (SSW-GAN, 5.1).
    assert (below.size, below.factor) == (32, 2)


def test_levels_that_do_not_fit_are_refused() -> None:
    low = level_spec(5, 2, 2, GRU)
    with pytest.raises(
        SpecError, match=r"multiple of the frames: 5x4x4 at stride 2 below 12x8x8 at stride 1"
    ):
        below_of([low, level_spec(12, 4, 1, SEPARABLE)], 1)
    with pytest.raises(
        SpecError, match=r"smaller than the one below: 5x4x4 at stride 2 below 10x2x2 at stride 1"
    ):
        below_of([low, level_spec(10, 1, 1, SEPARABLE)], 1)
    with pytest.raises(SpecError, match=r"window of level 2 must be a multiple of 2 frames, got 3"):
        below_of([low, level_spec(10, 4, 1, SEPARABLE, window=3)], 1)


# Windows of samples


def assert_windows_are_crops(levels: tuple[LevelSpec, ...], frames: int) -> None:
    """At every offset, all of them in one batch."""
    with torch.no_grad():
        cascade = [frozen_level(levels, i) for i in range(len(levels))]
        whole = whole_videos(cascade, same_noise(1), torch.tensor([1]))[-1][0]
        starts = torch.arange(levels[-1].frames - frames + 1)
        label = torch.ones(len(starts), dtype=torch.int64)
        made = sample_window(cascade, same_noise(len(starts)), by_label(label), starts, frames)
    assert made.shape[:2] == (len(starts), frames)
    for row, start in enumerate(starts.tolist()):
        torch.testing.assert_close(made[row], whole[start : start + frames], rtol=0, atol=1e-10)
    assert (whole[1:] - whole[:-1]).abs().amax((1, 2, 3)).min() > 1e-3  # frames can be told apart


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 22])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_windows_of_two_levels(factor: int, frames: int) -> None:
    low = level_spec(24 // factor, 1, factor, GRU)
    assert_windows_are_crops((low, level_spec(24, 2, 1, SEPARABLE)), frames)


@pytest.mark.parametrize("frames", [1, 4, 5])
def test_windows_of_three_levels(frames: int) -> None:
    low, middle = level_spec(9, 1, 4, GRU), level_spec(18, 2, 2, SEPARABLE)
    assert_windows_are_crops((low, middle, level_spec(36, 4, 1, SEPARABLE)), frames)


def test_windows_above_a_level_that_sees_the_whole_video() -> None:
    low, middle = level_spec(4, 1, 4, GRU), level_spec(8, 2, 2, GRU)
    assert_windows_are_crops((low, middle, level_spec(16, 4, 1, SEPARABLE, count=1)), 3)


def test_windows_of_one_level_and_of_a_recurrent_top() -> None:
    assert_windows_are_crops((level_spec(6, 2, 1, GRU),), 2)
    assert_windows_are_crops((level_spec(3, 1, 2, GRU), level_spec(6, 2, 1, GRU)), 3)


def test_windows_with_statistics_of_all_frames() -> None:
    low, high = level_spec(8, 1, 2, GRU), level_spec(16, 2, 1, SEPARABLE)
    joined = high.generator.replace(norm=BatchNormAllFramesSpec(), final_norm=BatchNormAllFramesSpec())
    assert_windows_are_crops((low, high.replace(generator=joined)), 3)


@pytest.mark.slow
def test_windows_of_the_preset_at_every_offset() -> None:
    """8x8 and 16x16 pixels instead of 32x32 and 128x128; five units of two temporal convolutions each."""
    low, high = ssw_levels(14)
    assert high.generator.context == 10
    assert_windows_are_crops((smaller(low, 1), smaller(high, 1)), 4)


@pytest.mark.slow
def test_windows_of_the_preset_at_the_size_of_its_miniature() -> None:
    with torch.no_grad():
        levels = ssw_levels(16)
        cascade = [frozen_level(levels, i) for i in range(2)]
        whole = whole_videos(cascade, same_noise(1), torch.tensor([1]))[-1][0]
        starts = torch.tensor([13, 28])
        made = sample_window(cascade, same_noise(2), by_label(torch.ones(2, dtype=torch.int64)), starts, 4)
    assert made.shape == (2, 4, 3, 32, 32)
    for row, start in enumerate(starts.tolist()):
        torch.testing.assert_close(made[row], whole[start : start + 4], rtol=0, atol=1e-10)


def test_a_cut_is_felt_exactly_as_far_as_the_halo() -> None:
    """Zeros where a span is cut reach ``context`` frames into it, so the halo is as long as it must be."""
    levels = tuple(smaller(level, 1) for level in ssw_levels(18))
    context = levels[1].generator.context
    with torch.no_grad():
        top = frozen_level(levels, 1)
        z, embedded, below = random(1, 6), random(1, 6, seed=1), random(1, 18, 3, 8, 8).tanh()

        def window(first: int, last: int) -> Tensor:
            given, clock = from_below(below[:, first // 2 : last // 2]), Clock(first)
            return top.generator.generate(z, embedded, last - first, top.statistics, given, clock)[0]

        whole, tail, head = window(0, 36), window(12, 36), window(0, 24)
    wrong = (tail - whole[12:]).abs().amax((1, 2, 3)) > 1e-12
    assert wrong.nonzero().flatten().tolist() == list(range(context))
    wrong = (head - whole[:24]).abs().amax((1, 2, 3)) > 1e-12
    assert wrong.nonzero().flatten().tolist() == list(range(24 - context, 24))


def test_clips_of_a_batch_have_windows_of_their_own() -> None:
    levels = (level_spec(8, 1, 2, GRU), level_spec(16, 2, 1, SEPARABLE))
    start, label = torch.tensor([9, 0, 13]), torch.tensor([0, 2, 1])

    def noise(level: int, dimension: int) -> Tensor:
        return random(3, dimension, seed=20 + level)

    with torch.no_grad():
        cascade = [frozen_level(levels, i) for i in range(2)]
        whole = whole_videos(cascade, noise, label)[-1]
        made = sample_window(cascade, noise, by_label(label), start, 3)
    for b in range(3):
        torch.testing.assert_close(made[b], whole[b, start[b] : start[b] + 3], rtol=0, atol=1e-10)
    assert math.isfinite(made.sum().item())
