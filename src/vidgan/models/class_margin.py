"""Critics that also learn to tell the classes of real clips apart, by a margin. No paper has this term."""

import torch
from torch import Tensor

from vidgan.models.heads import Head
from vidgan.spec import Spec, require


class ClassMargin(Spec):
    """A loss of the critics on real clips.

    Our choice: the papers' critics never see a real clip under another class, and learn late what tells classes apart.
    What it asks for is not all to be had, as single frames do not tell all motions; the hinge lives with the rest.
    """

    weight: float
    """weight of the loss beside the hinge"""
    margin: float = 0.25
    """how much nearer a clip is to be to its own class than to any other, in units of a score"""

    def validate(self) -> None:
        require(self.weight > 0, f"weight must be positive, got {self.weight:g}; None leaves the loss out")
        require(self.margin > 0, f"margin must be positive, got {self.margin:g}")

    def loss(self, head: Head, h: Tensor, label: Tensor) -> Tensor:
        """Mean over clips and other classes y' of relu(margin - (e(y) - e(y')) . h), with the mean of h over T.

        Args:
            h: features of real clips (B T C).
            label: their classes (B,).
        """
        classes = head.embed(torch.arange(head.embed.weight.shape[0], device=label.device))
        nearness = h.to(torch.promote_types(h.dtype, torch.float32)).mean(1) @ classes.T
        short = torch.relu(self.margin - (nearness.gather(1, label[:, None]) - nearness))
        others = torch.ones_like(short).scatter(1, label[:, None], 0)
        return (short * others).sum() / others.sum().clamp(min=1)
