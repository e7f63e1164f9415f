"""What the CPU can do, where that decides how something is computed: faster, with other last digits."""

import functools
from collections.abc import Mapping

import torch


@functools.cache
def capabilities() -> Mapping[str, object]:
    """The processor's name (``cpu_name``) and instruction sets, as torch tells them; none before torch has told."""
    told = getattr(torch.cpu, "get_capabilities", None)
    return {} if told is None else told()


def has_matrix_unit() -> bool:
    """Whether bfloat16 is multiplied by AMX, which takes whole tiles; True where it is not known."""
    return capabilities().get("amx_bf16", True) is True


def multiplies_by_half() -> bool:
    """Whether torch's matrix products in float32, by MKL, use half of the width of AVX-512: on AMD's processors."""
    there = capabilities()
    return (
        torch.backends.mkldnn.is_available()
        and there.get("avx512_f") is True
        and str(there.get("cpu_name", "")).startswith("AMD")
    )
