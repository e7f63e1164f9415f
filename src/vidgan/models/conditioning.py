"""What a generator may be conditioned on besides noise and class."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Conditioning(NamedTuple):
    """From a frame encoder (states, skips) or from the level below (below); empty for plain synthesis."""

    states: Mapping[int, Tensor]
    """what recurrent states start from, by the side of their map (B C side side)"""
    skips: Mapping[int, Tensor]
    """encoder features to join, by side (B C side side); the same for all steps"""
    below: Tensor | None
    """the lower level's video (B T' 3 h w); T' divides T"""


NOTHING = Conditioning({}, {}, None)


def from_below(video: Tensor) -> Conditioning:
    """Condition on the lower level's video (B T' 3 h w)."""
    return Conditioning({}, {}, video)


def join(parts: Sequence[Conditioning]) -> Conditioning:
    """Conditioning of several groups of clips as that of one, in the same order."""
    first = parts[0]
    below = [part.below for part in parts if part.below is not None]
    return Conditioning(
        {side: torch.cat([part.states[side] for part in parts]) for side in first.states},
        {side: torch.cat([part.skips[side] for part in parts]) for side in first.skips},
        torch.cat(below) if below else None,
    )
