"""bfloat16 gradients of convolutions over clips of two steps, which torch 2.13 gets wrong on CPUs."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vidgan.nn.convolution import convolve_clip

Triple = tuple[int, int, int]


def gradients(steps: int, dtype: torch.dtype, kernel: Triple, stride: Triple, *, own: bool) -> list[Tensor]:
    """Output, and gradients of clip, kernel and bias, of values that bfloat16 holds exactly."""
    rng = torch.Generator().manual_seed(steps)

    # torch's kernel reads memory that nobody wrote, which is zero, and so right, in a young process.
    del [torch.full((1 << n,), torch.nan) for n in range(8, 22) for _ in range(4)][:]

    def drawn(*shape: int) -> Tensor:
        values = torch.randn(shape, generator=rng)
        return values.bfloat16().to(dtype).requires_grad_()

    clip, weight, bias = drawn(2, 32, steps, 8, 8), drawn(32, 32, *kernel), drawn(32)
    convolve = convolve_clip if own else F.conv3d
    made = convolve(clip, weight, bias, stride, (1, (kernel[1] - 1) // 2, (kernel[2] - 1) // 2))
    above = torch.randn(made.shape, generator=rng).bfloat16().to(dtype)
    return [made, *torch.autograd.grad(made, (clip, weight, bias), above)]


@pytest.mark.parametrize(
    ("kernel", "stride"),
    [
        ((3, 3, 3), (1, 1, 1)),
        ((3, 1, 1), (1, 1, 1)),
        ((3, 4, 4), (1, 2, 2)),  # folded with the change of size
        ((4, 4, 4), (2, 2, 2)),  # and of length
    ],
)
@pytest.mark.parametrize("steps", [2, 3, 4])
def test_gradients_are_those_of_float64(steps: int, kernel: Triple, stride: Triple) -> None:
    """Within bfloat16's rounding; plain torch's kernel gradient is NaN at two steps, but for (4, 4, 4)."""
    exact = gradients(steps, torch.float64, kernel, stride, own=False)
    for found, expected in zip(
        gradients(steps, torch.bfloat16, kernel, stride, own=True), exact, strict=True
    ):
        assert found.shape == expected.shape
        assert (found.double() - expected).norm() < 0.02 * expected.norm()
