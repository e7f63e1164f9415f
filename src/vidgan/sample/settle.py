"""Standing statistics: run a generator many times and keep the average batch statistics per layer and step."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from vidgan.models.chunks import Chunk
from vidgan.models.conditioning import Conditioning
from vidgan.models.generator import Generator
from vidgan.nn.statistics import Clock, RecordedStatistics
from vidgan.run.experiment import SettleSpec
from vidgan.seeds import stream

Given = Callable[[int, Tensor], Iterable[Conditioning]]
"""(number of the batch, labels (B,)) -> what the generator is conditioned on, chunk by chunk."""


@torch.no_grad()
def settle(
    generator: Generator,
    chunks: Sequence[Chunk],
    labels: Sequence[int],
    spec: SettleSpec,
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
