"""Motion fields of known kernels: Luc et al. 2020, 4.4."""

import pytest
import torch
from torch import Tensor

from vidgan.nn.warping import combine, expected_motion, refine, warp


def shift_kernels(k: int, right: int, down: int, size: int) -> Tensor:
    """One-hot kernels (1 k*k size size) that move content ``right`` and ``down``."""
    kernels = torch.zeros(1, k * k, size, size, dtype=torch.float64)
    kernels[:, (k // 2 - down) * k + k // 2 - right] = 1
    return kernels


@pytest.mark.parametrize(("k", "right", "down"), [(3, 1, 0), (3, -1, 1), (3, 0, 0), (5, 2, -1)])
def test_field_of_a_moving_dot(k: int, right: int, down: int) -> None:
    kernels = shift_kernels(k, right, down, 8)
    frame = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    frame[0, 0, 3, 4] = 1
    assert warp(frame, kernels)[0, 0, 3 + down, 4 + right] == 1
    field = expected_motion(kernels)
    assert field.shape == (1, 2, 8, 8)
    assert torch.equal(field[0, 0], torch.full((8, 8), right, dtype=torch.float64))
    assert torch.equal(field[0, 1], torch.full((8, 8), down, dtype=torch.float64))


def test_field_of_a_clip_in_which_an_object_moves_over_a_still_background() -> None:
    """Two kernels, rest and the object's step, chosen by hand where the object will be: Eqs. 11 and 12."""
    right, down, side, size = 1, -1, 6, 16
    rng = torch.Generator().manual_seed(0)
    background, texture = (torch.rand(3, s, s, generator=rng, dtype=torch.float64) for s in (size, side))
    places = [(4 + t * right, 8 + t * down) for t in range(4)]  # left, top

    def painted(left: int, top: int) -> Tensor:
        frame = background.clone()
        frame[:, top : top + side, left : left + side] = texture
        return frame

    clip = [painted(*place) for place in places]
    basis = torch.cat([shift_kernels(3, *step, 1)[..., 0] for step in ((0, 0), (right, down))], dim=2)
    for before, after, (left, top), (old_left, old_top) in zip(
        clip, clip[1:], places[1:], places, strict=False
    ):
        mask = torch.zeros(1, 1, size, size, dtype=torch.float64)
        mask[..., top : top + side, left : left + side] = 1
        kernels = combine(basis, torch.cat([1 - mask, mask], dim=1))
        assert torch.equal(expected_motion(kernels), torch.cat([right * mask, down * mask], dim=1))
        seen = torch.ones(size, size, dtype=torch.bool)  # all but the background that the object uncovers
        seen[old_top : old_top + side, old_left : old_left + side] = False
        seen[top : top + side, left : left + side] = True
        moved = warp(before[None], kernels)[0]
        assert torch.equal(moved[:, seen], after[:, seen])
        assert not torch.equal(moved, after)


def test_field_is_the_mean_over_taps() -> None:
    kernels = torch.randn(2, 3, 9, 4, 5, dtype=torch.float64).softmax(dim=2)
    field = expected_motion(kernels)
    assert field.shape == (2, 3, 2, 4, 5)
    for b, t, i, j in [(0, 0, 0, 0), (1, 2, 3, 4), (0, 1, 2, 3)]:
        right = sum(-(q % 3 - 1) * float(kernels[b, t, q, i, j]) for q in range(9))
        down = sum(-(q // 3 - 1) * float(kernels[b, t, q, i, j]) for q in range(9))
        assert float(field[b, t, 0, i, j]) == pytest.approx(right, abs=1e-12)
        assert float(field[b, t, 1, i, j]) == pytest.approx(down, abs=1e-12)


def test_refinement_adds_up_a_motion_of_known_speed() -> None:
    # 7 pixels to the right and 2 up per step at 16x16 are 1 and 0 at 4x4, 1 and -1 at 8x8, then 1 and 0.
    fields = [
        expected_motion(shift_kernels(3, right, down, side))
        for right, down, side in [(1, 0, 4), (1, -1, 8), (1, 0, 16)]
    ]
    motion = refine(fields)
    assert motion.shape == (1, 2, 16, 16)
    assert torch.equal(motion[0, 0], torch.full((16, 16), 7.0, dtype=torch.float64))
    assert torch.equal(motion[0, 1], torch.full((16, 16), -2.0, dtype=torch.float64))


def test_refinement_keeps_places_apart() -> None:
    coarse = torch.zeros(2, 2, 3)
    coarse[0, 1, 2] = 0.5
    motion = refine([coarse, torch.zeros(2, 4, 9)])
    expected = torch.zeros(2, 4, 9)
    expected[0, 2:, 6:] = 1.5  # three times as wide
    assert torch.equal(motion, expected)
    coarse[0, 1, 2], coarse[1, 0, 0] = 0.0, 0.5
    expected.zero_()[1, :2, :3] = 1.0  # twice as high
    assert torch.equal(refine([coarse, torch.zeros(2, 4, 9)]), expected)


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="does not divide"):
        refine([torch.zeros(2, 4, 4), torch.zeros(2, 6, 8)])
    with pytest.raises(ValueError, match="no motion field"):
        refine([])
