"""I3D against the TF-Hub graph and DeepMind's code, on formula weights and clips."""

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

import formulas
from vidgan.errors import UserError
from vidgan.evaluation.features import resize
from vidgan.evaluation.features.i3d import I3D, max_pool, same_padding
from vidgan.evaluation.features.network import exact_float32

VECTORS = np.load(Path(__file__).parent / "vectors" / "i3d_vectors.npz", allow_pickle=False)
TOLERANCE = 2e-3
BLOCKS = [
    str(key).split("/")[1] for key in VECTORS.files if key.startswith("endpoint/") and key.endswith("/value")
]


@pytest.fixture(scope="module")
def network():
    network = I3D(classes=400)
    network.load_state_dict(formulas.i3d_state(network))
    return network


def video(clips, steps, side=224):
    clip = 2 * formulas.clip_uint8(clips, steps, side, side).astype(np.float32) / 255 - 1
    return torch.from_numpy(clip).permute(0, 1, 4, 2, 3)


def test_formula_against_python_integers():
    key, shape = "some.key", (3, 2, 5)
    expected = []
    for i in range(30):
        x = (i * 0x9E3779B9 + zlib.crc32(key.encode())) % 2**32
        x ^= x >> 16
        x = x * 0x7FEB352D % 2**32
        x ^= x >> 15
        x = x * 0x846CA68B % 2**32
        x ^= x >> 16
        expected.append(x / 2**32)
    np.testing.assert_array_equal(formulas.uniform(key, shape), np.reshape(expected, shape))


def test_formula_checks(network):
    state = network.state_dict()
    for name in ("Conv3d_1a_7x7.conv3d.weight", "Conv3d_1a_7x7.bn.running_var", "logits.conv3d.bias"):
        np.testing.assert_array_equal(state[name].flatten()[:4].numpy(), VECTORS[f"check/{name}"])
    total = formulas.clip_uint8(2, 16, 224, 224).sum(dtype=np.int64)
    assert total == VECTORS["check/clip_u8_2_16_224_224_sum"]


@pytest.mark.parametrize(
    "name", [key for key in VECTORS.files if key.startswith("resize/small_") and "x" in key]
)
def test_resize(name):
    mode, size = name.removeprefix("resize/small_").split("_")
    function = {
        "legacy": resize.bilinear_legacy,
        "half": resize.bilinear_half_pixel,
        "corners": resize.bilinear_corners,
    }[mode]
    small = torch.from_numpy(VECTORS["resize/small_in"]).movedim(-1, 1)
    height, width = map(int, size.split("x"))
    resized = function(small, height, width).movedim(1, -1)
    np.testing.assert_allclose(resized.numpy(), VECTORS[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("target", [1, 4, 6, 11, 24])
def test_resize_half_pixel_and_corners_agree_with_torch(target):
    x = torch.rand(2, 3, 8, 11, generator=torch.Generator().manual_seed(0))
    for corners, function in ((False, resize.bilinear_half_pixel), (True, resize.bilinear_corners)):
        expected = torch.nn.functional.interpolate(
            x.double(), (target, 2 * target), mode="bilinear", align_corners=corners
        )
        torch.testing.assert_close(function(x, target, 2 * target).double(), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", ["legacy", "half"])
def test_resize_of_a_clip(name):
    clip = torch.from_numpy(formulas.clip_uint8(1, 1, 64, 64)).permute(0, 1, 4, 2, 3)
    function = resize.bilinear_legacy if name == "legacy" else resize.bilinear_half_pixel
    corner = 2 * function(clip, 224, 224)[0, 0, :, :6, :6] / 255 - 1
    np.testing.assert_allclose(corner.numpy(), VECTORS[f"u8_64px/{name}_resized_corner"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "kernel", "stride"), [(224, 7, 2), (16, 7, 2), (15, 3, 2), (7, 3, 1), (9, 2, 2)]
)
def test_same_padding_covers_the_input_once(size, kernel, stride):
    (before, *_), (after, *_) = same_padding(torch.empty(1, 1, size, 1, 1), (kernel, 1, 1), (stride, 1, 1))
    steps = (size + before + after - kernel) // stride + 1
    assert steps == -(-size // stride)
    assert 0 <= after - before <= 1


@pytest.mark.parametrize(
    ("kernel", "stride"), [((3, 3, 3), (1, 1, 1)), ((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2))]
)
def test_max_pool_is_that_of_every_window(kernel, stride):
    x = torch.randn(2, 3, 5, 9, 8, generator=torch.Generator().manual_seed(0))
    windows = (
        x.unfold(2, kernel[0], stride[0]).unfold(3, kernel[1], stride[1]).unfold(4, kernel[2], stride[2])
    )
    found = max_pool(x, kernel, stride)
    assert torch.equal(found, windows.amax((-3, -2, -1)))
    assert torch.equal(found, torch.nn.functional.max_pool3d(x, kernel, stride))


@pytest.mark.slow
@pytest.mark.parametrize(("clips", "steps"), [(2, 16), (1, 12)])
def test_outputs(network, clips, steps):
    with exact_float32():
        logits, avgpool = network(video(clips, steps))
    np.testing.assert_allclose(logits.numpy(), VECTORS[f"T{steps}/logits"], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(avgpool.numpy(), VECTORS[f"T{steps}/avgpool"], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(logits.numpy(), VECTORS[f"T{steps}/logits_tfhub_f32"], rtol=0, atol=TOLERANCE)


@pytest.mark.slow
def test_every_block(network):
    seen = {}
    for name in BLOCKS:
        network.get_submodule(name).register_forward_hook(lambda _m, _i, y, name=name: seen.update({name: y}))
    with exact_float32():
        network(video(1, 16))
    assert list(seen) == BLOCKS
    assert len(BLOCKS) == 16
    for name, y in seen.items():
        assert tuple(y.shape) == tuple(VECTORS[f"endpoint/{name}/shape"])
        probes = y.flatten()[torch.from_numpy(VECTORS[f"endpoint/{name}/index"])]
        np.testing.assert_allclose(probes.numpy(), VECTORS[f"endpoint/{name}/value"], rtol=0, atol=TOLERANCE)
        spread = [y.double().mean().item(), y.double().std(correction=0).item()]
        np.testing.assert_allclose(spread, VECTORS[f"endpoint/{name}/mean_std"], rtol=0, atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "vector"),
    [(resize.bilinear_legacy, "tf1_legacy"), (resize.bilinear_half_pixel, "half_pixel")],
)
def test_small_clip_through_the_whole_pipeline(network, function, vector):
    clip = torch.from_numpy(formulas.clip_uint8(1, 16, 64, 64)).permute(0, 1, 4, 2, 3)
    with exact_float32():
        logits, _ = network(2 * function(clip, 224, 224) / 255 - 1)
    np.testing.assert_allclose(logits.numpy(), VECTORS[f"u8_64px/logits_{vector}"], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    "shape", [(1, 8, 3, 224, 224), (1, 16, 3, 192, 224), (1, 3, 16, 224, 224), (16, 3, 224, 224)]
)
def test_refuses_what_it_cannot_score(network, shape):
    with pytest.raises(UserError, match="I3D"):
        network(torch.zeros(shape))


def test_blank_until_loaded_and_always_frozen():
    blank = I3D(classes=5)
    assert all(p.isnan().all() and not p.requires_grad for p in blank.parameters())
    unit = I3D(classes=5).get_submodule("Conv3d_2b_1x1")
    unit.load_state_dict(formulas.i3d_state(unit))
    x = torch.rand(2, 64, 2, 3, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(unit.train()(x), unit.eval()(x))


def test_building_draws_nothing():
    before = torch.get_rng_state()
    I3D(classes=5)
    assert torch.equal(before, torch.get_rng_state())


def test_exact_float32_restores_what_it_changes():
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    with exact_float32():
        assert matmul.fp32_precision == torch.backends.cudnn.conv.fp32_precision == "ieee"
        assert not torch.is_grad_enabled()
    assert matmul.fp32_precision == before
    assert torch.is_grad_enabled()
