"""Randomness is an argument: every draw derives from (seed, purpose, step, global index).

A stream never depends on the number of devices, on micro-batches or on what was drawn before it, so a
run can be resumed, split over processes or replayed from any step.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive(seed: int, purpose: str, *indices: int) -> int:
    """A 63-bit seed for one ``purpose`` and its ``indices`` (step, clip, ...), stable across versions."""
    text = "/".join([str(seed), purpose, *map(str, indices)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def stream(seed: int, purpose: str, *indices: int) -> torch.Generator:
    """A CPU generator for one ``purpose`` and its ``indices``."""
    # Here, so that the processes that read clips need not load torch.
    import torch

    return torch.Generator().manual_seed(derive(seed, purpose, *indices))
