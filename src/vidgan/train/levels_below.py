"""The frozen levels below the one that is trained, which make what its fake clips are made from."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidgan.models.cascade import FrozenLevel, by_label, sample_window
from vidgan.run.experiment import Experiment
from vidgan.run.transfer import sent
from vidgan.sample.passes import Trained, at_once
from vidgan.sample.sampler import parts_of
from vidgan.seeds import stream


class BelowSource(ABC):
    """Makes what the fake clips of a training step are made from."""

    @property
    def generators(self) -> tuple[nn.Module, ...]:
        """Whose weights stay as they are as long as they feed the level that is trained."""
        return ()

    @abstractmethod
    def __call__(self, label: Tensor, step: int, update: int, first: int) -> Tensor:
        """The lower level's videos (B T' 3 h w) for the fake clips of an update.

        Args:
            label: their classes (B,).
            step: the number of the training step.
            update: the number of the update within it.
            first: place of the first clip in the global batch.
        """


class LevelsBelow(BelowSource):
    """Makes windows of the top frozen level's videos for fake clips.

    Noise and the window's place are drawn per clip from its global index. Videos are made in the dtype of training, in
    parts of as many clips as fit where training by so many processes fits.

    Args:
        experiment: whose next level is trained.
        levels: one or more, from the first.
        processes: that share every batch.
    """

    def __init__(self, experiment: Experiment, levels: Sequence[FrozenLevel], processes: int = 1) -> None:
        self._training, self._levels = experiment.training, tuple(levels)
        index, low = len(levels), levels[-1].spec
        high = experiment.levels[index]
        self._frames = high.trained_frames * low.frames // high.frames
        self._batch = experiment.batch_of(index).global_batch
        self._most = at_once(Trained(experiment, processes), [level.spec for level in levels])

    @property
    def generators(self) -> tuple[nn.Module, ...]:
        return tuple(level.generator for level in self._levels)

    def __call__(self, label: Tensor, step: int, update: int, first: int) -> Tensor:
        rows = parts_of(len(label), self._most)
        parts = [self._made(label[part], step, update, first + part.start) for part in rows]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _made(self, label: Tensor, step: int, update: int, first: int) -> Tensor:
        seed, levels, batch = self._training.seed, self._levels, self._batch
        rows = slice(first, first + len(label))

        def noise(level: int, dimension: int) -> Tensor:
            rng = stream(seed, "noise below", len(levels), level, step, update)
            return torch.randn((batch, dimension), generator=rng)[rows]

        places = levels[-1].spec.frames - self._frames + 1
        rng = stream(seed, "window below", len(levels), step, update)
        start = torch.randint(0, places, (batch,), generator=rng)[rows]
        drawn = [noise(index, level.spec.generator.latent) for index, level in enumerate(levels)]
        start, *drawn = sent([start, *drawn], label.device)
        return sample_window(
            levels, lambda level, _: drawn[level], by_label(label), start, self._frames, self._training.dtype
        )


def levels_below(
    experiment: Experiment, levels: Sequence[FrozenLevel], processes: int = 1
) -> LevelsBelow | None:
    """What makes the videos below; None where there are no levels there."""
    return LevelsBelow(experiment, levels, processes) if levels else None
