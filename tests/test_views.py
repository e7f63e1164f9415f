"""What discriminators see, against loops over clips, frames and pixels."""

import math

import pytest
import torch
from torch import Tensor

from vidgan.models.views import (
    ClipShape,
    ClipSpec,
    CropSpec,
    DiscriminatorInput,
    FramesSpec,
    MatchingPairSpec,
    PackSpec,
    ViewSpec,
)
from vidgan.spec import SpecError

F64 = torch.float64
SHAPE = ClipShape(6, 4, 8)
VIEWS = [
    FramesSpec(k=3),
    FramesSpec(k=2, scale=2),
    ClipSpec(scale=2),
    ClipSpec(scale=1),
    CropSpec(scale=2),
    MatchingPairSpec(),
]
PACKS = [PackSpec(view=FramesSpec(k=2)), PackSpec(view=ClipSpec(scale=2), clips=3)]
"""which show several clips of a batch at once"""


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def real_input(clips: int = 3, below: Tensor | None = None) -> DiscriminatorInput:
    return DiscriminatorInput(
        random(clips, SHAPE.frames, 3, SHAPE.height, SHAPE.width), below, torch.zeros(clips).long()
    )


def box(frame: Tensor, scale: int) -> Tensor:
    """Means over squares of scale x scale pixels of a frame (C H W)."""
    channels, height, width = frame.shape
    y = torch.zeros(channels, height // scale, width // scale, dtype=frame.dtype)
    for i in range(height // scale):
        for j in range(width // scale):
            square = [frame[:, i * scale + a, j * scale + b] for a in range(scale) for b in range(scale)]
            y[:, i, j] = sum(square) / scale**2
    return y


def chi_square(counts: Tensor) -> float:
    expected = counts.double().mean()
    return float(((counts - expected) ** 2 / expected).sum())


def chi_square_limit(cells: int) -> float:
    """The 99.9th percentile of chi-square with cells - 1 degrees of freedom (Wilson and Hilferty)."""
    k = cells - 1
    return k * (1 - 2 / (9 * k) + 3.09 * math.sqrt(2 / (9 * k))) ** 3


@pytest.mark.parametrize("scale", [1, 2])
def test_frames_picks_the_drawn_frames_of_each_clip(scale: int) -> None:
    view, seen = FramesSpec(k=3, scale=scale), real_input()
    draw = torch.tensor([[0, 2, 5], [1, 2, 3], [3, 4, 5]])
    made = view.apply(seen, draw)
    assert made.shape == (3, 3, 3, 4 // scale, 8 // scale)
    for b in range(3):
        for i in range(3):
            torch.testing.assert_close(made[b, i], box(seen.clip[b, draw[b, i]], scale))


@pytest.mark.parametrize("view", [*VIEWS, *PACKS])
def test_steps_are_those_that_are_seen(view: ViewSpec) -> None:
    below = random(3, SHAPE.frames // 2, 3, 2, 4)
    seen = view.apply(real_input(below=below), view.draw(3, SHAPE, rng()))
    assert view.steps(SHAPE.frames, 2) == seen.shape[1]


def test_frames_are_distinct_and_in_order() -> None:
    draw = FramesSpec(k=4).draw(500, SHAPE, rng())
    assert draw.shape == (500, 4)
    assert draw.dtype == torch.int64
    assert (draw[:, 1:] > draw[:, :-1]).all()
    assert draw.min() == 0
    assert draw.max() == SHAPE.frames - 1
    assert len({tuple(row) for row in draw.tolist()}) == math.comb(6, 4)  # differs between clips


def test_every_set_of_frames_is_equally_likely() -> None:
    """Uniform over sets, hence over frames (Clark et al. 2019, 3.1: "randomly sampled")."""
    draw = FramesSpec(k=3).draw(8000, SHAPE, rng(1))
    sets = torch.tensor([1, 6, 36]) * draw
    _, counts = sets.sum(1).unique(return_counts=True)
    assert len(counts) == math.comb(6, 3)
    assert chi_square(counts) < chi_square_limit(20)
    frames = torch.bincount(draw.flatten(), minlength=6)
    # Draws without replacement vary less than independent ones, so the limit holds all the more.
    assert chi_square(frames) < chi_square_limit(6)


def test_all_frames_are_the_clip_itself() -> None:
    seen = real_input()
    view = FramesSpec(k=6)
    assert torch.equal(view.apply(seen, view.draw(3, SHAPE, rng())), seen.clip)


def test_more_frames_than_there_are_is_refused() -> None:
    with pytest.raises(SpecError, match="7 frames cannot be drawn from 6"):
        FramesSpec(k=7).draw(2, SHAPE, rng())


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_clip_is_averaged_over_squares_and_keeps_its_steps(scale: int) -> None:
    seen, view = real_input(), ClipSpec(scale=scale)
    made = view.apply(seen, view.draw(3, SHAPE, rng()))
    assert made.shape == (3, 6, 3, 4 // scale, 8 // scale)
    for b in range(3):
        for t in range(6):
            torch.testing.assert_close(made[b, t], box(seen.clip[b, t], scale))


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_crop_cuts_one_window_out_of_all_frames(scale: int) -> None:
    """ "A random crop, the same for all frames" of a clip (Luc et al. 2020, 3.1)."""
    seen, view = real_input(), CropSpec(scale=scale)
    draw = view.draw(3, SHAPE, rng())
    made = view.apply(seen, draw)
    height, width = 4 // scale, 8 // scale
    assert made.shape == (3, 6, 3, height, width)
    for b in range(3):
        top, left = draw[b].tolist()
        for t in range(6):
            for i in range(height):
                for j in range(width):
                    assert torch.equal(made[b, t, :, i, j], seen.clip[b, t, :, top + i, left + j])


def test_windows_are_uniform_over_all_places() -> None:
    draw = CropSpec(scale=2).draw(6000, ClipShape(3, 4, 8), rng(2))
    places = draw[:, 0] * 5 + draw[:, 1]
    assert draw.amin(0).tolist() == [0, 0]
    assert draw.amax(0).tolist() == [2, 4]  # top 0..4-2, left 0..8-4
    counts = torch.bincount(places, minlength=15)
    assert chi_square(counts) < chi_square_limit(15)


def test_windows_of_sides_that_do_not_divide_reach_the_far_edge() -> None:
    draw = CropSpec(scale=2).draw(400, ClipShape(1, 5, 7), rng())
    assert draw.amax(0).tolist() == [5 - 2, 7 - 3]
    seen = DiscriminatorInput(random(400, 1, 3, 5, 7), None, torch.zeros(400).long())
    assert CropSpec(scale=2).apply(seen, draw).shape == (400, 1, 3, 2, 3)


@pytest.mark.parametrize(("steps", "height", "width"), [(6, 4, 8), (3, 2, 4), (2, 1, 2), (1, 4, 4)])
def test_matching_pair(steps: int, height: int, width: int) -> None:
    """The low clip, then the high one resized to its size (SSW-GAN, B.2), channel by channel."""
    below = random(2, steps, 3, height, width, seed=1)
    seen = real_input(2, below)
    made = MatchingPairSpec().apply(seen, MatchingPairSpec().draw(2, SHAPE, rng()))
    assert made.shape == (2, steps, 6, height, width)
    assert MatchingPairSpec().channels == 6
    tall, wide = SHAPE.height // height, SHAPE.width // width
    for b in range(2):
        for t in range(steps):
            high = seen.clip[b, t * (SHAPE.frames // steps)]
            for i in range(height):
                for j in range(width):
                    assert torch.equal(made[b, t, :3, i, j], below[b, t, :, i, j])
                    square = high[:, i * tall : (i + 1) * tall, j * wide : (j + 1) * wide]
                    mean = sum(square[:, a, c] for a in range(tall) for c in range(wide)) / (tall * wide)
                    torch.testing.assert_close(made[b, t, 3:, i, j], mean)


def test_matching_pair_needs_a_level_below() -> None:
    with pytest.raises(ValueError, match="level below"):
        MatchingPairSpec().apply(real_input(), torch.zeros((3, 0), dtype=torch.int64))


@pytest.mark.parametrize("clips", [2, 3])
@pytest.mark.parametrize("inner", [FramesSpec(k=2), ClipSpec(scale=2)], ids=["frames", "clip"])
def test_a_pack_shows_a_clip_and_the_next_of_its_class(inner: ViewSpec, clips: int) -> None:
    label = [1, 0, 1, 2, 1, 0]
    view, shape = PackSpec(view=inner, clips=clips), SHAPE
    seen = real_input(len(label))._replace(label=torch.tensor(label))
    draw = view.draw(len(label), shape, rng())
    single = inner.apply(seen, draw)
    packs = view.apply(seen, draw)
    assert packs.shape[2] == view.channels == 3 * clips
    for row, own in enumerate(label):
        ahead = [*range(row, len(label)), *range(row)]
        mates = [other for other in ahead if label[other] == own]
        for place in range(clips):
            expected = single[mates[place % len(mates)]]
            assert torch.equal(packs[row, :, 3 * place : 3 * place + 3], expected), (row, place)


@pytest.mark.parametrize("view", [*VIEWS, *PACKS], ids=repr)
def test_draws_and_views_are_pure(view: ViewSpec) -> None:
    """A function of the generator alone; global randomness is neither read nor moved."""
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = view.draw(4, SHAPE, rng(5))
    torch.rand(7)
    assert torch.equal(view.draw(4, SHAPE, rng(5)), first)
    torch.manual_seed(0)
    seen = real_input(4, random(4, 3, 3, 2, 4))
    made = view.apply(seen, first)
    assert torch.equal(view.apply(seen, first), made)
    assert torch.equal(torch.get_rng_state(), before)
    assert made.shape[2] == view.channels
    if first.shape[1]:
        assert not torch.equal(view.draw(4, SHAPE, rng(6)), first)


@pytest.mark.parametrize("view", VIEWS, ids=repr)
def test_a_view_of_a_batch_is_the_views_of_its_clips(view: ViewSpec) -> None:
    seen = real_input(3, random(3, 3, 3, 2, 4))
    draw = view.draw(3, SHAPE, rng())
    together = view.apply(seen, draw)
    for b in range(3):
        one = DiscriminatorInput(seen.clip[b : b + 1], seen.below[b : b + 1], seen.label[b : b + 1])
        torch.testing.assert_close(view.apply(one, draw[b : b + 1])[0], together[b])


@pytest.mark.parametrize("view", VIEWS, ids=repr)
def test_gradients_reach_exactly_the_pixels_that_are_seen(view: ViewSpec) -> None:
    seen = real_input(2, random(2, 3, 3, 2, 4))
    clip = seen.clip.requires_grad_()
    draw = view.draw(2, SHAPE, rng())
    view.apply(seen, draw)[:, :, -3:].sum().backward()
    expected = torch.zeros_like(clip)
    for b in range(2):
        if isinstance(view, FramesSpec):
            expected[b, draw[b]] = 1 / view.scale**2
        elif isinstance(view, ClipSpec):
            expected[b] = 1 / view.scale**2
        elif isinstance(view, CropSpec):
            top, left = draw[b].tolist()
            expected[b, :, :, top : top + 2, left : left + 4] = 1
        else:
            expected[b, [0, 2, 4]] = 1 / 4
    torch.testing.assert_close(clip.grad, expected)
