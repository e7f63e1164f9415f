"""Radially averaged power spectra."""

from pathlib import Path

import numpy as np
import pytest

from vidgan.errors import UserError
from vidgan.evaluation.metrics.frames import group_spectra, luma, radial_power

VECTORS = np.load(Path(__file__).parent / "vectors" / "metric_vectors.npz", allow_pickle=False)


def test_vectors():
    image = VECTORS["psd/odd33x33/image"]
    np.testing.assert_allclose(radial_power(image), VECTORS["psd/odd33x33/rapsd"], rtol=1e-10)
    wave = np.tile(np.cos(2 * np.pi * 8 * np.arange(64) / 64), (64, 1))
    np.testing.assert_allclose(radial_power(wave), VECTORS["psd/cos8_64/rapsd"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 7), (6, 9), (5, 8)])
def test_against_a_plain_loop(height, width):
    image = np.random.default_rng(0).normal(size=(height, width))
    y, x = np.mgrid[:height, :width]
    rings: dict[int, list[float]] = {}
    for v in range(-(height // 2), height - height // 2):
        for u in range(-(width // 2), width - width // 2):
            wave = np.exp(-2j * np.pi * (u * x / width + v * y / height))
            rings.setdefault(round((u * u + v * v) ** 0.5), []).append(abs((image * wave).sum()) ** 2)
    expected = [np.mean(rings[r]) / image.size for r in range((max(height, width) + 1) // 2)]
    np.testing.assert_allclose(radial_power(image), expected, rtol=1e-9)
    np.testing.assert_allclose(radial_power(np.stack([image, image]))[1], expected, rtol=1e-9)


def test_luma():
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    np.testing.assert_allclose(luma(colours), [[0.299, 0.587, 0.114, 1.0]])


def test_groups():
    spectra = np.array([[1.0], [3], [4], [6], [9], [7]])
    mean, std = group_spectra(spectra, 3)
    assert mean.tolist() == [5.0]
    np.testing.assert_allclose(std, np.std([2, 5, 8]))
    with pytest.raises(UserError, match="3 equal groups"):
        group_spectra(spectra[:5], 3)
    with pytest.raises(UserError, match="finite"):
        radial_power(np.full((4, 4), np.nan))
