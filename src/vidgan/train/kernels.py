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

    Nothing of it concerns a CPU.
    """
    cudnn: Any = torch.backends.cudnn
    conv, matmul = cudnn.conv, torch.backends.cuda.matmul
    before = conv.fp32_precision, matmul.fp32_precision, cudnn.benchmark
    conv.fp32_precision, matmul.fp32_precision, cudnn.benchmark = "tf32", "ieee", True
    try:
        yield
    finally:
        conv.fp32_precision, matmul.fp32_precision, cudnn.benchmark = before
