"""A critic: a view, a body and a head."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidgan.models.body import Body, BodySpec
from vidgan.models.heads import HeadSpec, Projection
from vidgan.models.views import ClipShape, Evidence, Frames, ViewSpec
from vidgan.spec import Spec, require


class CriticSpec(Spec):
    """What a critic sees, the network that judges it and how scores come out."""

    name: str
    """what logs call it"""
    view: ViewSpec = Frames()
    body: BodySpec = BodySpec()
    head: HeadSpec = Projection()
    mean_pool: bool = False
    """mean over positions before the head; the papers sum"""

    def validate(self) -> None:
        require(self.name.isidentifier(), f"a critic's name must be a plain word, got {self.name!r}")

    def build(self, classes: int, steps: int) -> "Critic":
        """A critic of ``classes`` classes; ``steps`` are those that its view shows, as :meth:`View.steps` says."""
        return Critic(self, classes, steps)


class Critic(nn.Module):
    """Batches of evidence -> scores per batch; one pass of the body for all of them."""

    def __init__(self, spec: CriticSpec, classes: int, steps: int) -> None:
        super().__init__()
        self.spec = spec
        self.body: Body = spec.body.build(spec.view.channels, steps)
        self.head = spec.head.build(spec.body.features, classes)

    def draw(self, clips: int, shape: ClipShape, rng: torch.Generator) -> Tensor:
        """The view's random numbers for ``clips`` clips."""
        return self.spec.view.draw(clips, shape, rng)

    def forward(
        self, batches: Sequence[Evidence], draws: Sequence[Tensor], dtype: torch.dtype | None = None
    ) -> list[Tensor]:
        """Scores of each batch, (B T) or (B B T), unreduced; arguments as those of :meth:`features`."""
        parts = self.features(batches, draws, dtype)
        return [self.head(part, batch.label) for part, batch in zip(parts, batches, strict=True)]

    def features(
        self, batches: Sequence[Evidence], draws: Sequence[Tensor], dtype: torch.dtype | None = None
    ) -> list[Tensor]:
        """What the head scores, of each batch (B T C).

        Args:
            batches: real, fake or both; the head sees each apart, so that they never mix.
            draws: the view's random numbers of each batch (B, m).
            dtype: what the body computes in; None is the clips' dtype.
        """
        views = [
            self.spec.view.apply(seen, draw.to(seen.clip.device))
            for seen, draw in zip(batches, draws, strict=True)
        ]
        seen = torch.cat(views) if len(views) > 1 else views[0]
        features = torch.nn.functional.leaky_relu(
            self.body(seen.to(dtype or seen.dtype))[-1], self.spec.body.slope
        )
        wide = torch.promote_types(features.dtype, torch.float32)
        reduce = torch.mean if self.spec.mean_pool else torch.sum
        h = reduce(features.to(wide), (3, 4))
        return list(h.split([len(batch.label) for batch in batches]))
