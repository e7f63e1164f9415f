"""Clips that are held in memory or on the device: the same batches as those that are read (Du 2020, 4.1)."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import vidgan as package
from commands import require_one_line, vidgan
from vidgan.data.dataset import Frames, long_clips
from vidgan.data.filters import Area, Bilinear
from vidgan.data.held import DeviceCache, HeldClips, MemoryCache, bytes_held, is_held
from vidgan.data.loader import Loader
from vidgan.data.torch_dataset import TorchDataset
from vidgan.data.window import WindowSpec, fit, other_filter
from vidgan.errors import UserError
from vidgan.presets import preset
from vidgan.run.checkpoints import latest
from vidgan.run.data import hold
from vidgan.run.directory import RunDirectory

Capture = pytest.CaptureFixture[str]
CPU = torch.device("cpu")
SHAPES = ((9, 20, 31), (6, 40, 16), (7, 16, 16), (3, 24, 24))
"""frames, height and width of the clips"""


class Clips(torch.utils.data.Dataset[tuple[Frames, int]]):
    classes = ("a", "b")

    def __len__(self) -> int:
        return len(SHAPES)

    def info(self, index: int) -> tuple[int, int, int]:
        return SHAPES[index]

    def __getitem__(self, index: int) -> tuple[Frames, int]:
        rng = np.random.default_rng(index)
        return rng.integers(0, 256, (*SHAPES[index], 3), dtype=np.uint8), index % 2


def data() -> TorchDataset:
    clips = package.open_dataset(Clips())
    assert isinstance(clips, TorchDataset)
    return clips


@pytest.mark.parametrize("flip", [False, True])
def test_batches_are_those_that_are_read(flip: bool) -> None:
    """The last clip has too few frames and is left out, before it is held or after."""
    window = WindowSpec(size=16, frames=3, stride=2, flip=flip)
    plain = long_clips(data(), window.span)
    held = long_clips(HeldClips(data(), window, CPU), window.span)
    assert is_held(held)
    assert not is_held(plain)
    numbers = [range(n, n + 5) for n in range(0, 40, 5)]
    with Loader(plain, window, 3, 0) as read, Loader(held, window, 3, 4) as given:
        for expected, found in zip(read.batches(iter(numbers)), given.batches(iter(numbers)), strict=True):
            assert torch.equal(found.video, expected.video)
            assert torch.equal(found.label, expected.label)


def test_what_is_held_is_counted_by_hand() -> None:
    """Shorter sides become 16: 20x31 is 16x25, 40x16 stays, so do 16x16; 24x24 is 16x16."""
    window = WindowSpec(size=16, frames=2)
    pixels = 9 * 16 * 25 + 6 * 40 * 16 + 7 * 16 * 16 + 3 * 16 * 16
    held = HeldClips(data(), window, CPU)
    assert held.bytes == bytes_held(data(), window) == 3 * pixels
    assert held.clip(0).untyped_storage().nbytes() == 3 * pixels
    assert (held.read(1, 1, 2, 3) == data().read(1, 1, 2, 3)).all()
    assert held.labels().tolist() == [0, 1, 0, 1]
    assert held.fingerprint == data().fingerprint
    assert isinstance(pickle.loads(pickle.dumps(held)), TorchDataset)  # workers read: gigabytes are not sent


def test_no_room_is_told_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidgan.memory.available", lambda: 100.0)
    with pytest.raises(UserError, match=r"holding 4 clips .* leave --cache out"):
        HeldClips(data(), WindowSpec(size=16, frames=2), CPU)


def test_places() -> None:
    device = torch.device("meta")
    assert DeviceCache().place(device) == device
    assert MemoryCache().place(device) == CPU


def by_area(frame: Frames, side: int) -> NDArray[np.float64]:
    """Every pixel the average over its area, in float64."""
    scale = len(frame) / side
    part = np.zeros((side, len(frame)))
    for row in range(side):
        for column in range(len(frame)):
            low, high = max(row * scale, column), min((row + 1) * scale, column + 1)
            part[row, column] = max(0.0, high - low) / scale
    averaged: NDArray[np.float64] = np.einsum("ih,jw,hwc->ijc", part, part, frame.astype(float))
    return averaged


def test_windows_are_resized_by_the_filter_of_the_experiment() -> None:
    frames = np.random.default_rng(1).integers(0, 256, (1, 40, 40, 3), dtype=np.uint8)
    expected = by_area(frames[0], 16)
    for filter in (Area(), Bilinear()):
        small = fit(frames, WindowSpec(size=16, frames=1, filter=filter))[0]
        apart = np.abs(small - expected).max()
        assert apart < 2 if filter.name == "area" else apart > 10, (filter, apart)


def test_presets_name_the_filter_of_their_paper() -> None:
    for name, expected in (("guide-original", "area"), ("dvd-gan-k600-12x64", "bilinear")):
        assert preset(name).resize.name == expected


def test_another_filter_than_the_experiments_is_told(tmp_path: Path) -> None:
    source = tmp_path / "videos"
    source.mkdir()
    package.save_video(torch.zeros(4, 3, 24, 24), source / "clip.gif", fps=12)
    for name in ("area", "bilinear"):
        made = package.prepare(source, tmp_path / name, size=16, resize=name, workers=0)
        told = other_filter(made, Area())
        assert (told is None) == (name == "area")
        assert told is None or ("--resize bilinear" in told and "--resize area" in told)
    assert other_filter(data(), Area()) is None  # nobody knows


@pytest.mark.slow
def test_a_run_with_a_cache_is_the_run_without(tmp_path: Path, capsys: Capture) -> None:
    weights = []
    for name, options in (("read", ("--workers", 0)), ("held", ("--cache", "device"))):
        out = tmp_path / name
        answer = vidgan(capsys, "train", "demo", "--tiny", "--data", "synthetic", "--out", out, *options)
        assert answer.status == 0, answer.err
        assert ("held: 10,000 clips" in answer.out) == (name == "held")
        found = latest(RunDirectory.open(out).checkpoints, 1)
        assert found is not None
        weights.append(found.state.tensors)
    assert weights[0].keys() == weights[1].keys()
    for key, value in weights[0].items():
        assert torch.equal(value, weights[1][key]), key


def test_clips_that_training_cannot_use_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidgan.run.data.HeldClips", lambda *given: pytest.fail("held"))
    with pytest.raises(UserError, match="hold no window"):
        hold(data(), preset("demo"), MemoryCache(), CPU)


@pytest.mark.slow
def test_the_plan_counts_what_is_held(capsys: Capture) -> None:
    plan = ("plan", "demo", "--tiny", "--data", "synthetic")
    answer = vidgan(capsys, *plan, "--cache", "device", "--device-memory", "1GiB")
    assert answer.status == 0, answer.err
    # 10,000 clips of 4 frames of 24x24 and three colours
    assert f"held: 10,000 clips, {10_000 * 4 * 24 * 24 * 3 / 1e9:.3g} GB in the device" in answer.out
    assert f"with {(2**30 - 10_000 * 4 * 24 * 24 * 3) / 1e9:.4g} GB" in answer.out
    require_one_line(vidgan(capsys, *plan, "--cache", "device", "--device-memory", "50M"), "fill", "memory")
    require_one_line(vidgan(capsys, *plan), "--data", "--cache")
    require_one_line(vidgan(capsys, *plan[:3], "--cache", "memory"), "--cache", "--data")


def test_workers_are_idle_where_clips_are_held(capsys: Capture, tmp_path: Path) -> None:
    train = ("train", "demo", "--tiny", "--data", "synthetic", "--out", tmp_path / "run", "--cache", "memory")
    require_one_line(vidgan(capsys, *train, "--workers", 2), "--workers", "--cache")
    assert not (tmp_path / "run").exists()
