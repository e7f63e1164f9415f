"""The pixel loss of Du 2020, 4.5: keeps what is generated as bright as the data."""

from torch import Tensor

from vidgan.spec import Spec, require


class PixelLoss(Spec):
    """The "Average Pixel Value Loss", added to the generator's from a step on (Du 2020, Eq. 4.1).

    The thesis leaves it out of its final model: it delays the dark videos and does not end them.
    """

    weight: float
    """alpha"""
    start: int = 50_000
    """generator updates before it begins"""
    of_means: bool = False
    """compare mean pixel values, as the loss is named, instead of pixels, as its formula is written"""

    def validate(self) -> None:
        require(self.weight > 0, f"weight must be positive, got {self.weight}; None leaves the loss out")
        require(self.start >= 0, f"start must be at least 0, got {self.start}")

    def loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """alpha * mean |x - G(z)| of clips (B T 3 H W) in [-1, 1], over pixels or of their means."""
        real = real.to(fake.dtype)
        if self.of_means:
            # Our choice: means over the batch, which Figure 4.5 plots. Those of single clips would have to agree with
            # clips that were picked at random.
            return self.weight * (real.mean() - fake.mean()).abs()
        # Our choice: of values in [-1, 1], as the generator makes them. In the [0, 1] of Figure 4.5 it were half of it.
        return self.weight * (real - fake).abs().mean()
