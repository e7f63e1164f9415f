"""What a training step costs against the size of its videos, its width and its batch, with the slope of each curve.

    python benchmarks/size_scaling.py --out docs/results/size-scaling.svg

One size is changed at a time; the others stay at 12 frames of 64x64, width 16, one clip. Processor time of one thread
in float32, and operations as they are counted without folding. A level in the middle of a cascade, trained on windows
of 12 frames, stands beside: its cost does not know how long the video is.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from interleaved import show_machine
from training import Trainee, with_batch, with_width
from vidgan.models.views import FramesSpec
from vidgan.nn.recurrent.unit import every_step_anew
from vidgan.presets import preset
from vidgan.report.figures import Curve, Plot, Point, save
from vidgan.run.experiment import Experiment
from vidgan.train.levels_below import BelowSource

META, CPU = torch.device("meta"), torch.device("cpu")
WIDTH = 16
SEEN = 6
"""frames that the frame discriminator sees, however long the video is"""


class Sweep(NamedTuple):
    """One size that grows."""

    name: str
    values: Sequence[int]
    experiment: Callable[[int], Experiment]
    level: int = 0
    alone: bool = False
    """whether the videos of the levels below are made once, before the steps, instead of by each"""


class Settings(argparse.Namespace):
    """What the command line gives."""

    rounds: int
    only: list[str]
    out: Path


def base(frames: int = 12, side: int = 64, width: int = WIDTH, batch: int = 1) -> Experiment:
    """DVD-GAN's networks of four stages, which start from a smaller or a larger map."""
    experiment = with_batch(with_width(preset("dvd-gan-k600-12x64"), width), batch)
    (level,) = experiment.levels
    generator = level.generator.replace(side=level.generator.side * side // level.size)
    of_frames, of_clip = level.discriminators
    of_frames = of_frames.replace(view=FramesSpec(k=SEEN))
    level = level.replace(generator=generator, frames=frames, discriminators=(of_frames, of_clip))
    return measured(experiment.replace(levels=(level,)))


def cascade(frames: int) -> Experiment:
    """A cascade whose second level makes windows of 12 of ``frames`` frames."""
    experiment = with_batch(with_width(preset("cvg-ucf101-16x128"), WIDTH), 1)
    first, second = experiment.levels
    levels = (first.replace(frames=frames // 2, window=None), second.replace(frames=frames, window=12))
    return measured(experiment.replace(levels=levels))


def measured(experiment: Experiment) -> Experiment:
    """In float32 and for few classes."""
    training = experiment.training.replace(bf16=False, orthogonal_penalty=0.0)
    return experiment.replace(training=training, classes=10)


SWEEPS = (
    Sweep("frames", (6, 12, 24, 48, 96), lambda frames: base(frames=frames)),
    Sweep("frames, upper level of a cascade", (24, 48, 96), cascade, level=1),
    Sweep("frames, upper level without what feeds it", (24, 48, 96), cascade, level=1, alone=True),
    Sweep("side", (32, 64, 128, 256), lambda side: base(side=side)),
    Sweep("width", (16, 32, 64, 128), lambda width: base(width=width)),
    Sweep("clips", (1, 2, 4, 8, 16, 32), lambda clips: base(batch=clips)),
)


def trainee_of(sweep: Sweep, experiment: Experiment, device: torch.device) -> Trainee:
    """A level that has made its first step."""
    trainee = Trainee(experiment, sweep.level, device)
    if sweep.alone and trainee.state.below is not None:
        trainee.state.below = MadeOnce(trainee.state.below)
    trainee.step()
    return trainee


class MadeOnce(BelowSource):
    """Windows of the videos below that are made for the first step and taken again by all others."""

    def __init__(self, source: BelowSource) -> None:
        self.source, self.made = source, dict[tuple[int, int], Tensor]()

    def __call__(self, label: Tensor, step: int, update: int, first: int) -> Tensor:
        if (update, first) not in self.made:
            self.made[update, first] = self.source(label, step, update, first)
        return self.made[update, first]


def seconds(sweep: Sweep, experiment: Experiment, rounds: int) -> float:
    """Processor time of a step: the median of ``rounds``, after one that is not counted."""
    trainee = trainee_of(sweep, experiment, CPU)
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        trainee.step()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def operations(sweep: Sweep, experiment: Experiment) -> int:
    """Of a step, counted on the meta device as the papers' layers do them."""
    plain = experiment.replace(training=experiment.training.replace(folded=False))
    trainee = trainee_of(sweep, plain, META)
    with every_step_anew(), FlopCounterMode(display=False) as counter:
        trainee.step()
    return counter.get_total_flops()


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """By which power of the size the cost grows: least squares of logarithms."""
    return statistics.linear_regression([math.log(x) for x in sizes], [math.log(y) for y in costs]).slope


def main(settings: Settings) -> None:
    torch.set_num_threads(1)
    show_machine(CPU)
    plots = []
    print("\n| | sizes | seconds of a step | slope | TFLOP | slope |\n|---|---|---|---:|---|---:|")
    for sweep in [sweep for sweep in SWEEPS if not settings.only or sweep.name in settings.only]:
        experiments = [sweep.experiment(value) for value in sweep.values]
        taken = [seconds(sweep, experiment, settings.rounds) for experiment in experiments]
        counted = [operations(sweep, experiment) / 1e12 for experiment in experiments]
        columns = (
            ", ".join(map(str, sweep.values)),
            ", ".join(f"{value:.2f}" for value in taken),
            f"{slope(sweep.values, taken):.2f}",
            ", ".join(f"{value:.2f}" for value in counted),
            f"{slope(sweep.values, counted):.2f}",
        )
        print(f"| {sweep.name} | {' | '.join(columns)} |", flush=True)
        points = [Point(size, value, None) for size, value in zip(sweep.values, taken, strict=True)]
        plots.append(
            Plot(sweep.name, sweep.name.split(",")[0], "seconds of a step", [Curve("a step", points)])
        )
    save(settings.out, plots)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="measured steps per size (3)")
    parser.add_argument(
        "--only", nargs="+", default=[], choices=[s.name for s in SWEEPS], help="these rows alone"
    )
    parser.add_argument("--out", type=Path, default=Path("build/size-scaling.svg"), help="the figure")
    main(parser.parse_args(namespace=Settings()))
