"""Radially averaged power spectral density (SSW-GAN, appendix E, after Ayzel et al. 2020)."""

import numpy as np
import numpy.typing as npt

from vidgan.errors import UserError
from vidgan.evaluate.metrics.arrays import Floats, Numbers, as_unit_frames

LUMA = (0.299, 0.587, 0.114)


def luma(frames: Numbers) -> Floats:
    """Grey frames (..., H, W) in [0, 1] of RGB frames (..., H, W, 3).

    Our choice: ITU-R BT.601; SSW-GAN does not say how colour becomes one channel.
    """
    grey: Floats = as_unit_frames(frames) @ np.array(LUMA)
    return grey


def radial_power(images: npt.ArrayLike, *, normalise: bool = False) -> Floats:
    """Power of ``images`` (..., H, W) by distance from the zero frequency: (..., rings).

    ``|FFT|^2 / (H W)``, averaged over all frequencies whose distance rounds to r, for r = 0 ... L/2 - 1
    (even L) or (L - 1)/2 (odd L), L the larger side; no window, the mean kept, as pysteps does.

    Args:
        normalise: divide by the sum over rings.

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
    rings = [power[..., ring == r].mean(-1) for r in range(count)]
    spectrum: Floats = np.stack(rings, axis=-1)
    return spectrum / spectrum.sum(-1, keepdims=True) if normalise else spectrum


def radial_frequencies(height: int, width: int) -> Floats:
    """The frequencies of :func:`radial_power`'s rings, in cycles per pixel."""
    side = max(height, width)
    return np.arange((side + 1) // 2) / side


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
