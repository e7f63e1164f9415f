"""Convolutions as they are written and as they are computed, with and without their change of size.

Where vidgan.nn.convolution draws its lines comes from these tables: a ratio below 1 says that the other way is faster.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from interleaved import Case, Settings, interleave, options, show, show_machine, timed
from vidgan.nn.convolution import convolution_like, downsampling_kernel, nearest_upsample, upsampling_kernel
from vidgan.nn.winograd import POOLED, UPSAMPLED, winograd
from vidgan.seeds import stream

Operation = Callable[[Tensor, Tensor], Tensor]
"""Frames and a 3x3 kernel in float32 -> frames, in the dtype of the frames."""


class ConvolutionSettings(Settings):
    """Which layers."""

    only: list[str]


class Size(NamedTuple):
    """A layer's frames and channels."""

    frames: int
    inputs: int
    outputs: int
    side: int
    """of the map, or of the smaller one"""


CHANGES = (
    Size(24, 64, 64, 4),
    Size(24, 64, 64, 8),
    Size(24, 64, 64, 16),
    Size(24, 64, 32, 32),
    Size(8, 512, 512, 4),
    Size(8, 512, 512, 8),
    Size(4, 512, 512, 16),
)
SMALL = (
    Size(2, 256, 256, 4),
    Size(2, 1024, 1024, 4),
    Size(16, 64, 64, 3),
    Size(32, 256, 256, 4),
    Size(48, 256, 256, 2),
)
WIDE = (
    Size(24, 128, 128, 16),
    Size(24, 192, 192, 16),
    Size(24, 256, 256, 16),
    Size(32, 256, 256, 4),
    Size(32, 256, 256, 8),
    Size(24, 512, 512, 16),
    Size(24, 1024, 1024, 8),
    Size(96, 1024, 1024, 4),
)


def enlarged(x: Tensor, weight: Tensor) -> Tensor:
    """Nearest upsampling, then the convolution."""
    return F.conv2d(nearest_upsample(x), weight.to(x.dtype), padding=1)


def enlarged_in_one(x: Tensor, weight: Tensor) -> Tensor:
    """Both by one kernel, which is made each time."""
    return F.conv_transpose2d(x, upsampling_kernel(weight).to(x.dtype), stride=2, padding=1)


def shrunk(x: Tensor, weight: Tensor) -> Tensor:
    """The convolution, then average pooling."""
    return F.avg_pool2d(F.conv2d(x, weight.to(x.dtype), padding=1), 2)


def shrunk_in_one(x: Tensor, weight: Tensor) -> Tensor:
    """Both by one kernel, which is made each time."""
    return F.conv2d(x, downsampling_kernel(weight).to(x.dtype), stride=2, padding=1)


def plain(x: Tensor, weight: Tensor) -> Tensor:
    """The convolution by torch."""
    return F.conv2d(x, weight.to(x.dtype), padding=1)


def chosen(x: Tensor, weight: Tensor) -> Tensor:
    """The convolution as vidgan computes it."""
    return convolution_like(x, weight.to(x.dtype), 1)(x, None)


def by_winograd(x: Tensor, weight: Tensor) -> Tensor:
    """The convolution by Winograd's algorithm, the transform of the kernel included."""
    return winograd(x, weight, None)


def enlarged_by_winograd(x: Tensor, weight: Tensor) -> Tensor:
    """Nearest upsampling as well."""
    return winograd(x, weight, None, UPSAMPLED)


def shrunk_by_winograd(x: Tensor, weight: Tensor) -> Tensor:
    """Average pooling as well."""
    return winograd(x, weight, None, POOLED)


def kernel(inputs: int, outputs: int, device: torch.device) -> Tensor:
    """Random 3x3 weights in float32."""
    return torch.randn((outputs, inputs, 3, 3), generator=stream(0, "kernel")).to(device) / inputs


def compare(
    title: str, ways: Sequence[tuple[str, Operation]], x: Tensor, weight: Tensor, settings: Settings
) -> None:
    """Forward and backward passes of each of ``ways``."""
    x.requires_grad_()
    weight.requires_grad_()

    def passes(way: Operation) -> Callable[[], None]:
        direction = torch.ones_like(way(x, weight))

        def once() -> None:
            x.grad = weight.grad = None
            way(x, weight).backward(direction)

        return once

    cases = [Case(name, timed(passes(way), settings.device, time.process_time)) for name, way in ways]
    show(title, interleave(cases, settings.rounds))


def main(settings: ConvolutionSettings) -> None:
    show_machine(settings.device)
    for dtype in (torch.float32, torch.bfloat16):
        kind = str(dtype).removeprefix("torch.")

        def drawn(*shape: int, dtype: torch.dtype = dtype) -> Tensor:
            x = torch.randn(shape, generator=stream(0, "frames")).to(settings.device, dtype)
            return x.contiguous(memory_format=torch.channels_last)

        for size in CHANGES if "changes" in settings.only else ():
            frames, inputs, outputs, side = size
            weight = kernel(inputs, outputs, settings.device)
            name = f"{kind}, {frames} frames, {inputs} to {outputs} channels, {side} and {2 * side} cells"
            ways = (("upsampling, convolution", enlarged), ("in one", enlarged_in_one))
            compare(name, ways, drawn(frames, inputs, side, side), weight, settings)
            ways = (("convolution, pooling", shrunk), ("in one", shrunk_in_one))
            compare(name, ways, drawn(frames, inputs, 2 * side, 2 * side), weight, settings)
        for size in SMALL if "small" in settings.only else ():
            frames, inputs, outputs, side = size
            weight = kernel(inputs, outputs, settings.device)
            name = f"{kind}, {frames} frames of {side}x{side}, {inputs} to {outputs} channels"
            ways = (("convolution", plain), ("as chosen", chosen))
            compare(name, ways, drawn(frames, inputs, side, side), weight, settings)
        for size in WIDE if "wide" in settings.only and dtype == torch.float32 else ():
            frames, inputs, outputs, side = size
            weight = kernel(inputs, outputs, settings.device)
            name = f"{kind}, {frames} frames of {side}x{side}, {inputs} to {outputs} channels"
            ways = (("convolution", plain), ("by Winograd", by_winograd))
            compare(name, ways, drawn(frames, inputs, side, side), weight, settings)
            if side > 4:
                ways = (
                    ("convolution and pooling in one", shrunk_in_one),
                    ("by Winograd", shrunk_by_winograd),
                )
                compare(name, ways, drawn(frames, inputs, side, side), weight, settings)
                ways = (
                    ("upsampling and convolution in one", enlarged_in_one),
                    ("by Winograd", enlarged_by_winograd),
                )
                compare(
                    f"half of {name}", ways, drawn(frames, inputs, side // 2, side // 2), weight, settings
                )


if __name__ == "__main__":
    parser = options(str(__doc__), rounds=5)
    parts = ("changes", "small", "wide")
    parser.add_argument(
        "--only", nargs="+", default=parts, choices=parts, help="changes of size, small maps, wide layers"
    )
    main(parser.parse_args(namespace=ConvolutionSettings()))
