"""A whole training step of a preset: clips per second, memory, and its share of the matmul rate.

Run it with another preset at full width on a GPU: ``--preset dvd-gan-k600-12x64 --batch 32``.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from unittest import mock

import torch

from interleaved import (
    Case,
    Measure,
    Settings,
    interleave,
    mib,
    options,
    peak_bytes,
    show,
    show_machine,
    timed,
)
from training import Trainee, with_batch, with_width
from vidgan.presets import preset
from vidgan.seeds import stream
from vidgan.train.plan import step_operations


class StepSettings(Settings):
    """Which step."""

    preset: str
    level: int
    batch: int
    width: int | None
    compute: str
    float32: bool
    processor_time: bool


def matmul(size: int, dtype: torch.dtype, device: torch.device, clock: Callable[[], float]) -> Measure:
    """A square matrix product."""
    a, b = (
        torch.randn((size, size), generator=stream(0, name)).to(device, dtype) for name in ("left", "right")
    )
    return timed(lambda: a @ b, device, clock)


def main(settings: StepSettings) -> None:
    device = settings.device
    show_machine(device)
    experiment = with_batch(preset(settings.preset), settings.batch)
    if settings.width is not None:
        experiment = with_width(experiment, settings.width)
    if settings.float32:
        experiment = experiment.replace(training=experiment.training.replace(bf16=False))
    index, clock = settings.level - 1, time.process_time if settings.processor_time else time.perf_counter
    dtype = torch.bfloat16 if experiment.training.bf16 else torch.float32
    kind = str(dtype).removeprefix("torch.")
    size = 8192 if device.type == "cuda" else 1024
    work = step_operations(experiment, index)
    flops = {"matmul": 2 * size**3, "step": work.of(settings.batch)}
    experiment = experiment.replace(training=experiment.training.replace(compile=settings.compute != "plain"))
    mode = "reduce-overhead" if settings.compute == "graphed" else "default"
    with mock.patch.object(
        torch, "compile", partial(torch.compile, mode=mode)
    ):  # it is called as networks are built
        trainee = Trainee(experiment, index, device)
    cases = [
        Case("matmul", matmul(size, dtype, device, clock)),
        Case("step", timed(trainee.step, device, clock)),
    ]
    # On a CPU tensors are counted as they are made, which those of a compiled graph are not.
    counts = device.type == "cuda" or settings.compute == "plain"
    memory = mib(peak_bytes(trainee.step, device)) if counts else "not seen"
    product, step = interleave(cases, settings.rounds)
    median = statistics.median(step.seconds)
    rates = [settings.batch / seconds for seconds in step.seconds]
    shares = [100 * flops["step"] / flops["matmul"] / ratio for ratio in step.ratios]
    rate = flops["matmul"] / statistics.median(product.seconds) / 1e12
    counted = "all that is on the GPU" if device.type == "cuda" else "what the step makes, without weights"
    title = (
        f"a training step of {settings.preset}, level {settings.level}, {settings.batch} clips, {kind}, "
        f"{settings.compute}"
    )
    show(title, [product, step])
    print(
        f"\n  speed        {settings.batch / median:.2f} clips/s ({min(rates):.2f}-{max(rates):.2f})\n"
        f"  work         {work.per_clip / 1e9:.2f} GFLOP per clip and {work.fixed / 1e9:.2f} whatever the clips\n"
        f"  peak memory  {memory}: {counted}\n"
        f"  matmul rate  {rate:.3f} TFLOP/s for {size}x{size}, taken in turn with the step\n"
        f"  share of it  {statistics.median(shares):.1f} % ({min(shares):.1f}-{max(shares):.1f})"
    )


if __name__ == "__main__":
    parser = options(str(__doc__), rounds=7)
    parser.add_argument("--preset", default="demo", help="which experiment (demo)")
    parser.add_argument("--level", type=int, default=1, help="which level of a cascade, from 1 (1)")
    parser.add_argument("--batch", type=int, default=16, help="clips per update and pass (16)")
    parser.add_argument("--width", type=int, help="another width of all networks than the preset's")
    parser.add_argument(
        "--compute",
        choices=("plain", "compiled", "graphed"),
        default="plain",
        help="as it is, by torch.compile, or by it with CUDA graphs",
    )
    parser.add_argument(
        "--float32", action="store_true", help="on processors without bfloat16 units; not as the preset says"
    )
    parser.add_argument(
        "--processor-time", action="store_true", help="of one thread, on a machine where other programs run"
    )
    main(parser.parse_args(namespace=StepSettings()))
