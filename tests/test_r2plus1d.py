"""R(2+1)D-18 against torchvision's code, on formula weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import formulas
from vidgan.evaluation.features.network import exact_float32
from vidgan.evaluation.features.r2plus1d import R2Plus1D, r2plus1d_input

FOLDER = Path(__file__).parent / "vectors"
VECTORS = np.load(FOLDER / "r2plus1d_vectors.npz", allow_pickle=False)


def test_names_and_shapes_are_torchvisions():
    keys = json.loads((FOLDER / "r2plus1d_18_keys.json").read_text())
    assert {key: list(value.shape) for key, value in R2Plus1D().state_dict().items()} == keys


@pytest.mark.slow
def test_outputs():
    network = R2Plus1D()
    network.load_state_dict(formulas.plain_state(network))
    clip = 2 * formulas.clip_uint8(1, 16, 112, 112).astype(np.float32) / 255 - 1
    with exact_float32():
        logits, features = network(torch.from_numpy(clip).permute(0, 1, 4, 2, 3))
    np.testing.assert_allclose(logits.numpy(), VECTORS["logits"], rtol=0, atol=2e-3)
    np.testing.assert_allclose(features.numpy(), VECTORS["avgpool"], rtol=0, atol=2e-3)


def test_input_by_hand():
    # At 128x171 the resize is the identity: crop rows 8:120, columns 30:142, then normalise.
    clip = torch.rand(1, 2, 3, 128, 171, generator=torch.Generator().manual_seed(0)) * 2 - 1
    x = r2plus1d_input(clip)
    assert tuple(x.shape) == (1, 2, 3, 112, 112)
    for c, (mean, deviation) in enumerate(
        zip((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989), strict=True)
    ):
        expected = ((clip[0, 1, c, 8 + 5, 30 + 7].item() + 1) / 2 - mean) / deviation
        assert abs(x[0, 1, c, 5, 7].item() - expected) < 1e-5
