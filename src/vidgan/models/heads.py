"""From a critic's features to scores: projection and mixed projection. Scores are not reduced here."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from vidgan.nn.layers import Embedding, Linear
from vidgan.spec import Spec


class Head(nn.Module, ABC):
    """Features (B T C) of one batch, real or fake, and labels (B,) -> scores (..., T)."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.score = Linear(features, 1)
        self.embed = Embedding(classes, features)

    def parts(self, h: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The class-free score r_x and the class score r_xy, both (B T), in float32 or wider."""
        h = h.to(torch.promote_types(h.dtype, torch.float32))
        free = self.score(h).squeeze(2)
        return free, torch.einsum("btc,bc->bt", h, self.embed(label))

    @abstractmethod
    def forward(self, h: Tensor, label: Tensor) -> Tensor: ...


class Projection(Spec):
    """One score per frame or step: linear(h) + e(y) . h (Clark et al. 2019, A.3)."""

    def build(self, features: int, classes: int) -> Head:
        return ProjectionHead(features, classes)


class MixedProjection(Spec):
    """o[b, b', t] = r_x[b, t] + sum over t' of r_xy[b', t'] (Luc et al. 2020, Eq. 15), within one half-batch."""

    def build(self, features: int, classes: int) -> Head:
        return MixedProjectionHead(features, classes)


HeadSpec = Projection | MixedProjection


class ProjectionHead(Head):
    """Scores (B T)."""

    def forward(self, h: Tensor, label: Tensor) -> Tensor:
        free, classy = self.parts(h, label)
        return free + classy


class MixedProjectionHead(Head):
    """Scores (B B T). B is one replica's micro-batch, so accumulating gradients changes the loss."""

    def forward(self, h: Tensor, label: Tensor) -> Tensor:
        free, classy = self.parts(h, label)
        return free[:, None, :] + classy.sum(1)[None, :, None]
