"""The variety loss: of several futures of the same frames, the one nearest to what really followed counts.

Without given frames, the samples of a clip's class stand for its futures: each training clip then draws the nearest of
them nearer, by which a small dataset is learnt by heart.
"""

import torch
from torch import Tensor

from vidgan.spec import Spec, require


class Variety(Spec):
    """Added to the generator's loss, so that different noise gives different futures.

    Our choice: the "variety loss" of Gupta et al. 2018 (Social GAN), on pixels and with the mean absolute difference
    of Du 2020, Eq. 4.1; none of the five papers has it. A future that is not the nearest is free to be another.
    """

    weight: float
    """of the loss, beside the critics' part"""
    futures: int = 4
    """futures of each clip among which the nearest is taken; a batch holds so many times fewer clips"""

    def validate(self) -> None:
        require(self.weight > 0, f"weight must be positive, got {self.weight}; None leaves the loss out")
        require(self.futures >= 1, f"futures must be at least 1, got {self.futures}")

    def rows(self, clips: int) -> Tensor:
        """Which real clip each of ``clips`` fakes continues, int64 (clips,): every one so many times in a row."""
        return torch.arange(clips) // self.futures * self.futures

    def loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """weight * the mean over real clips of the least mean |x - G(z)| among their futures.

        Args:
            real, fake: clips (B T 3 H W) in [-1, 1]; those of the same real clip in a row, as :meth:`rows` has them.
        """
        apart = (real.to(fake.dtype) - fake).abs().mean((1, 2, 3, 4))
        return self.weight * torch.stack([futures.min() for futures in apart.split(self.futures)]).mean()
