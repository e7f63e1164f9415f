"""What a training step works on: clips from the data and everything random, for this replica."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from vidgan.models.level import Game
from vidgan.models.views import Evidence
from vidgan.run.experiment import TrainingSpec
from vidgan.seeds import stream
from vidgan.train.replicas import Replicas
from vidgan.train.step import Draws, Micro

BelowSource = Callable[[Tensor, int, int, int], Tensor]
"""(labels, step, update, first global index) -> the lower level's video for fake clips (B T' 3 h w)."""


def data_indices(spec: TrainingSpec, replicas: Replicas, step: int) -> Iterator[Sequence[int]]:
    """Indices into the endless stream of items for every batch that is read from ``step`` on, this replica's share."""
    batch = step * spec.critic_updates
    while True:
        first = batch * spec.batch.global_batch + replicas.rank * spec.batch.share
        yield range(first, first + spec.batch.share)
        batch += 1


class Randomness:
    """Draws for the global batch, sliced by replica and cut into micro-batches; a function of (seed, level, step)."""

    def __init__(self, spec: TrainingSpec, index: int, level: Game, replicas: Replicas) -> None:
        self.spec = spec
        self.index = index
        self.level = level
        self.replicas = replicas

    def micros(
        self, step: int, update: int, real: Evidence, source: BelowSource | None, device: torch.device
    ) -> list[Micro]:
        """The micro-batches of update number ``update`` of ``step``; the generator's comes after the critics'."""
        batch = self.spec.batch
        clips = batch.global_batch
        place = (self.index, step, update)
        z = torch.randn((clips, self.level.latent), generator=self._stream("noise", place))
        z = self.replicas.slice(z)
        of_real = self._draws(self._stream("views of real", place))
        of_fake = self._draws(self._stream("views of fake", place))
        places = self.level.places(clips, self._stream("places", place))
        real = self.level.at(real, self.replicas.slice(places))
        micros = []
        for start in range(0, batch.share, batch.micro):
            rows = slice(start, start + batch.micro)
            part = real.rows(rows)
            first = self.replicas.rank * batch.share + start
            micros.append(
                Micro(
                    part,
                    z[rows].to(device, non_blocking=True),
                    _feed(source, part.label, step, update, first),
                    {name: draw[rows].to(device, non_blocking=True) for name, draw in of_real.items()},
                    {name: draw[rows].to(device, non_blocking=True) for name, draw in of_fake.items()},
                )
            )
        return micros

    def _draws(self, rng: torch.Generator) -> Draws:
        draws = self.level.draws(self.spec.batch.global_batch, rng)
        return {name: self.replicas.slice(draw) for name, draw in draws.items()}

    def _stream(self, purpose: str, place: tuple[int, ...]) -> torch.Generator:
        return stream(self.spec.seed, purpose, *place)


def _feed(
    source: BelowSource | None, label: Tensor, step: int, update: int, first: int
) -> Callable[[], Tensor | None]:
    if source is None:
        return lambda: None
    return lambda: source(label, step, update, first)
