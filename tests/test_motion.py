"""Motion fields of known kernels: Luc et al. 2020, 4.4."""

import pytest
import torch
from torch import Tensor

from vidgan.nn.motion import expected_motion, refine
from vidgan.nn.warp import warp


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
