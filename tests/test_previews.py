"""Samples while a model trains: the same latents, classes and given frames at every step, side by side."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from runs import make_run
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.presets import preset
from vidgan.run.experiment import StandingStatisticsSpec, whole_window
from vidgan.run.tiny import tiny
from vidgan.sample import previews
from vidgan.sample.previews import preview_path, write_previews
from vidgan.sample.sampler import Sampler
from vidgan.train.state import TrainState


def shown(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])


@pytest.mark.slow
@pytest.mark.usefixtures("whole_previews")
@pytest.mark.parametrize("name", ["demo", "trivd-gan-fp-k600-16x64"])
def test_previews_show_the_same_clips_at_every_step(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny(preset(name))
    brief = StandingStatisticsSpec(batches=2, clips=3)
    training = experiment.training.replace(standing_statistics=brief)
    data = SyntheticDataset(
        SyntheticSpec(size=experiment.size, frames=whole_window(experiment).span, clips=6)
    )
    run = make_run(tmp_path / "run", experiment.replace(training=training), data.classes[:2])
    state = TrainState(run.experiment, 0, torch.device("cpu"))
    asked: list[list[int]] = []
    real = {kind: getattr(Sampler, kind) for kind in ("sample", "predict")}

    def sample(self: Sampler, numbers: range, labels: list[int], *more: object) -> object:
        asked.append(labels)
        return real["sample"](self, numbers, labels, *more)

    monkeypatch.setattr(previews.Sampler, "sample", sample)
    for step in (1, 2):
        write_previews(run, 0, state.generators(), step, (), [1, 1], data)
    one, two = (shown(preview_path(run, 0, step)) for step in (1, 2))
    assert np.array_equal(one, two)
    (level,) = run.experiment.levels
    size, across = level.size, level.size + 2
    assert one.shape[1:] == (4 * across - 2, 8 * across - 2, 3)
    if level.context_frames:
        # Each begins with the frames that the clip of its number has.
        for place in range(8):
            item = data.read(place % len(data), 0, level.context_frames * level.stride)[:: level.stride]
            assert item.shape[1:3] == (size, size)
            left = place * across
            assert np.array_equal(one[: level.context_frames, :size, left : left + size], item)
    else:
        assert asked == [[column % 2 for _ in range(4) for column in range(8)]] * 2
