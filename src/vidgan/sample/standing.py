"""Standing statistics: run a generator many times and keep the average batch statistics per layer and step."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from vidgan.data.dataset import Dataset
from vidgan.data.loader import to_float
from vidgan.data.window import random_item
from vidgan.models.cascade import Chunk, FrozenLevel, by_label, chunks_of, inputs_of, stream_chunks
from vidgan.models.generator import NOTHING, Conditioning, Generator, from_below, join
from vidgan.nn.norm import Clock, RecordedStatistics
from vidgan.run.experiment import Experiment, StandingStatisticsSpec, window_of
from vidgan.sample.sampler import Scaled, latents, parts_of
from vidgan.seeds import derive, stream

Given = Callable[[int, Tensor], Iterable[Conditioning]]
"""(number of the batch, labels (B,)) -> what the generator is conditioned on, chunk by chunk."""


@torch.no_grad()
def standing_statistics(
    generator: Generator,
    chunks: Sequence[Chunk],
    labels: Sequence[int],
    spec: StandingStatisticsSpec,
    seed: int,
    given: Given,
    device: torch.device,
) -> dict[str, Tensor]:
    """Average means and variances of all normalisation layers (Luc et al. 2020, E.2; SSW-GAN, A).

    Args:
        chunks: the video that is generated; statistics are per step, so another length needs its own. Those of a
            chunk are taken at the frames that it keeps, whose moments its other frames make exact at every layer.
        labels: how often each class is drawn, over their sum. Our choice: as often as the data have it, since
            training takes labels from the data too; the papers do not say.

    Returns:
        ``{layer/mean, layer/variance}`` -> (T, C), float64.
    """
    recorded = [RecordedStatistics() for _ in chunks]
    ends = torch.tensor(labels).cumsum(0)
    for batch in range(spec.batches):
        rng = stream(seed, "settle", batch)
        z = spec.sigma * torch.randn((spec.clips, generator.spec.latent), generator=rng)
        tickets = torch.randint(0, int(ends[-1]), (spec.clips,), generator=rng)
        label = torch.bucketize(tickets, ends, right=True).to(device)
        embedded = generator.embed_label(label)
        z = z.to(device)
        for chunk, own, conditioning in zip(chunks, recorded, given(batch, label), strict=True):
            generator.generate(z, embedded, chunk.steps, own, conditioning, Clock(chunk.start))
    tables = [own.averages() for own in recorded]
    return {
        key: torch.cat([table[key][chunk.kept] for chunk, table in zip(chunks, tables, strict=True)])
        for key in tables[0]
    }


def statistics_of_level(
    experiment: Experiment,
    index: int,
    generator: Generator,
    below: Sequence[FrozenLevel],
    labels: Sequence[int],
    dataset: Dataset | None,
    spec: StandingStatisticsSpec,
    device: torch.device,
    chunk: int | None = None,
) -> dict[str, Tensor]:
    """Statistics of a level's generator for the whole length of its videos.

    The level's own passes are not cut into fewer clips, because their statistics are those of a whole batch; what it
    is conditioned on is made in parts. In time they are cut where ``chunk`` says so, which changes rounding alone.

    Args:
        below: the settled levels underneath; empty for the first.
        labels: how often each class is drawn; see :func:`vidgan.run.experiment.label_counts`.
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
    return standing_statistics(generator, chunks, labels, spec, derive(seed, "level", index), given, device)


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
    experiment: Experiment,
    below: Sequence[FrozenLevel],
    sigma: float,
    chunks: Sequence[Chunk],
    chunk: int | None,
) -> Given:
    seed = derive(experiment.training.seed, "settle")
    factor = experiment.levels[len(below)].frames // below[-1].spec.frames

    def made(numbers: range, label: Tensor) -> Iterator[Tensor]:
        def noise(level: int, dimension: int) -> Tensor:
            return latents(seed, level, numbers, dimension, Scaled(sigma=sigma)).to(label.device)

        return inputs_of(chunks, stream_chunks(below, noise, by_label(label), chunk), factor)

    def given(batch: int, label: Tensor) -> Iterator[Conditioning]:
        numbers = range(batch * len(label), (batch + 1) * len(label))
        parts = [made(numbers[rows], label[rows]) for rows in parts_of(len(numbers), experiment)]
        return (from_below(torch.cat(videos)) for videos in zip(*parts, strict=True))

    return given
