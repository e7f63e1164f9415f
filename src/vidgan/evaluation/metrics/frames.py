"""Metrics of frames, as functions of arrays: PSNR, SSIM, power spectra, motion, distances between whole clips."""

import functools

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from vidgan.errors import UserError
from vidgan.evaluation.metrics.features import Floats, Numbers, squared_distances

Bytes = NDArray[np.uint8]


def as_unit_frames(frames: Numbers) -> Floats:
    """Frames as float64 in [0, 1]: uint8 is divided by 255, floats must be in [0, 1] already.

    Raises:
        UserError: for another type or range.
    """
    if frames.dtype == np.uint8:
        return frames / 255.0
    if not np.issubdtype(frames.dtype, np.floating):
        raise UserError(f"frames must be uint8 or floats in [0, 1], not {frames.dtype}")
    if frames.size and not (frames.min() >= 0 and frames.max() <= 1):
        raise UserError(f"float frames must be in [0, 1], not [{frames.min():g}, {frames.max():g}]")
    return frames.astype(np.float64)


WINDOW, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03


def ssim(a: Numbers, b: Numbers) -> Floats:
    """Structural similarity per frame of ``a`` and ``b`` (..., H, W, C): shape (...), in [-1, 1].

    As ``tf.image.ssim(max_val=1)``: an 11x11 Gaussian of sigma 1.5, no padding, population covariance, the
    mean over positions and channels. Give one channel for the grey or luma variant.

    Examples:
        >>> ssim(np.zeros((2, 16, 16, 3)), np.zeros((2, 16, 16, 3)))
        array([1., 1.])

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
    """Peak signal-to-noise ratio in dB per frame of ``a`` and ``b`` (..., H, W, C): shape (...); infinite where equal.

    Examples:
        >>> psnr(np.zeros((2, 8, 8, 3)), np.full((2, 8, 8, 3), 0.1))
        array([20., 20.])

    Args:
        a: uint8, or floats in [0, 1].
        b: the same shape as ``a``.

    Raises:
        UserError: if shapes differ or floats leave [0, 1].
    """
    x, y = _pair(a, b)
    error = ((x - y) ** 2).mean((-3, -2, -1))
    with np.errstate(divide="ignore"):
        ratio: Floats = -10 * np.log10(error)
    return ratio


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
        parts = (taps[i] * x.take(range(i, i + length), axis=axis) for i in range(WINDOW))
        x = functools.reduce(np.add, parts)
    return x


def mean_motion(videos: Numbers) -> Floats:
    """Mean absolute difference of the neighbouring frames of clips (N, T, H, W, C), T at least 2: (N,), in [0, 1].

    Examples:
        >>> mean_motion(np.arange(3.0).reshape(1, 3, 1, 1, 1) / 4)
        array([0.25])

    Raises:
        UserError: if they are neither uint8 nor floats in [0, 1].
    """
    return np.stack([np.abs(np.diff(as_unit_frames(video), axis=0)).mean() for video in videos])


def best_of(scores: npt.ArrayLike) -> Floats:
    """Of l futures per clip the best: ``scores`` (l, N, T) per frame -> (N, T).

    The future with the largest mean over time is chosen per clip, then its frames are reported (the
    convention of SAVP; Luc et al. 2020, Fig. 5). Only future frames belong in ``scores``.

    Examples:
        >>> best_of([[[0.5, 0.5]], [[1.0, 0.2]]])
        array([[1. , 0.2]])

    Raises:
        UserError: for scores of another shape.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 3:
        raise UserError(f"scores must be (futures, clips, frames), not {values.shape}")
    chosen = values.mean(2).argmax(0)
    return values[chosen, np.arange(values.shape[1])]


def copy_last(condition: Numbers, steps: int) -> Numbers:
    """The copy baseline: the last frame of ``condition`` (..., T, H, W, C), ``steps`` times."""
    return np.repeat(condition[..., -1:, :, :, :], steps, axis=-4)


LUMA = (0.299, 0.587, 0.114)


def luma(frames: Numbers) -> Floats:
    """Grey frames (..., H, W) in [0, 1] of RGB frames (..., H, W, 3), uint8 or floats in [0, 1].

    Examples:
        >>> luma(np.full((1, 1, 3), 255, np.uint8))
        array([[1.]])

    Our choice: ITU-R BT.601; SSW-GAN does not say how colour becomes one channel.
    """
    grey: Floats = as_unit_frames(frames) @ np.array(LUMA)
    return grey


def radial_power(images: npt.ArrayLike) -> Floats:
    """Power of ``images`` (..., H, W) by distance from the zero frequency: (..., rings).

    ``|FFT|^2 / (H W)``, averaged over all frequencies whose distance rounds to r, for r = 0 ... L/2 - 1
    (even L) or (L - 1)/2 (odd L), L the larger side; no window, the mean kept, as pysteps does. Ring r has r / L
    cycles per pixel.

    Examples:
        >>> radial_power(np.ones((4, 4)))
        array([16.,  0.])

    Raises:
        UserError: if an image holds a number that is not finite.
    """
    x = np.asarray(images, dtype=np.float64)
    if x.ndim < 2 or not np.isfinite(x).all():
        raise UserError("a power spectrum needs finite images (..., H, W)")
    height, width = x.shape[-2:]
    power = np.abs(np.fft.fftshift(np.fft.fft2(x), axes=(-2, -1))) ** 2 / (height * width)
    rows, columns = np.arange(height) - height // 2, np.arange(width) - width // 2
    ring = np.round(np.hypot(rows[:, None], columns[None])).astype(np.int64)
    count = (max(height, width) + 1) // 2
    return np.stack([power[..., ring == r].mean(-1) for r in range(count)], axis=-1)


def group_spectra(spectra: npt.ArrayLike, groups: int = 3) -> tuple[Floats, Floats]:
    """Mean and standard deviation over ``groups`` of the groups' mean spectra (SSW-GAN, appendix E).

    Args:
        spectra: (N, rings), one per image, neighbours in one group; N a multiple of ``groups``.

    Raises:
        UserError: if N is not a multiple of ``groups``.
    """
    rows = np.asarray(spectra, dtype=np.float64)
    if rows.ndim != 2 or len(rows) == 0 or len(rows) % groups:
        raise UserError(f"{len(rows)} spectra do not fall into {groups} equal groups")
    means = rows.reshape(groups, -1, rows.shape[1]).mean(1)
    return means.mean(0), means.std(0)


def aligned_distances(clips: Bytes, video: Bytes, stride: int) -> Floats:
    """Root mean square difference, in [0, 1], of clips (n T H W C) and a video (F H W C) at every start: (n, starts).

    Frame t of a clip is set against frame start + t stride of the video; exact up to the last rounding.
    """
    n, steps = clips.shape[:2]
    a = clips.reshape(n * steps, -1).astype(np.float64)
    square = squared_distances(a, video.reshape(len(video), -1).astype(np.float64))
    square = square.reshape(n, steps, len(video))
    starts = len(video) - (steps - 1) * stride
    total = np.zeros((n, max(0, starts)))
    for t in range(steps):
        total += square[:, t, t * stride : t * stride + starts]
    found: Floats = np.sqrt(total / (steps * a.shape[1])) / 255
    return found


def pair_distances(clips: Bytes) -> Floats:
    """Root mean square differences, in [0, 1], of all pairs of clips (n T H W C): (pairs,)."""
    flat = clips.reshape(len(clips), -1).astype(np.float64)
    rows, columns = np.triu_indices(len(clips), 1)
    found: Floats = np.sqrt(squared_distances(flat, flat)[rows, columns] / flat.shape[1]) / 255
    return found


def step_distances(path: Bytes) -> Floats:
    """Root mean square differences, in [0, 1], of neighbours on a path of clips (n T H W C): (n - 1,)."""
    steps = np.diff(path.reshape(len(path), -1).astype(np.float64), axis=0)
    found: Floats = np.sqrt((steps * steps).mean(1)) / 255
    return found
