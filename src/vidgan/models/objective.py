"""Hinge objectives: how scores are reduced over time and critics, before or after the hinge."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from vidgan.spec import Spec

Scores = Sequence[Tensor]
"""One tensor per critic, (B T) or (B B T)."""


class Objective(Spec, ABC):
    """The game's two losses (Lim and Ye 2017), as a mean over the batch."""

    @abstractmethod
    def outputs(self, scores: Scores) -> list[Tensor]:
        """What goes into each hinge; the losses are means of each, summed."""

    def by_critic(self, scores: Scores) -> list[Tensor]:
        """What each critic adds to the hinges' inputs."""
        return list(scores)

    def critic_loss(self, real: Scores, fake: Scores) -> Tensor:
        """sum over outputs of E[relu(1 - real)] + E[relu(1 + fake)] (Clark et al. 2019, 2.2)."""
        reals, fakes = self.outputs(real), self.outputs(fake)
        losses = [
            torch.relu(1 - r).mean() + torch.relu(1 + f).mean() for r, f in zip(reals, fakes, strict=True)
        ]
        return torch.stack(losses).sum()

    def generator_loss(self, fake: Scores) -> Tensor:
        """-sum over outputs of E[fake]."""
        return -torch.stack([output.mean() for output in self.outputs(fake)]).sum()


class SumThenHinge(Objective):
    """Sum over a critic's frames or steps, then one hinge per critic (Clark et al. 2019, 3.1; Du 2020, Eq. 4.2).

    Our choice: the clip critic's steps are summed too; 3.1 and Eq. 4.2 say so of the frame critic, and of this one
    only that it has a score.
    """

    mean: bool = False
    """mean over frames or steps instead of the sum"""

    def outputs(self, scores: Scores) -> list[Tensor]:
        return self.by_critic(scores)

    def by_critic(self, scores: Scores) -> list[Tensor]:
        return [s.mean(-1) if self.mean else s.sum(-1) for s in scores]


class HingeEach(Objective):
    """A hinge per output, the mean per critic (Du 2020, Eq. 4.3; Luc et al. 2020, Eqs. 13 and 14).

    Our choice for several critics: their means are summed.
    """

    def outputs(self, scores: Scores) -> list[Tensor]:
        return list(scores)


class HingeJoined(Objective):
    """All critics' outputs joined, a hinge per output, one mean over samples and outputs (SSW-GAN, B)."""

    def outputs(self, scores: Scores) -> list[Tensor]:
        return [torch.cat([s.flatten(1) for s in scores], dim=1)]


ObjectiveSpec = SumThenHinge | HingeEach | HingeJoined
