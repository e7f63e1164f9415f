"""Frame by frame: SSIM (Wang et al. 2004), PSNR, motion, the best of l futures, and the copy baseline."""

import functools

import numpy as np
import numpy.typing as npt

from vidgan.errors import UserError
from vidgan.evaluate.metrics.arrays import Floats, Numbers, as_unit_frames

WINDOW, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03


def ssim(a: Numbers, b: Numbers) -> Floats:
    """Structural similarity per frame of ``a`` and ``b`` (..., H, W, C): shape (...).

    As ``tf.image.ssim(max_val=1)``: an 11x11 Gaussian of sigma 1.5, no padding, population covariance, the
    mean over positions and channels. Give one channel for the grey or luma variant.

    Args:
        a: uint8, or floats in [0, 1].
        b: the same shape as ``a``.

    Raises:
        UserError: if shapes differ, frames are smaller than 11x11, or floats leave [0, 1].
    """
    x, y = _pair(a, b)
    if min(x.shape[-3:-1]) < WINDOW:
        raise UserError(f"SSIM needs frames of at least {WINDOW}x{WINDOW}, not {x.shape[-3]}x{x.shape[-2]}")
    mean_x, mean_y = _blur(x), _blur(y)
    xx, yy, xy = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2, _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + K1**2) / (mean_x**2 + mean_y**2 + K1**2)
    structure = (2 * xy + K2**2) / (xx + yy + K2**2)
    similarity: Floats = (luminance * structure).mean((-3, -2, -1))
    return similarity


def psnr(a: Numbers, b: Numbers) -> Floats:
    """Peak signal-to-noise ratio in dB per frame of ``a`` and ``b`` (..., H, W, C); infinite where equal.

    Raises:
        UserError: as :func:`ssim`.
    """
    x, y = _pair(a, b)
    error = ((x - y) ** 2).mean((-3, -2, -1))
    with np.errstate(divide="ignore"):
        ratio: Floats = -10 * np.log10(error)
    return ratio


def motion(videos: Numbers) -> Floats:
    """Mean absolute difference of the neighbouring frames of clips (N, T, H, W, C), T at least 2: (N,), in [0, 1].

    Raises:
        UserError: as :func:`as_unit_frames`.
    """
    return np.stack([np.abs(np.diff(as_unit_frames(video), axis=0)).mean() for video in videos])


def best_of(scores: npt.ArrayLike) -> Floats:
    """Of l futures per clip the best: ``scores`` (l, N, T) per frame -> (N, T).

    The future with the largest mean over time is chosen per clip, then its frames are reported (the
    convention of SAVP; Luc et al. 2020, Fig. 5). Only future frames belong in ``scores``.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 3:
        raise UserError(f"scores must be (futures, clips, frames), not {values.shape}")
    chosen = values.mean(2).argmax(0)
    return values[chosen, np.arange(values.shape[1])]


def keep_best(best: Floats | None, scores: npt.ArrayLike) -> Floats:
    """:func:`best_of` as a stream: ``best`` (N, T) so far joined by one more future's ``scores`` (N, T)."""
    new = np.asarray(scores, dtype=np.float64)
    if best is None:
        return new
    return np.where((new.mean(1) > best.mean(1))[:, None], new, best)


def copy_last(condition: Numbers, steps: int) -> Numbers:
    """The copy baseline: the last frame of ``condition`` (..., T, H, W, C), ``steps`` times."""
    return np.repeat(condition[..., -1:, :, :, :], steps, axis=-4)


def _pair(a: Numbers, b: Numbers) -> tuple[Floats, Floats]:
    if a.shape != b.shape or a.ndim < 3:
        raise UserError(
            f"two sets of frames (..., H, W, C) of one shape are needed, not {a.shape} and {b.shape}"
        )
    return as_unit_frames(a), as_unit_frames(b)


def _blur(x: Floats) -> Floats:
    """Gaussian window over H and W, positions inside the frame only."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    taps = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    taps /= taps.sum()
    for axis in (-3, -2):
        length = x.shape[axis] - WINDOW + 1
        parts = (taps[i] * _slice(x, axis, i, length) for i in range(WINDOW))
        x = functools.reduce(np.add, parts)
    return x


def _slice(x: Floats, axis: int, start: int, length: int) -> Floats:
    return x.take(range(start, start + length), axis=axis)
