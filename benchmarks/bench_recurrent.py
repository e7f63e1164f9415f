"""Every recurrent unit against ConvGRU, forward and backward over all time steps."""

from collections.abc import Callable

import torch

from interleaved import Case, Settings, interleave, options, show, show_machine, timed
from vidgan.nn.layers import OrthogonalSpec, initialise
from vidgan.nn.recurrent import ConvGRUSpec, Unit, UnitSpec, unroll
from vidgan.seeds import stream
from vidgan.shapes import as_video
from vidgan.spec import concrete

B, T, CHANNELS, SIDE = 2, 12, 32, 16


def main(settings: Settings) -> None:
    device = settings.device
    show_machine(device)
    x = as_video(torch.randn((B, T, CHANNELS, SIDE, SIDE), generator=stream(0, "features")).to(device))
    x.requires_grad_(True)
    first = torch.zeros((B, CHANNELS, SIDE, SIDE), device=device).contiguous(
        memory_format=torch.channels_last
    )

    def passes(unit: Unit) -> Callable[[], None]:
        return lambda: unroll(unit, x, first)[0].square().mean().backward()

    # ConvGRU is the reference.
    every = concrete(UnitSpec)  # type: ignore[type-abstract]  # mypy takes no abstract class for type[S]
    kinds = sorted(every.values(), key=lambda kind: kind is not ConvGRUSpec)
    cases, sizes = [], []
    for kind in kinds:
        unit: Unit = kind().build(CHANNELS, CHANNELS)
        initialise(unit, OrthogonalSpec(), stream(0, "weights"))
        cases.append(Case(kind.__name__, timed(passes(unit.to(device)), device)))
        sizes.append(f"{sum(p.numel() for p in unit.parameters()):,} parameters")
    title = f"recurrent units, forward and backward, {B}x{T}x{CHANNELS}x{SIDE}x{SIDE} float32"
    show(title, interleave(cases, settings.rounds), notes=sizes)


if __name__ == "__main__":
    main(options(str(__doc__), rounds=11).parse_args(namespace=Settings()))
