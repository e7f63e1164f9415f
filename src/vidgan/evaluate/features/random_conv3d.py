"""A small fixed random network: distances that need no downloaded weights, and say so in their name."""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidgan.evaluate.features.formula import uniform
from vidgan.evaluate.features.network import check_video

WIDTHS = (3, 16, 32, 80)


class RandomConv3d(nn.Module):
    """Three random 3x3x3 convolutions; features (B, 128) are every channel's mean over time and space.

    ``network(video)`` takes float ``video`` (B T 3 H W) in [-1, 1], at least 1 frame of 8x8. The weights
    are :func:`~.formula.uniform` of fixed keys, so they are the same on every machine and for ever.
    Our choice throughout; what matters is that the features see texture, colour and motion, that no layer
    saturates, and that 16 frames of 64x64 cost 0.06 GMAC.
    """

    def __init__(self) -> None:
        super().__init__()
        for index, (inputs, outputs) in enumerate(itertools.pairwise(WIDTHS)):
            self.register_buffer(f"weight{index}", _weight(index, inputs, outputs))

    def forward(self, video: Tensor) -> Tensor:
        check_video(video, channels=3, steps=1, side=8, network="RandomConv3d")
        x = video.transpose(1, 2)
        means = []
        for index, stride in enumerate(((1, 2, 2), (2, 2, 2), (2, 2, 2))):
            # Edges are repeated, not blackened: a black border would look like content.
            x = F.pad(x, (1, 1, 1, 1, 1, 1), mode="replicate")
            x = F.relu(F.conv3d(x, self.get_buffer(f"weight{index}"), stride=stride))
            means.append(x.mean((2, 3, 4)))
        return torch.cat(means, dim=1)


def _weight(index: int, inputs: int, outputs: int) -> Tensor:
    """He-uniform filters; of each four, one sees no constant colour, two no still picture, one all."""
    shape = (outputs, inputs, 3, 3, 3)
    weight = torch.from_numpy(2 * uniform(f"random-conv3d/{index}", shape) - 1)
    weight[0::4] -= weight[0::4].mean((1, 2, 3, 4), keepdim=True)
    for still in (1, 2):
        weight[still::4] -= weight[still::4].mean(2, keepdim=True)
    weight /= weight.square().mean((1, 2, 3, 4), keepdim=True).sqrt()
    return (weight * math.sqrt(2 / (27 * inputs))).float()
