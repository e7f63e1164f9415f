"""C3D against TGANv2's Chainer code, on formula weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

import formulas
from vidgan.errors import UserError
from vidgan.evaluation.features.c3d import C3D, tgan_input, tganv2_input
from vidgan.evaluation.features.network import exact_float32

VECTORS = np.load(Path(__file__).parent / "vectors" / "c3d_vectors.npz", allow_pickle=False)
MEAN = torch.from_numpy((255 * formulas.uniform("c3d/mean", (3, 16, 128, 171))).astype(np.float32))


def video():
    clip = 2 * formulas.clip_uint8(1, 16, 64, 64).astype(np.float32) / 255 - 1
    return torch.from_numpy(clip).permute(0, 1, 4, 2, 3)


def test_tganv2_input():
    x = tganv2_input(video(), MEAN)
    assert tuple(x.shape) == (1, 16, 3, 112, 112)
    np.testing.assert_allclose(x[0, 0, :, :8, :8].numpy(), VECTORS["pre_first"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(x.double().sum().item(), VECTORS["pre_sum"], rtol=1e-6)


def test_tgan_input_on_a_clip_of_the_final_size():
    # At 128x128 the bicubic resize is the identity, so the rest can be written out.
    clip = formulas.clip_uint8(1, 16, 128, 128)
    x = tgan_input(torch.from_numpy(clip / 127.5 - 1).float().permute(0, 1, 4, 2, 3), MEAN)
    for t, c, h, w in [(0, 0, 0, 0), (3, 1, 10, 50), (15, 2, 111, 111)]:
        pixel = (clip[0, t, h + 8, w + 8, 2 - c] / 127.5 - 1) * 128 + 128
        expected = pixel - MEAN[c, t, h + 8, w + 8 + 21].item()
        assert abs(x[0, t, c, h, w].item() - expected) < 1e-3


def test_bicubic_is_opencvs():
    # Keys' kernel with a = -0.75 at half-pixel positions, edges repeated.
    def kernel(x):
        x, a = abs(x), -0.75
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0

    from vidgan.evaluation.features.resize import bicubic

    row = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0])
    expected = []
    for i in range(15):
        at = (i + 0.5) * 6 / 15 - 0.5
        near = range(int(np.floor(at)) - 1, int(np.floor(at)) + 3)
        expected.append(sum(kernel(at - j) * row[min(max(j, 0), 5)] for j in near))
    image = torch.from_numpy(np.tile(row, (4, 1))).float()
    np.testing.assert_allclose(bicubic(image, 4, 15)[2].numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_outputs():
    network = C3D()
    network.load_state_dict(formulas.plain_state(network))
    with exact_float32():
        logits, fc7 = network(tganv2_input(video(), MEAN))
    # float32 keeps about 2e-6 of the largest value; a wrong pooling moves the logits by 434 of 969.
    np.testing.assert_allclose(logits.numpy(), VECTORS["logits"], rtol=0, atol=5e-6 * 969)
    np.testing.assert_allclose(logits.numpy(), VECTORS["chainer_fc8"], rtol=0, atol=5e-6 * 969)
    np.testing.assert_allclose(fc7.numpy(), VECTORS["fc7"], rtol=0, atol=5e-6 * 1875)


def test_refuses_other_sizes():
    network = C3D()
    for shape in [(1, 15, 3, 112, 112), (1, 16, 3, 128, 128), (1, 17, 3, 112, 112)]:
        with pytest.raises(UserError, match="16 frames"):
            network(torch.zeros(shape))
    with pytest.raises(UserError, match="16 frames"):
        tganv2_input(torch.zeros(1, 12, 3, 64, 64), MEAN)
    with pytest.raises(UserError, match="mean clip"):
        tganv2_input(video(), MEAN[:, :, :112, :112])
