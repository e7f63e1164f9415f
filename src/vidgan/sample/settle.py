"""Standing statistics: run a generator many times and keep the average batch statistics per layer and step."""

from collections.abc import Callable

import torch
from torch import Tensor

from vidgan.models.conditioning import Conditioning
from vidgan.models.generator import Generator
from vidgan.nn.statistics import RecordedStatistics
from vidgan.run.experiment import SettleSpec
from vidgan.seeds import stream

Given = Callable[[int, Tensor], Conditioning]
"""(number of the batch, labels (B,)) -> what the generator is conditioned on."""


@torch.no_grad()
def settle(
    generator: Generator,
    steps: int,
    classes: int,
    spec: SettleSpec,
    seed: int,
    given: Given,
    device: torch.device,
) -> dict[str, Tensor]:
    """Average means and variances of all normalisation layers (Luc et al. 2020, E.2; SSW-GAN, A).

    Args:
        steps: frames that are generated; statistics are per step, so another length needs its own.
        classes: labels are drawn uniformly from them. Our choice: the papers do not say.

    Returns:
        ``{layer/mean, layer/variance}`` -> (T, C), float64.
    """
    recorded = RecordedStatistics()
    for batch in range(spec.batches):
        rng = stream(seed, "settle", batch)
        z = spec.sigma * torch.randn((spec.clips, generator.spec.latent), generator=rng)
        label = torch.randint(0, classes, (spec.clips,), generator=rng).to(device)
        embedded = generator.embed_label(label)
        generator.generate(z.to(device), embedded, steps, recorded, given(batch, label))
    return recorded.averages()
