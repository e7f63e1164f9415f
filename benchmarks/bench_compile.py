"""A generator and its discriminators with their compiled selves (inductor), forward and backward."""

import time
from collections.abc import Callable, Mapping

import torch
import torch._inductor.config
from torch import Tensor, nn

import vidgan
from interleaved import Case, Settings, interleave, options, show, show_machine, timed
from vidgan.run.tiny import tiny
from vidgan.seeds import stream

CLIPS = 2
CLOSE = 1e-2
"""how far the outputs may be apart, relative to their size: float32, in another order of sums"""


class Options(Settings):
    """The model as well."""

    preset: str
    whole: bool


def networks(settings: Options) -> dict[str, tuple[nn.Module, tuple[Tensor, Tensor]]]:
    """The networks of the first level, each with an input and a label."""
    experiment = vidgan.preset(settings.preset)
    experiment = experiment if settings.whole else tiny(experiment)
    level, device = experiment.levels[0], settings.device
    generator, discriminators = vidgan.build(experiment)
    label = (torch.arange(CLIPS) % experiment.classes).to(device)
    z = torch.randn((CLIPS, level.generator.latent), generator=stream(0, "noise")).to(device)
    shape = (CLIPS, level.seen_frames, 3, level.size, level.size)
    video = torch.randn(shape, generator=stream(0, "clips")).to(device)
    table = {"generator": (generator.to(device), (z, label))}
    return table | {name: (module.to(device), (video, label)) for name, module in discriminators.items()}


def passes(network: Callable[..., Tensor], given: tuple[Tensor, Tensor]) -> Callable[[], Tensor]:
    """Forward and backward; views pick the same frames each time."""

    def once() -> Tensor:
        torch.manual_seed(0)
        output = network(*given)
        output.square().mean().backward()
        return output.detach()

    return once


def main(settings: Options) -> None:
    show_machine(settings.device)
    # Views draw their frames in the graph: by torch's generator, as eager ones do, and not by inductor's own.
    torch._inductor.config.fallback_random = True
    table: Mapping[str, tuple[nn.Module, tuple[Tensor, Tensor]]] = networks(settings)
    for name, (network, given) in table.items():
        began = time.perf_counter()
        eager, compiled = passes(network, given), passes(torch.compile(network, fullgraph=True), given)
        expected, found = eager(), compiled()
        error = ((found - expected).norm() / expected.norm()).item()
        assert error < CLOSE, f"{name}: {error:.2g} apart"
        cases = [
            Case(kind, timed(work, settings.device))
            for kind, work in (("eager", eager), ("compiled", compiled))
        ]
        notes = ["", f"cold {time.perf_counter() - began:.0f} s, {error:.1e} apart"]
        show(f"{name}, {CLIPS} clips, float32", interleave(cases, settings.rounds), notes=notes)


if __name__ == "__main__":
    parser = options(str(__doc__), rounds=5)
    parser.add_argument("--preset", default="dvd-gan-k600-12x64", help="whose first level (%(default)s)")
    parser.add_argument("--whole", action="store_true", help="at its full width and length")
    main(parser.parse_args(namespace=Options()))
