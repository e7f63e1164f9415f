"""Settling the levels of a run: what each generator is conditioned on while its statistics are taken."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from vidgan.data.dataset import Dataset
from vidgan.data.loader import to_float
from vidgan.data.pipeline import random_item
from vidgan.data.window import WindowSpec
from vidgan.models.cascade import Settled, by_label
from vidgan.models.chunks import Chunk, chunks_of, inputs_of, stream
from vidgan.models.conditioning import NOTHING, Conditioning, from_below, join
from vidgan.models.generator import Generator
from vidgan.run.experiment import Experiment, SettleSpec
from vidgan.sample.latents import Scaled, latents
from vidgan.sample.settle import Given, settle
from vidgan.sample.trained import parts_of
from vidgan.seeds import derive


def window_of(experiment: Experiment, index: int) -> WindowSpec:
    """What a level's training reads of the data: clips at the top level's size, the level's own frames.

    Where levels are trained together, whole videos: their windows are cut from these.
    """
    level = experiment.levels[index]
    frames = level.frames if experiment.joint else level.seen_frames
    return WindowSpec(size=experiment.size, frames=frames, stride=level.stride, flip=experiment.training.flip)


def whole_window(experiment: Experiment) -> WindowSpec:
    """A finished video's worth of the data: conditioning frames and all frames of the top level."""
    top = experiment.levels[-1]
    frames = top.context_frames + top.frames
    return WindowSpec(size=experiment.size, frames=frames, stride=top.stride)


def label_counts(experiment: Experiment, dataset: Dataset) -> tuple[int, ...]:
    """How often the data have each class, in lowest terms; a class-free experiment has one."""
    if not experiment.conditional:
        return (1,)
    found = Counter(dataset.info(index).label for index in range(len(dataset)))
    counts = [found[label] for label in range(experiment.classes)]
    return tuple(count // math.gcd(*counts) for count in counts)


def settle_table(
    experiment: Experiment,
    index: int,
    generator: Generator,
    below: Sequence[Settled],
    labels: Sequence[int],
    dataset: Dataset | None,
    spec: SettleSpec,
    device: torch.device,
    chunk: int | None = None,
) -> dict[str, Tensor]:
    """Statistics of a level's generator for the whole length of its videos.

    The level's own passes are not cut into fewer clips, because their statistics are those of a whole batch; what it
    is conditioned on is made in parts. In time they are cut where ``chunk`` says so, which changes rounding alone.

    Args:
        below: the settled levels underneath; empty for the first.
        labels: how often each class is drawn; see :func:`label_counts`.
        chunk: frames that levels above the first make at a time; None: all of them.
        dataset: where conditioning frames come from; only a frame-conditional level needs it.

    Raises:
        UserError: if a frame-conditional level has no dataset.
    """
    level = experiment.levels[index]
    seed = experiment.training.seed
    chunks = chunks_of(experiment.levels, index, chunk)
    given: Given
    if level.context_frames:
        assert dataset is not None, (
            "settling a frame-conditional level reads conditioning frames from the data"
        )
        given = _frames_of(experiment, index, generator, dataset, device)
    elif below:
        given = _videos_of(experiment, below, spec.sigma, chunks, chunk)
    else:
        given = _nothing
    return settle(generator, chunks, labels, spec, derive(seed, "level", index), given, device)


def _nothing(batch: int, label: Tensor) -> list[Conditioning]:
    return [NOTHING]


def _frames_of(
    experiment: Experiment, index: int, generator: Generator, dataset: Dataset, device: torch.device
) -> Given:
    window = window_of(experiment, index)
    seed = derive(experiment.training.seed, "settle on", index)

    def encoded(numbers: range) -> Conditioning:
        clips = torch.stack([torch.from_numpy(random_item(dataset, window, seed, n).frames) for n in numbers])
        return generator.encode(to_float(clips)[:, : experiment.levels[index].context_frames].to(device))

    def given(batch: int, label: Tensor) -> list[Conditioning]:
        numbers = range(batch * len(label), (batch + 1) * len(label))
        return [join([encoded(numbers[rows]) for rows in parts_of(len(numbers), experiment)])]

    return given


def _videos_of(
    experiment: Experiment, below: Sequence[Settled], sigma: float, chunks: Sequence[Chunk], chunk: int | None
) -> Given:
    seed = derive(experiment.training.seed, "settle")
    factor = experiment.levels[len(below)].frames // below[-1].spec.frames

    def made(numbers: range, label: Tensor) -> Iterator[Tensor]:
        def noise(level: int, dimension: int) -> Tensor:
            return latents(seed, level, numbers, dimension, Scaled(sigma=sigma)).to(label.device)

        return inputs_of(chunks, stream(below, noise, by_label(label), chunk), factor)

    def given(batch: int, label: Tensor) -> Iterator[Conditioning]:
        numbers = range(batch * len(label), (batch + 1) * len(label))
        parts = [made(numbers[rows], label[rows]) for rows in parts_of(len(numbers), experiment)]
        return (from_below(torch.cat(videos)) for videos in zip(*parts, strict=True))

    return given
