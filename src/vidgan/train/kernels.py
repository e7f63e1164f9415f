"""What a GPU's libraries are told before a training step: how float32 is multiplied, and how algorithms are chosen."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def training_kernels() -> Iterator[None]:
    """Within, whatever else the program has set:

    - convolutions in float32 take TF32 (10 bits of mantissa, where the papers' bfloat16 has 7): most of a step, and
      several times as fast;
    - matrix products in float32 are exact: heads, gains and biases, power iterations and the orthogonal penalty, which
      are float32 in a bfloat16 step too and cost little;
    - cuDNN times its algorithms for each new shape and keeps the fastest: a level has few shapes, and all its steps
      have the same.

    On a CPU, convolutions and algorithms stay as they are.
    """
    backends: Any = torch.backends
    cudnn, matmul = backends.cudnn, backends.cuda.matmul
    places = (cudnn.conv, cudnn.rnn, matmul, backends.mkldnn.matmul)
    before, benchmark, named = [place.fp32_precision for place in places], cudnn.benchmark, _by_older_names()
    if named is not None:
        # Those who read the older names, such as torch.compile, get an error where both do not say the same.
        torch.set_float32_matmul_precision("highest")
        cudnn.allow_tf32 = True
    cudnn.conv.fp32_precision, matmul.fp32_precision, cudnn.benchmark = "tf32", "ieee", True
    try:
        yield
    finally:
        if named is not None:
            torch.set_float32_matmul_precision(named[0])
            cudnn.allow_tf32 = named[1]
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision
        cudnn.benchmark = benchmark


def _by_older_names() -> tuple[str, bool] | None:
    """How matrix products and convolutions are set; None where the program has set them by newer names."""
    try:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    except RuntimeError:
        return None
