"""The public API from a user's side, for type checkers alone: nothing here is run.

``make lint`` checks it in the repository, ``.ci/wheel`` against an installed wheel, each by ``mypy --strict``. A name
that a wheel does not export, a signature that has become untyped or a return type that has changed is an error here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import assert_type

import numpy as np
import torch
from torch import Tensor, nn

import vidgan
from vidgan.data import Dataset
from vidgan.models import Generator
from vidgan.nn import ConvGRU, Output, Step, Unit, UnitSpec
from vidgan.train.callbacks import TrainContext


def sample() -> None:
    model = vidgan.load("runs/demo", device="cpu")
    assert_type(model, vidgan.Model)
    video = model.sample(8, classes=["disc-right"], seed=0, sigma=0.8)
    assert_type(video, Tensor)
    assert_type(model.interpolate(points=3), Tensor)
    assert_type(model.predict(video[0, :2], count=4, label=0), Tensor)
    assert_type(model.class_names, tuple[str, ...])
    vidgan.save_video(video[0], "disc.mp4", fps=12)
    model.save(Path("saved"))


def build() -> None:
    experiment = vidgan.preset("dvd-gan-k600-12x64")
    assert_type(experiment, vidgan.Experiment)
    assert_type(vidgan.preset_names(), tuple[str, ...])
    generator, discriminators = vidgan.build(experiment, classes=600, seed=0)
    assert_type(generator, Generator)
    assert_type(discriminators, nn.ModuleDict)
    own = experiment.with_unit(MySpec())
    assert_type(own, vidgan.Experiment)


class Mine(Unit):
    """A unit outside the package is checked against the abstract class."""

    def bind(self, dtype: torch.dtype) -> Step:
        return lambda x, state: Output(x, (x,))


class MySpec(UnitSpec):
    """Its spec."""

    def build(self, inputs: int, hidden: int) -> Unit:
        return Mine(inputs, hidden)


class Printer(vidgan.Callback):
    """A callback of a user's own overrides what it wants, and is told if the signature is another."""

    def on_tick(self, trainer: TrainContext, scalars: Mapping[str, float]) -> None:
        print(trainer.state.steps, scalars)


class Clips(torch.utils.data.Dataset[tuple["np.typing.NDArray[np.uint8]", int]]):
    """A torch Dataset of (T H W 3) and a label, which is all that training asks for."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> tuple["np.typing.NDArray[np.uint8]", int]:
        return np.zeros((8, 24, 24, 3), np.uint8), index


def train() -> None:
    trainer = vidgan.Trainer(vidgan.preset("demo"), Clips(), callbacks=[Printer()])
    assert_type(trainer.step(), dict[str, Tensor])
    assert_type(trainer.fit(steps=2), bool)
    assert_type(vidgan.open_dataset("synthetic"), Dataset)


def layer(x: Tensor) -> Tensor:
    y: Tensor = ConvGRU(channels=8)(x)
    return y
