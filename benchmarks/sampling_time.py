"""How long sampling takes: a number of whole videos of a preset at full width, from noise to pixels.

Clark et al. 2019, A.3: "two 64x64 48-frame videos can be sampled in less than 150ms on a single TPU core". Weights
are random, which changes no time; statistics are standing ones, as for ``vidgan sample``. On a CPU it takes minutes.
"""

import argparse
import statistics
import time
from functools import partial

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from interleaved import Case, Settings, interleave, mib, options, peak_bytes, show_machine, timed
from training import with_width
from vidgan.models.cascade import FrozenLevel, below_of, by_label, sample_levels
from vidgan.nn.layers import fold_resizing, initialise, undrawn_weights
from vidgan.nn.norm import RecordedStatistics, StandingStatistics
from vidgan.presets import preset
from vidgan.run.experiment import Experiment
from vidgan.sample.noise import Scaled, latents
from vidgan.seeds import stream


class SamplingSettings(Settings):
    """Which videos."""

    preset: str
    width: int | None
    clips: int
    types: list[str]
    processor_time: bool


class Sampler:
    """Untrained levels that make videos of the same noise again and again."""

    def __init__(self, experiment: Experiment, clips: int, device: torch.device, seed: int = 0) -> None:
        self.device, self.clips, self.seed = device, clips, seed
        self.label = (torch.arange(clips) % experiment.classes).to(device)
        self.levels: list[FrozenLevel] = []
        self.parameters = 0
        for index, level in enumerate(experiment.levels):
            below = below_of(experiment.levels, index)
            with device, undrawn_weights():
                generator = level.build_generator(experiment.classes, below)
            self.parameters += sum(weight.numel() for weight in generator.requires_grad_(False).parameters())
            recorded = RecordedStatistics()
            self.levels.append(FrozenLevel(level, generator, recorded))
            if device.type != "meta":  # which has no values, neither of weights nor of standing statistics
                initialise(generator, experiment.training.initial, stream(seed, "weights", index))
                self.sample()
                self.levels[-1] = FrozenLevel(level, generator, StandingStatistics(recorded.averages()))

    def sample(self, dtype: torch.dtype | None = None) -> Tensor:
        """Whole videos of the top level that there is (clips T 3 H W)."""

        def noise(level: int, dimension: int) -> Tensor:
            return latents(self.seed, level, range(self.clips), dimension, Scaled()).to(self.device)

        return sample_levels(self.levels, noise, by_label(self.label), dtype=dtype)[-1]


def main(settings: SamplingSettings) -> None:
    device = settings.device
    show_machine(device)
    experiment = preset(settings.preset)
    if settings.width is not None:
        experiment = with_width(experiment, settings.width)
    counted = Sampler(experiment, settings.clips, torch.device("meta"))
    for level in counted.levels:
        fold_resizing(level.generator, False)  # operations as the paper's layers do them
    with FlopCounterMode(display=False) as counter:
        counted.sample()
    for level in counted.levels:
        fold_resizing(level.generator, True)
    flops = counter.get_total_flops()
    top = experiment.levels[-1]
    widths = ", ".join(str(level.generator.width) for level in experiment.levels)
    print(
        f"{settings.clips} videos of {settings.preset} at once: {top.frames} frames of {top.size}x{top.size}, "
        f"generator width {widths}, {counted.parameters / 1e6:.1f} M parameters, {flops / 1e12:.3f} TFLOP",
        flush=True,
    )
    sampler = Sampler(experiment, settings.clips, device)
    clock = time.process_time if settings.processor_time else time.perf_counter
    dtypes = {"float32": None, "bfloat16": torch.bfloat16}
    cases = [
        Case(name, timed(partial(sampler.sample, dtypes[name]), device, clock)) for name in settings.types
    ]
    results = interleave(cases, settings.rounds)
    # A pass on a CPU takes minutes, and tensors are as large where they have no values.
    seen = sampler if device.type == "cuda" else counted
    for result in results:
        memory = peak_bytes(partial(seen.sample, dtypes[result.name]), device)
        median = statistics.median(result.seconds)
        least, most = min(result.seconds), max(result.seconds)
        print(
            f"  {result.name}: {1000 * median:.0f} ms ({1000 * least:.0f}-{1000 * most:.0f}), "
            f"{flops / median / 1e12:.3f} TFLOP/s, peak memory {mib(memory)}"
        )


def parse() -> SamplingSettings:
    """The command line."""
    parser: argparse.ArgumentParser = options(str(__doc__), rounds=3)
    parser.add_argument("--preset", default="dvd-gan-k600-48x64", help="which model (dvd-gan-k600-48x64)")
    parser.add_argument("--width", type=int, help="another width of all networks than the preset's")
    parser.add_argument("--clips", type=int, default=2, help="videos at once (2)")
    parser.add_argument(
        "--types", nargs="+", choices=("float32", "bfloat16"), default=["float32"], help="what to compute in"
    )
    parser.add_argument("--processor-time", action="store_true", help="seconds of the CPU's own work alone")
    return parser.parse_args(namespace=SamplingSettings())


if __name__ == "__main__":
    main(parse())
