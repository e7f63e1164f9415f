"""What a step could compute several times, or once: what each way takes, and how much of a step lies between them.

Each is a part of the step alone, forward and backward, both ways with the same result, by processor time.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import torch
from torch import Tensor

from interleaved import Case, Settings, interleave, options, show, show_machine, timed
from training import Trainee, with_batch, with_width
from vidgan.models.level import Level
from vidgan.models.views import downsample
from vidgan.nn.blocks import SeparableBlock
from vidgan.nn.layers import OrthogonalSpec, WeightLayer, initialise
from vidgan.nn.norm import BatchStatistics, Clock, ConditionalNormReLU, Context
from vidgan.nn.recurrent import Unit
from vidgan.presets import preset
from vidgan.run.experiment import Experiment
from vidgan.sample.sampler import device_of
from vidgan.seeds import stream
from vidgan.shapes import as_frames, as_video, repeat_time, stack_time

CONDITION: Final = 240
"""width of the conditioning vector, the papers'"""
ENDS: Final = 4
"""steps of a separable block that see an end of the video"""
CLOSE: Final = 1e-4
"""how far two float32 results of one function may be apart"""


class Shared(NamedTuple):
    """Work that is done several times in a step."""

    name: str
    each_time: Callable[[], list[Tensor]]
    """its results, with a gradient"""
    once: Callable[[], list[Tensor]]
    """the same results with the work done once"""
    passes: float
    """passes of a step, forward and backward; one without backward counts as a third"""


class StepSettings(Settings):
    """Which step."""

    preset: str
    batch: int
    width: int | None


def drawn(device: torch.device, *shape: int) -> Tensor:
    """Numbers to compute with."""
    return torch.randn(shape, generator=stream(0, "shared work")).to(device)


def clock(device: torch.device) -> Callable[[], float]:
    """Processor time, which of a GPU would be that of starting its kernels."""
    return time.perf_counter if device.type == "cuda" else time.process_time


def inputs_of_the_first_unit(level: Level, clips: int, passes: float) -> Shared:
    """The unit behind the first map, which is the same at all steps: convolutions of it need one each."""
    unit = next(m for m in level.generator.modules() if isinstance(m, Unit))
    frames, side = level.spec.trained_frames, level.spec.generator.side
    first = as_frames(drawn(device_of(level.generator), clips, unit.inputs, side, side)).requires_grad_(True)
    return Shared(
        "the first recurrent unit's convolutions of its input",
        lambda: [unit(stack_time([first] * frames))],
        lambda: [unit(repeat_time(first, frames))],
        passes,
    )


def gains_and_biases(level: Level, clips: int, passes: float) -> Shared:
    """All gains and biases of a generator's normalisation layers by one product."""
    norms = [m for m in level.generator.modules() if isinstance(m, ConditionalNormReLU)]
    condition = drawn(device_of(level.generator), clips, norms[0].gain.weight.shape[1])
    layers = [layer for norm in norms for layer in (norm.gain, norm.bias)]

    def each_time() -> list[Tensor]:
        return [layer(condition) for layer in layers]

    def once() -> list[Tensor]:
        weight = torch.cat([layer.effective_weight(torch.float32) for layer in layers])
        biases: list[Tensor] = [layer.bias for layer in layers if layer.bias is not None]
        made = torch.nn.functional.linear(condition, weight, torch.cat(biases))
        return list(made.split([len(layer.weight) for layer in layers], dim=1))

    return Shared("gains and biases of the generator's normalisation by one product", each_time, once, passes)


def kernels_of_a_further_pass(level: Level, updates: int) -> Shared:
    """All weights divided by sigma, once more: what each micro-batch of an update but the first one would save."""
    layers = [m for m in level.modules() if isinstance(m, WeightLayer) and m.spectral]

    def each_time() -> list[Tensor]:
        return [layer.effective_weight(torch.float32) for layer in layers]

    # Discriminators with a gradient in each of their updates, the generator in its own.
    return Shared("all weights divided by sigma, for a second micro-batch", each_time, list, float(updates))


def pooled_clips(level: Level, clips: int, updates: int) -> Shared:
    """What the clip discriminator sees: real and fake clips averaged over 2x2 pixels, each once in an update."""
    frames, side = level.spec.seen_frames, level.spec.size
    video = as_video(drawn(device_of(level.generator), 2 * clips, frames, 3, side, side)).requires_grad_(True)

    def each_time() -> list[Tensor]:
        return [downsample(video, 2)]

    return Shared("the clip discriminator's input, pooled", each_time, list, updates / 3 + 0.5)


def separable_block_on_one_frame(level: Level, clips: int, passes: float) -> Shared:
    """A separable block on a frame that is repeated: what is not near either end is the same at all steps."""
    spec, device = level.spec, device_of(level.generator)
    channels, side, frames = (
        spec.generator.channels * spec.generator.width,
        spec.generator.side,
        spec.trained_frames,
    )
    block = SeparableBlock(channels, CONDITION)
    initialise(block, OrthogonalSpec(), stream(0, "block"))
    block.to(device)
    context = Context(drawn(device, clips, CONDITION), BatchStatistics(), Clock())
    first = as_frames(drawn(device, clips, channels, side, side)).requires_grad_(True)

    def each_time() -> list[Tensor]:
        return [block(repeat_time(first, frames), context)]

    def once() -> list[Tensor]:
        # Two convolutions over three steps each: two steps at either end see the end, and those between are alike.
        few = block(repeat_time(first, ENDS + 1), context)
        middle = few[:, ENDS // 2, None].expand(-1, frames - ENDS, -1, -1, -1)
        return [torch.cat([few[:, : ENDS // 2], middle, few[:, ENDS // 2 + 1 :]], dim=1)]

    return Shared("a separable block behind the first map", each_time, once, passes)


def compare(work: Shared, step: float, title: str, settings: StepSettings) -> None:
    """Both ways of doing it, and how much of a step that takes so many seconds lies between them."""

    def passes(way: Callable[[], list[Tensor]]) -> Callable[[], None]:
        def once() -> None:
            made = [result for result in way() if result.requires_grad]
            if made:
                torch.autograd.backward(made, [torch.ones_like(result) for result in made])

        return once

    ways = [("each time", work.each_time)]
    results = work.once()
    if results:
        for a, b in zip(work.each_time(), results, strict=True):
            torch.testing.assert_close(a, b, atol=CLOSE, rtol=CLOSE)
        ways.append(("once", work.once))
    cases = [Case(name, timed(passes(way), settings.device, clock(settings.device))) for name, way in ways]
    measured = interleave(cases, settings.rounds)
    before, *after = (statistics.median(case.seconds) for case in measured)
    share = 100 * work.passes * (before - sum(after)) / step
    notes = ["", f"saves {share:.1f} % of a step"] if results else [f"{share:.1f} % of a step"]
    show(f"{work.name}, {title}", measured, notes=notes)


def every(experiment: Experiment, level: Level, clips: int) -> Iterator[Shared]:
    """All of a step's shared work."""
    updates = experiment.training.discriminator_updates
    passes = 1 + updates / 3
    yield inputs_of_the_first_unit(level, clips, passes)
    yield gains_and_biases(level, clips, passes)
    yield kernels_of_a_further_pass(level, updates)
    yield pooled_clips(level, clips, updates)
    yield separable_block_on_one_frame(level, clips, passes)


def main(settings: StepSettings) -> None:
    show_machine(settings.device)
    experiment = with_batch(preset(settings.preset), settings.batch)
    if settings.width is not None:
        experiment = with_width(experiment, settings.width)
    experiment = experiment.replace(training=experiment.training.replace(bf16=False, orthogonal_penalty=0.0))
    trainee = Trainee(experiment, 0, settings.device)
    measure = timed(trainee.step, settings.device, clock(settings.device))
    step = statistics.median(measure() for _ in range(settings.rounds))
    level = trainee.state.level
    assert isinstance(level, Level)
    level.requires_grad_(True)
    title = f"{settings.preset}, {settings.batch} clips, float32"
    print(f"a step of {title}: {1000 * step:.0f} ms")
    for work in every(experiment, level, settings.batch):
        compare(work, step, title, settings)


if __name__ == "__main__":
    parser = options(str(__doc__), rounds=7)
    parser.add_argument("--preset", default="demo", help="which experiment (demo)")
    parser.add_argument("--batch", type=int, default=8, help="clips per update and pass (8)")
    parser.add_argument("--width", type=int, help="another width of all networks than the preset's")
    main(parser.parse_args(namespace=StepSettings()))
