"""A training step of a public PyTorch DVD-GAN, as its trainer makes it, timed: a process of bench_peer.py.

The checkout has ``Module.Generator.Generator(in_dim, latent_dim, n_class, ch, n_frames)``, which makes (B T 3 H W) of
noise and labels, and ``Module.Discriminators`` with ``SpatialDiscriminator(chn, n_class)`` and
``TemporalDiscriminator(chn, n_class)``, which score (B T 3 H W) with labels.
"""

import sys
import types
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from step_process import answer

FRAMES, SIDE, SEEN, NOISE, CLASSES = 12, 64, 8, 120, 600
"""as dvd-gan-k600-12x64 has them; SEEN frames go to the frame discriminator"""
UPDATES = 2
"""of the discriminators, per update of the generator"""


class Peer(NamedTuple):
    """Its networks and their optimisers."""

    generator: nn.Module
    spatial: nn.Module
    temporal: nn.Module

    @classmethod
    def load(cls, checkout: str, width: int) -> "Peer":
        """Networks of the code in ``checkout``, on the CPU."""
        sys.path.insert(0, checkout)
        # It imports a logger that a step does not use, and moves tensors to a GPU that is not there.
        sys.modules.setdefault("tensorboardX", types.SimpleNamespace(SummaryWriter=None))  # type: ignore[arg-type]
        if not torch.cuda.is_available():
            Tensor.cuda = nn.Module.cuda = lambda self, *_: self  # type: ignore[assignment,method-assign]
        from Module.Discriminators import (  # type: ignore[import-not-found]
            SpatialDiscriminator,
            TemporalDiscriminator,
        )
        from Module.Generator import Generator  # type: ignore[import-not-found]

        return cls(
            Generator(NOISE, latent_dim=4, n_class=CLASSES, ch=width, n_frames=FRAMES),
            SpatialDiscriminator(chn=width, n_class=CLASSES),
            TemporalDiscriminator(chn=width, n_class=CLASSES),
        )


def some_frames(video: Tensor) -> Tensor:
    """SEEN frames at random, in order."""
    return video[:, torch.randperm(FRAMES)[:SEEN].sort().values]


def smaller(video: Tensor) -> Tensor:
    """Frames of half the size."""
    return F.avg_pool2d(video.flatten(0, 1), 2).unflatten(0, video.shape[:2])


class Step:
    """Two updates of the discriminators and one of the generator, on made-up clips."""

    def __init__(self, peer: Peer, batch: int) -> None:
        self.peer = peer
        self.real = torch.rand((batch, FRAMES, 3, SIDE, SIDE)) * 2 - 1
        self.label = torch.randint(CLASSES, (batch,))
        rates = (5e-5, 5e-4, 5e-4)
        self.optimisers = [
            torch.optim.Adam(network.parameters(), rate, betas=(0.0, 0.9))
            for network, rate in zip(peer, rates, strict=True)
        ]

    def __call__(self) -> None:
        to_generator, *to_discriminators = self.optimisers
        for _ in range(UPDATES):
            label = torch.randint(CLASSES, self.label.shape)
            with torch.no_grad():
                fake = self.fake(label)
            for optimiser, loss in zip(to_discriminators, self.losses(fake, label), strict=True):
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        label = torch.randint(CLASSES, self.label.shape)
        fake = self.fake(label)
        loss = -self.peer.spatial(some_frames(fake), label).mean()
        loss = loss - self.peer.temporal(smaller(fake), label).mean()
        to_generator.zero_grad()
        loss.backward()
        to_generator.step()

    def fake(self, label: Tensor) -> Tensor:
        """Clips of these labels (B T 3 H W)."""
        video: Tensor = self.peer.generator(torch.randn((len(label), NOISE)), label)
        assert video.shape == self.real.shape, f"its videos are {tuple(video.shape)}"
        return video

    def losses(self, fake: Tensor, label: Tensor) -> list[Tensor]:
        """The hinge of each discriminator."""
        pairs = (
            (self.peer.spatial, some_frames(self.real), some_frames(fake)),
            (self.peer.temporal, smaller(self.real), smaller(fake)),
        )
        return [
            F.relu(1 - network(real, self.label)).mean() + F.relu(1 + network(made, label)).mean()
            for network, real, made in pairs
        ]


if __name__ == "__main__":
    place, wide, clips, count = sys.argv[1:]
    torch.set_num_threads(int(count))
    answer(Step(Peer.load(place, int(wide)), int(clips)))
