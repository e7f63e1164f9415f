"""What generator and discriminators minimise: hinge objectives, pixel loss, variety, class margin, orthogonality."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vidgan.bounds import Count, Number, Positive, Real
from vidgan.models.discriminator import Head
from vidgan.nn.layers import Embedding, WeightLayer
from vidgan.spec import Spec, require

Scores = Sequence[Tensor]
"""One tensor per discriminator, (B T) or (B B T)."""


class ObjectiveSpec(Spec, ABC):
    """The hinge losses of discriminators and generator (Lim and Ye 2017), as a mean over the batch."""

    @property
    def absolute(self) -> bool:
        """Whether 0 divides what a discriminator takes for real from what it takes for fake."""
        return True

    def reduced(self, values: Tensor) -> Tensor:
        """A hinge's values, or scores, as one number."""
        return values.mean()

    @abstractmethod
    def outputs(self, scores: Scores) -> list[Tensor]:
        """What goes into each hinge; the losses are means of each, summed."""

    def by_discriminator(self, scores: Scores) -> list[Tensor]:
        """What each discriminator adds to the hinges' inputs."""
        return list(scores)

    def discriminator_loss(self, real: Scores, fake: Scores) -> Tensor:
        """sum over outputs of E[relu(1 - real)] + E[relu(1 + fake)] (Clark et al. 2019, 2.2)."""
        reals, fakes = self.outputs(real), self.outputs(fake)
        losses = [
            self.reduced(torch.relu(1 - r)) + self.reduced(torch.relu(1 + f))
            for r, f in zip(reals, fakes, strict=True)
        ]
        return torch.stack(losses).sum()

    def generator_loss(self, fake: Scores) -> Tensor:
        """-sum over outputs of E[fake]."""
        return -torch.stack([self.reduced(output) for output in self.outputs(fake)]).sum()


class SumThenHingeSpec(ObjectiveSpec):
    """Sum over a discriminator's frames or steps, then one hinge per discriminator (Clark et al. 2019, 3.1;
    Du 2020, Eq. 4.2).

    Our choice: the clip discriminator's steps are summed too; 3.1 and Eq. 4.2 say so of the frame
    discriminator, and of this one only that it has a score.
    """

    mean: bool = False
    """mean over frames or steps instead of the sum"""

    def outputs(self, scores: Scores) -> list[Tensor]:
        return self.by_discriminator(scores)

    def by_discriminator(self, scores: Scores) -> list[Tensor]:
        return [s.mean(-1) if self.mean else s.sum(-1) for s in scores]


class RelativeHingeSpec(SumThenHingeSpec):
    """One hinge on how far a real clip is ahead of a fake one of its class (Jolicoeur-Martineau 2018, RpGAN).

    A fake clip has to be as good as the real clip that it stands beside, not better than zero: a generator that makes
    a part of the data alone is behind on the rest (Huang et al. 2024). None of the five papers has it.

    Our choice: a margin of 2, so that the loss is bounded by that of two hinges, relu(1 - real) + relu(1 + fake), and
    equal to it while both scores are within their margins. The fake clips of an update take the classes of its real
    ones, in order. Scores have no zero: only their differences count.
    """

    @property
    def absolute(self) -> bool:
        return False

    def discriminator_loss(self, real: Scores, fake: Scores) -> Tensor:
        """sum over discriminators of E[relu(2 - (real - fake))], clip by clip."""
        pairs = zip(self.outputs(real), self.outputs(fake), strict=True)
        return torch.stack([self.reduced(torch.relu(2 - (r - f))) for r, f in pairs]).sum()


class HingeEachSpec(ObjectiveSpec):
    """A hinge per output, the mean per discriminator (Du 2020, Eq. 4.3; Luc et al. 2020, Eqs. 13 and 14).

    Our choice for several discriminators: their means are summed.
    """

    total: bool = False
    """sum over frames or steps instead of the mean (Du 2020, 4.5: so the frame discriminator outweighs the other, and
    samples have "almost no movement")"""

    def reduced(self, values: Tensor) -> Tensor:
        return values.sum(-1).mean() if self.total else values.mean()

    def outputs(self, scores: Scores) -> list[Tensor]:
        return list(scores)


class HingeJoinedSpec(ObjectiveSpec):
    """All discriminators' outputs joined, a hinge per output, one mean over samples and outputs (SSW-GAN, B)."""

    def outputs(self, scores: Scores) -> list[Tensor]:
        return [torch.cat([s.flatten(1) for s in scores], dim=1)]


class PixelLossSpec(Spec):
    """The "Average Pixel Value Loss", added to the generator's from a step on (Du 2020, Eq. 4.1).

    The thesis leaves it out of its final model: it delays the dark videos and does not end them.
    """

    weight: Real
    """alpha"""
    start: Number = 50_000
    """generator updates before it begins"""
    of_means: bool = False
    """compare mean pixel values, as the loss is named, instead of pixels, as its formula is written"""

    def validate(self) -> None:
        require(self.weight > 0, f"weight must be positive, got {self.weight}; None leaves the loss out")

    def loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """alpha * mean |x - G(z)| of clips (B T 3 H W) in [-1, 1], over pixels or of their means."""
        real = real.to(fake.dtype)
        if self.of_means:
            # Our choice: means over the batch, which Figure 4.5 plots. Those of single clips would have to agree with
            # clips that were picked at random.
            return self.weight * (real.mean() - fake.mean()).abs()
        # Our choice: of values in [-1, 1], as the generator makes them. In the [0, 1] of Figure 4.5 it were half of it.
        return self.weight * (real - fake).abs().mean()


class VarietySpec(Spec):
    """Added to the generator's loss, so that different noise gives different futures.

    Our choice: the "variety loss" of Gupta et al. 2018 (Social GAN), on pixels and with the mean absolute difference
    of Du 2020, Eq. 4.1; none of the five papers has it. A future that is not the nearest is free to be another.

    Without given frames, the samples of a clip's class stand for its futures: the nearest of them is drawn nearer to
    each training clip, and a small dataset is learnt by heart.
    """

    weight: Real
    """of the loss, beside the discriminators' part"""
    futures: Count = 4
    """futures of each clip among which the nearest is taken; a batch holds so many times fewer clips"""

    def validate(self) -> None:
        require(self.weight > 0, f"weight must be positive, got {self.weight}; None leaves the loss out")

    def rows(self, clips: int, device: torch.device | None = None) -> Tensor:
        """Which real clip each of ``clips`` fakes continues, int64 (clips,): every one so many times in a row."""
        return torch.arange(clips, device=device) // self.futures * self.futures

    def loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """weight * the mean over real clips of the least mean |x - G(z)| among their futures.

        Args:
            real: clips (B T 3 H W) in [-1, 1], a clip repeated for each of its futures in a row, as ``rows`` has them.
            fake: its futures in the same order.
        """
        apart = (real.to(fake.dtype) - fake).abs().mean((1, 2, 3, 4))
        return self.weight * torch.stack([futures.min() for futures in apart.split(self.futures)]).mean()


class ClassMarginSpec(Spec):
    """A loss of the discriminators on real clips.

    Our choice: the papers' discriminators never see a real clip under another class, and learn late what
    tells classes apart. What it asks for is not all to be had, as single frames do not tell all motions; the
    hinge lives with the rest.
    """

    weight: Real
    """weight of the loss beside the hinge"""
    margin: Positive = 0.25
    """how much nearer a clip is to be to its own class than to any other, in units of a score"""
    only: tuple[str, ...] = ()
    """the discriminators that learn it, by name; none named: all"""

    def validate(self) -> None:
        require(self.weight > 0, f"weight must be positive, got {self.weight:g}; None leaves the loss out")

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


def orthogonal_penalty(module: nn.Module) -> Tensor:
    """sum over weights of ||W W^T * (1 - I)||^2 (Brock et al. 2018, Eq. 3; Luc et al. 2020, E.2).

    W is the weight flattened to (out, rest), before spectral normalisation.
    Our choice: class embeddings are left out, as BigGAN's public code leaves its shared embedding.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, WeightLayer)]
    weights = [layer.weight.flatten(1) for layer in layers if not isinstance(layer, Embedding)]
    penalty: Tensor = _OffDiagonal.apply(*weights)
    return penalty


class _OffDiagonal(torch.autograd.Function):
    """sum of ||W W^T * (1 - I)||^2 over matrices W (out, rest), each by the smaller of its two Gram matrices.

    The first linear layer of a generator has many times more rows than columns (61,440 by 256 at width 120), and
    W W^T would take more memory than all activations. ||W W^T|| = ||W^T W||, of which the squared lengths of the rows
    are taken off.

    The gradient is 4 (W W^T * (1 - I)) W; plain autograd makes three products of it, and a score of small steps.
    """

    @staticmethod
    def forward(ctx: Any, *weights: Tensor) -> Tensor:
        grams, squares, more, less = [], [], [], []
        for w in weights:
            if w.shape[0] > w.shape[1]:
                gram, square = w.t() @ w, w.square().sum(dim=1)
                less.append(square)
            else:
                gram, square = (w @ w.t()).fill_diagonal_(0), None
            more.append(gram)
            grams.append(gram)
            squares.append(square)
        ctx.squares = squares
        ctx.save_for_backward(*weights, *grams)
        total = torch.stack(torch._foreach_norm(more)).square().sum()
        return total - torch.stack(torch._foreach_norm(less)).square().sum() if less else total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        count = len(ctx.squares)
        made = []
        for w, gram, square in zip(
            ctx.saved_tensors[:count], ctx.saved_tensors[count:], ctx.squares, strict=True
        ):
            if square is None:
                made.append(gram @ w)
            else:
                made.append((w @ gram).addcmul_(square[:, None], w, value=-1))
        torch._foreach_mul_(made, 4 * gradients[0])
        return tuple(made)
