"""Conditional batch normalisation and ReLU: the fused functions against the formula written plainly."""

from collections.abc import Callable

import torch
from torch import Tensor

from interleaved import Case, Settings, interleave, mib, options, peak_bytes, show, show_machine, timed
from vidgan.nn.layers import OrthogonalSpec, initialise
from vidgan.nn.norm import EPSILON, BatchStatistics, Clock, ConditionalNormReLU, Context
from vidgan.seeds import stream
from vidgan.shapes import as_video

B, T, C, SIDE, CONDITION = 4, 12, 32, 32, 240


def plain(norm: ConditionalNormReLU, x: Tensor, context: Context) -> Tensor:
    """relu((1 + g) (x - mean) / sqrt(variance + eps) + b), per time step over (B, H, W), left to autograd."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    variance, mean = torch.var_mean(wide, (0, 3, 4), correction=0, keepdim=True)
    gain, bias = (g[..., None, None] for g in norm.gain_and_bias(context.condition))
    return torch.relu(gain * (wide - mean) * torch.rsqrt(variance + EPSILON) + bias).to(x.dtype)


def two_means(norm: ConditionalNormReLU, x: Tensor, context: Context) -> Tensor:
    """The same with the shortcuts of the fused one, E[x^2] - E[x]^2 and one scale and shift, left to autograd."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    mean = wide.mean((0, 3, 4), keepdim=True)
    variance = (wide.square().mean((0, 3, 4), keepdim=True) - mean.square()).clamp_min(0)
    gain, bias = (g[..., None, None] for g in norm.gain_and_bias(context.condition))
    scale = gain * torch.rsqrt(variance + EPSILON)
    return torch.relu(torch.addcmul((bias - mean * scale).to(x.dtype), x, scale.to(x.dtype)))


def fused(norm: ConditionalNormReLU, x: Tensor, context: Context) -> Tensor:
    """What the generators use."""
    y: Tensor = norm(x, context)
    return y


Way = Callable[[ConditionalNormReLU, Tensor, Context], Tensor]
WAYS: dict[str, Way] = {"plain": plain, "two means": two_means, "fused": fused}


def main(settings: Settings) -> None:
    device = settings.device
    show_machine(device)
    norm = ConditionalNormReLU(C, CONDITION)
    initialise(norm, OrthogonalSpec(), stream(0, "weights"))
    norm.to(device)
    condition = torch.randn((B, CONDITION), generator=stream(0, "condition")).to(device)
    context = Context(condition, BatchStatistics(), Clock())
    clip = torch.randn((B, T, C, SIDE, SIDE), generator=stream(0, "clip"))
    direction = torch.randn((B, T, C, SIDE, SIDE), generator=stream(0, "gradient"))
    kinds = (torch.float32, torch.bfloat16) if device.type == "cuda" else (torch.float32,)
    for dtype in kinds:
        x, gradient = (as_video(v.to(device, dtype)) for v in (clip, direction))
        x.requires_grad_(True)

        def passes(way: Way, x: Tensor = x, gradient: Tensor = gradient) -> Callable[[], Tensor]:
            def once() -> Tensor:
                x.grad = None
                y = way(norm, x, context)
                y.backward(gradient)
                return y.detach()

            return once

        works = {name: passes(way) for name, way in WAYS.items()}
        close = 1e-4 if dtype == torch.float32 else 0.05
        for work in works.values():
            torch.testing.assert_close(work(), works["plain"](), atol=close, rtol=close)
        cases = [Case(name, timed(work, device)) for name, work in works.items()]
        memory = [f"peak {mib(peak_bytes(work, device))}" for work in works.values()]
        title = f"norm and ReLU, forward and backward, {B}x{T}x{C}x{SIDE}x{SIDE} {dtype}"
        show(title, interleave(cases, settings.rounds), notes=memory)


if __name__ == "__main__":
    main(options(str(__doc__), rounds=11).parse_args(namespace=Settings()))
