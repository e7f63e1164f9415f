"""experiments/copying.py beside loops over clips, futures and frames, for a predictor and clips of known motion."""

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import copying
import runs
import vidgan
from vidgan.data.codecs import Raw
from vidgan.data.layouts import Strips
from vidgan.data.loader import to_float
from vidgan.data.prepare import prepare_by
from vidgan.data.store import PrepareSpec
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.evaluation.metrics.frames import ssim
from vidgan.run.experiment import whole_window
from vidgan.run.tiny import tiny
from vidgan.sample.video_io import to_bytes

SIDE, FUTURES, SEED, GAP = 32, 3, 4, 2
SPEEDS = (2, -1, 0)
"""pixels per frame to the right, of each clip"""


def moving(frames: int, speed: int) -> NDArray[np.uint8]:
    """A shaded picture that moves sideways, comes in again at the other side and grows brighter (T H W 3)."""
    coarse = np.random.default_rng(speed % 7).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    picture = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return np.stack([np.roll(picture // 2 + 4 * t, speed * t, axis=1) for t in range(frames)])


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> vidgan.Model:
    """Untrained, and its units warp."""
    experiment = tiny(vidgan.preset("trivd-gan-fp-k600-16x64"))
    run = runs.untrained(tmp_path_factory.mktemp("copying") / "run", experiment, ("all",))
    data = SyntheticDataset(SyntheticSpec(size=SIDE, frames=12, clips=4))
    return vidgan.load(run.path, data=data, device="cpu")


def decibels(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """PSNR of a frame."""
    return 10 * math.log10(255**2 / statistics.fmean((a.astype(float) - b.astype(float)).ravel() ** 2))


def likeness(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """SSIM of a frame; tests/test_ssim.py compares it with an independent one."""
    return float(ssim(a, b))


def chosen(futures: Sequence[Sequence[float]]) -> Sequence[float]:
    """The future of a clip whose mean over the frames is the largest."""
    return max(futures, key=statistics.fmean)


@pytest.mark.slow
def test_what_is_told_is_what_loops_find(
    predictor: vidgan.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window, given = whole_window(predictor.experiment), predictor.experiment.levels[0].context_frames
    clips = [moving(window.frames * window.stride, speed) for speed in SPEEDS]
    strips = tmp_path / "strips" / "all"
    strips.mkdir(parents=True)
    for number, clip in enumerate(clips):
        Image.fromarray(np.concatenate(list(clip), axis=1)).save(strips / f"{number}.png")
    prepare_by(
        strips.parent, tmp_path / "data", PrepareSpec(layout=Strips(), size=SIDE, codec=Raw()), workers=0
    )
    monkeypatch.setattr(vidgan, "load", lambda name: predictor)
    out = tmp_path / "copying.json"
    words = ["mine", "--data", str(tmp_path / "data"), "--out", str(out), "--seed", str(SEED)]
    copying.main([*words, "--futures", str(FUTURES), "--strips", str(tmp_path / "strips.png")])
    found = json.loads(out.read_text())["mine"]
    assert (found["clips"], found["futures"], found["seed"]) == (len(clips), FUTURES, SEED)

    picture = np.asarray(Image.open(tmp_path / "strips.png").convert("RGB"))
    real, future = (picture[top : top + SIDE, -SIDE:] for top in (0, SIDE + GAP))  # the last frames
    assert (real == clips[0][(window.frames - 1) * window.stride]).all()
    assert (real != future).any()
    assert (picture[:SIDE, :SIDE] == picture[SIDE + GAP :][:SIDE, :SIDE]).all()  # the first, which is given
    (plot, _) = copying.curves({"mine": found})
    assert [point.y for point in plot.curves[1].points] == found["ssim"]["best"]["value"]

    fields = []
    rows: dict[str, dict[str, list[Sequence[float]]]] = {
        name: {"copying": [], "one": [], "best": []} for name in ("ssim", "psnr")
    }
    for number, clip in enumerate(clips):
        seen = clip[: window.frames * window.stride : window.stride]
        frames = to_float(torch.from_numpy(seen[None, :given].copy()))[0]
        made = predictor.futures(frames, FUTURES, seed=SEED, first=FUTURES * number)
        videos = to_bytes(made.video).numpy()
        for name, measure in (("ssim", likeness), ("psnr", decibels)):
            futures = [[measure(a, b) for a, b in zip(video, seen[given:], strict=True)] for video in videos]
            rows[name]["copying"].append([measure(seen[given - 1], frame) for frame in seen[given:]])
            rows[name]["one"].append(futures[0])
            rows[name]["best"].append(chosen(futures))
        assert made.motion is not None
        fields.append(sum(made.motion[0, t, 0, : SIDE // 2].mean().item() for t in range(len(videos[0]))))
    for name, told in rows.items():
        for key in ("one", "best"):
            told[f"{key} less copying"] = [
                [a - b for a, b in zip(*pair, strict=True)]
                for pair in zip(told[key], told["copying"], strict=True)
            ]
        for key, values in told.items():
            value = np.asarray(values).mean(0)
            assert found[name][key]["value"] == pytest.approx(value, abs=1e-4), (name, key)
            # The mean of n draws from n values has the n-th part of their variance.
            spread = np.asarray(values).std(0) / math.sqrt(len(clips))
            assert found[name][key]["deviation"] == pytest.approx(spread, rel=0.1, abs=1e-4), (name, key)
    motion = found["motion"]
    right = [(field > 0) == (speed > 0) for field, speed in zip(fields, SPEEDS, strict=True) if speed]
    assert motion["moved clips"] == len(right)
    assert motion["right way"] == statistics.fmean(right)
    assert motion["correlation"] == pytest.approx(statistics.correlation(fields, SPEEDS), abs=0.02)


def test_a_frame_that_stands_still_has_the_error_of_rounding() -> None:
    """Of numbers that are even between -0.5 and 0.5, a mean square of 1/12."""
    rng = np.random.default_rng(0)
    frame = rng.integers(1, 255, (256, 256, 3)).astype(np.uint8)
    rounded = (frame + rng.uniform(-0.5, 0.5, frame.shape)) / 255
    assert copying.psnr(frame, frame) == pytest.approx(copying.psnr(frame / 255, rounded), abs=0.02)
