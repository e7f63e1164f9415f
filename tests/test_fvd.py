"""FVD from arrays to a number, the random network, and the package's names."""

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import formulas
import vidgan.evaluation
from vidgan.errors import UserError
from vidgan.evaluation import I3D, frechet_distance, fvd, protocols
from vidgan.evaluation.features import network
from vidgan.evaluation.features.network import RandomConv3d
from vidgan.evaluation.features.resize import bilinear_legacy
from vidgan.evaluation.metrics import features, frames

VECTORS = np.load(Path(__file__).parent / "vectors" / "i3d_vectors.npz", allow_pickle=False)


def moving(count, seed, steps=8, side=32):
    """Clips of coloured squares that move over a textured ground, float (N T 3 H W) in [-1, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    clips = np.empty((count, steps, side, side, 3))
    for clip in clips:
        colour, start, speed = rng.random(3), rng.random(2) * side, rng.normal(size=2) * 2
        ground = 0.2 * np.sin(x * rng.random() + y * rng.random())[..., None] * rng.random(3)
        for t, frame in enumerate(clip):
            at = start + speed * t
            inside = (abs((y - at[0]) % side - 8) < 5) & (abs((x - at[1]) % side - 8) < 5)
            frame[:] = np.where(inside[..., None], colour, 0.4 + ground)
    return torch.from_numpy(2 * clips.clip(0, 1) - 1).float().permute(0, 1, 4, 2, 3)


def distance(a, b):
    network = RandomConv3d()
    return frechet_distance(*(network(x).double().numpy() for x in (a, b)))


def test_random_network_against_plain_loops():
    """The whole definition again: formula weights, repeated edges, strided taps, ReLU, means."""
    clip = formulas.clip_uint8(1, 5, 12, 10)[0] / 127.5 - 1
    x, means = np.moveaxis(clip, -1, 0), []
    for layer, (inputs, outputs) in enumerate(((3, 16), (16, 32), (32, 80))):
        w = 2 * formulas.uniform(f"random-conv3d/{layer}", (outputs, inputs, 3, 3, 3)) - 1
        for filter_ in w[0::4]:
            filter_ -= filter_.mean()
        for filter_ in (*w[1::4], *w[2::4]):
            filter_ -= filter_.mean(1, keepdims=True)
        for filter_ in w:
            filter_ *= np.sqrt(2 / (27 * inputs) / (filter_**2).mean())
        x = np.pad(x, ((0, 0), (1, 1), (1, 1), (1, 1)), mode="edge")
        steps = range(0, x.shape[1] - 2, 1 if layer == 0 else 2)
        at = [
            (t, i, j) for t in steps for i in range(0, x.shape[2] - 2, 2) for j in range(0, x.shape[3] - 2, 2)
        ]
        windows = [x[:, t : t + 3, i : i + 3, j : j + 3] for t, i, j in at]
        y = np.maximum(np.tensordot(windows, w, axes=([1, 2, 3, 4], [1, 2, 3, 4])), 0)
        sizes = [len({place[axis] for place in at}) for axis in range(3)]
        x = np.moveaxis(y.reshape(*sizes, outputs), -1, 0)
        means.append(x.mean((1, 2, 3)))
    found = RandomConv3d()(torch.from_numpy(clip).float()[None].permute(0, 1, 4, 2, 3))
    assert tuple(found.shape) == (1, 128)
    np.testing.assert_allclose(found[0].numpy(), np.concatenate(means), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_random_network_ranks_distortions():
    real, other = moving(200, 0), moving(200, 1)
    floor = distance(real, other)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(other.shape, generator=generator)
    order = torch.randperm(other.shape[1], generator=generator)

    def blurred(size):
        flat = torch.nn.functional.avg_pool2d(
            other.flatten(0, 1), size, 1, size // 2, count_include_pad=False
        )
        return flat.unflatten(0, other.shape[:2])

    ladders = {
        "noise": [(other + s * noise).clamp(-1, 1) for s in (0.05, 0.1, 0.2)],
        "blur": [blurred(size) for size in (3, 5, 9)],
    }
    for name, steps in ladders.items():
        values = [floor, *(distance(real, step) for step in steps)]
        assert values == sorted(values), (name, values)
        assert values[-1] > 5 * floor, (name, values)
    assert distance(real, other[:, :1].expand_as(other)) > 5 * floor
    assert distance(real, other[:, order]) > 3 * floor
    assert distance(real[:100], real[100:]) < 4 * floor


@pytest.mark.slow
def test_fvd_is_the_distance_of_reference_logits(tmp_path):
    network = I3D()
    network.load_state_dict(formulas.i3d_state(network))
    torch.save(network.state_dict(), tmp_path / "i3d.pt")
    clips = formulas.clip_uint8(1, 16, 64, 64)
    other = np.concatenate([clips, clips[:, ::-1]])
    found = fvd(np.concatenate([clips, clips]), other, weights=tmp_path / "i3d.pt")
    # Two equal clips have no covariance, so the distance is |a - (a + b)/2|^2 + tr S, S that of {a, b}:
    # both are fixed by b - a, which the reference logits of a leave to b alone.
    a = VECTORS["u8_64px/logits_tf1_legacy"][0]
    video = torch.from_numpy(clips[:, ::-1].copy()).permute(0, 1, 4, 2, 3)
    b = network(2 * bilinear_legacy(video, 224, 224) / 255 - 1).logits.double().numpy()[0]
    expected = ((a - b) ** 2).sum() * (1 / 4 + 1 / 2)
    assert found == pytest.approx(expected, rel=1e-4)


def test_fvd_errors():
    clips = np.zeros((2, 16, 8, 8, 3), np.uint8)
    with pytest.raises(UserError, match="name their file"):
        fvd(clips, clips)
    with pytest.raises(UserError, match="no I3D weights at"):
        fvd(clips, clips, weights="absent.pt")
    with pytest.raises(UserError, match="uint8 clips"):
        fvd(clips / 255, clips, weights="absent.pt")
    with pytest.raises(UserError, match="16 frames, fake ones 12"):
        fvd(clips, clips[:, :12], weights="absent.pt")


def test_every_name_has_an_example_and_those_of_metrics_are_right():
    for name in vidgan.evaluation.__all__:
        text = getattr(vidgan.evaluation, name).__doc__
        assert "Examples:\n        >>> " in text, name
    for module in (features, frames, network, protocols):
        done = doctest.testmod(module)
        assert (done.failed, done.attempted > 0) == (0, True), module


def test_package_names_are_lazy():
    code = "import sys, vidgan.evaluation; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    for name in vidgan.evaluation.__all__:
        assert callable(getattr(vidgan.evaluation, name))
    with pytest.raises(AttributeError, match="nothing"):
        vidgan.evaluation.nothing  # noqa: B018
