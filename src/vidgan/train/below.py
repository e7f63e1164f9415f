"""The lower levels as a source of training input: frozen, settled, generated on the fly."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vidgan.models.below import Below
from vidgan.models.cascade import Settled, by_label, sample_window
from vidgan.models.level import LevelSpec
from vidgan.run.experiment import TrainingSpec
from vidgan.seeds import stream
from vidgan.train.batches import BelowSource


def frozen_source(
    levels: Sequence[Settled], spec: LevelSpec, below: Below, training: TrainingSpec
) -> BelowSource:
    """Windows of the levels' videos for the fake clips of a level above them.

    Noise and the window's place are drawn per clip from its global index, so they do not depend on
    replicas and micro-batches.

    Args:
        levels: the settled levels underneath.
        spec: the level in training.
    """
    frames = spec.trained_frames // below.factor
    places = levels[-1].spec.frames - frames + 1
    batch = training.batch.global_batch

    def sample(label: Tensor, step: int, update: int, first: int) -> Tensor:
        rows = slice(first, first + len(label))

        def noise(level: int, dimension: int) -> Tensor:
            rng = stream(training.seed, "noise below", len(levels), level, step, update)
            return torch.randn((batch, dimension), generator=rng)[rows].to(label.device)

        rng = stream(training.seed, "window below", len(levels), step, update)
        start = torch.randint(0, places, (batch,), generator=rng)[rows]
        return sample_window(levels, noise, by_label(label), start, frames)

    return sample
