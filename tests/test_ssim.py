"""SSIM, PSNR, the best of l futures and the copy baseline."""

from pathlib import Path

import numpy as np
import pytest

from vidgan.errors import UserError
from vidgan.evaluation.metrics.frames import best_of, copy_last, psnr, ssim

VECTORS = np.load(Path(__file__).parent / "vectors" / "metric_vectors.npz", allow_pickle=False)
A, B = VECTORS["ssim/a"], VECTORS["ssim/b"]


def test_vectors():
    np.testing.assert_allclose(ssim(A, B), VECTORS["ssim/skimage_gauss_rgb"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(ssim(A, B), VECTORS["ssim/tf_rgb"], rtol=0, atol=2e-6)
    grey = ssim(A[..., :1], B[..., :1])
    np.testing.assert_allclose(grey, VECTORS["ssim/skimage_gauss_gray_ch0"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(grey, VECTORS["ssim/tf_gray_ch0"], rtol=0, atol=2e-6)
    np.testing.assert_allclose(psnr(A, B), VECTORS["psnr/tf_rgb"], rtol=0, atol=1e-5)


def test_one_window_by_hand():
    rng = np.random.default_rng(0)
    x, y = rng.random((11, 11, 1)), rng.random((11, 11, 1))
    g = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    w = np.outer(g, g)[..., None] / g.sum() ** 2
    mx, my = (w * x).sum(), (w * y).sum()
    vx, vy, cov = (w * (x - mx) ** 2).sum(), (w * (y - my) ** 2).sum(), (w * (x - mx) * (y - my)).sum()
    top = (2 * mx * my + 1e-4) * (2 * cov + 9e-4)
    assert abs(ssim(x, y) - top / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))) < 1e-12


def test_bytes_are_unit_floats():
    a, b = ((x[:1] * 255).round().astype(np.uint8) for x in (A, B))
    np.testing.assert_array_equal(ssim(a, b), ssim(a / 255.0, b / 255.0))
    np.testing.assert_array_equal(psnr(a, b), psnr(a / 255.0, b / 255.0))
    assert (ssim(a, a) == 1).all()
    assert (psnr(a, a) == np.inf).all()


def test_errors():
    with pytest.raises(UserError, match=r"in \[0, 1\]"):
        ssim(2 * A, B)
    with pytest.raises(UserError, match="uint8 or floats"):
        psnr(A.astype(np.int32), B.astype(np.int32))
    with pytest.raises(UserError, match="one shape"):
        ssim(A, B[:, :4])
    with pytest.raises(UserError, match="11x11"):
        ssim(A[..., :10, :, :], B[..., :10, :, :])


def test_best_of():
    scores = np.random.default_rng(0).random((4, 6, 5))
    expected = [max(scores[:, clip], key=np.mean) for clip in range(6)]
    np.testing.assert_array_equal(best_of(scores), expected)
    # The choice is per clip and by the mean, not frame by frame.
    assert not np.array_equal(best_of(scores), scores.max(0))


def test_copy_baseline():
    clips = np.random.default_rng(0).integers(0, 256, (2, 4, 3, 3, 3), dtype=np.uint8)
    future = copy_last(clips, 6)
    assert future.shape == (2, 6, 3, 3, 3)
    assert all((future[:, t] == clips[:, 3]).all() for t in range(6))
