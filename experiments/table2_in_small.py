"""Table 2 of Luc et al. 2020 in small: recurrent units compared at equal steps and at equal times.

``python experiments/table2_in_small.py --out runs/table2 --minutes 4`` trains each unit under three seeds on built-in
clips of striped shapes that move and pass behind another, in turns, so that a machine whose speed drifts slows all of
them. After every turn a run is measured on held-out clips. It may be stopped at any time (Ctrl-C or SIGTERM, or worse);
the same command resumes. At the end, and whenever it is called again, it writes table.md, ssim.svg and distance.svg;
with --report it writes them of what has been measured so far.
"""

import argparse
import itertools
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import torch

from vidgan.data.dataset import Dataset
from vidgan.errors import UserError
from vidgan.evaluation.evaluated import CopyBaseline, ModelSamples
from vidgan.evaluation.protocols import Protocol, adjusted, protocol
from vidgan.evaluation.record import copies_log, evaluate_by
from vidgan.evaluation.rows import Work
from vidgan.models.generator import EncoderSpec
from vidgan.models.losses import PixelLossSpec
from vidgan.models.views import FramesSpec
from vidgan.presets import preset
from vidgan.report.figures import Curve, Plot, Point, save
from vidgan.run.batch import BatchSpec
from vidgan.run.checkpoints import steps_of
from vidgan.run.data import open_held_out
from vidgan.run.directory import RunDirectory
from vidgan.run.distributed import choose_device
from vidgan.run.experiment import AdamSpec, AverageSpec, Experiment, ReportingSpec, StandingStatisticsSpec
from vidgan.run.logs import read_results, read_ticks, seconds_logged
from vidgan.sample.load import load_run
from vidgan.sample.standing import GivenFrames
from vidgan.train.trainer import Trainer

PAPER: Final[Mapping[str, tuple[str, float]]] = {
    "convlstm": ("ConvLSTM", 51.3),
    "convgru": ("ConvGRU", 49.4),
    "k-trajgru": ("K-TrajGRU", 45.9),
    "tsru-c": ("TSRU_c", 44.2),
    "tsru-p": ("TSRU_p", 43.7),
    "tsru-s": ("TSRU_s", 45.8),
    "ptsru-s": ("PTSRU_s", 47.1),
}
"""Units of Table 2, and the FVD that it prints on Kinetics-600."""
SSIM, FRECHET = "ssim-best-of-100", "frechet-random"
WIDTH, SIDE, GIVEN, MADE, CLIPS = 8, 32, 3, 5, 8


class Scale(NamedTuple):
    """How much is spent on a run."""

    seconds: float
    """of training"""
    turn: int
    """steps that a run trains before the next one's turn, and between two measurements"""
    evaluated: int
    """clips of a Frechet distance; a quarter of them have their best of 10 futures compared"""


class Reading(NamedTuple):
    """What was measured of a run after some training."""

    step: int
    seconds: float
    value: float


def small(unit: str, seed: int, turn: int) -> Experiment:
    """``trivd-table2-UNIT`` for minutes on a CPU: its structure, but two stages, few channels and frames of 32x32."""
    experiment = preset(f"trivd-table2-{unit}")
    (level,) = experiment.levels
    tower = level.generator
    assert isinstance(tower.encoder, EncoderSpec)
    stages = tuple(
        stage.replace(channels=outputs) for stage, outputs in zip(tower.stages[1:], (2, 1), strict=True)
    )
    # As in the demo: around the clips' dark mean ReLU sees both signs, and the gain makes up for spectral norm.
    body = level.discriminators[1].body.replace(
        width=WIDTH, channels=(1, 2, 4), input_mean=(-0.5, -0.5, -0.5), input_gain=8.0
    )
    frames, crop = level.discriminators
    assert isinstance(frames.view, FramesSpec)
    discriminators = (
        frames.replace(view=frames.view.replace(k=4), body=body.replace(blocks_3d=0), mean_pool=True),
        crop.replace(body=body, mean_pool=True),
    )
    # The same in the encoder: its states must outweigh what the noise starts from, or futures begin elsewhere.
    encoder = tower.encoder.replace(body=body.replace(blocks_3d=0))
    generator = tower.replace(width=WIDTH, channels=4, latent=32, embedding=8, stages=stages, encoder=encoder)
    training = experiment.training.replace(
        steps=turn,
        discriminator_updates=1,
        batch=BatchSpec(global_batch=CLIPS, micro_batch=CLIPS),
        adam=AdamSpec(generator_rate=2e-3, discriminator_rate=2e-3, beta2=0.99),
        average=AverageSpec(decay=0.98, start=0),
        # Discriminators alone need thousands of steps to tell the units apart; the distance to what followed
        # needs hundreds.
        pixel_loss=PixelLossSpec(weight=50, start=0),
        standing_statistics=StandingStatisticsSpec(batches=8, clips=32),
        bf16=False,
        seed=seed,
    )
    return experiment.replace(
        levels=(
            level.replace(
                generator=generator, discriminators=discriminators, frames=MADE, context_frames=GIVEN
            ),
        ),
        training=training,
        reporting=ReportingSpec(tick=turn, checkpoint=turn, keep=2, samples=10 * turn),
    )


def trained(run: RunDirectory) -> int:
    """Steps of the newest checkpoint."""
    return max(steps_of(run.checkpoints, 1), default=0)


def is_finished(run: RunDirectory, scale: Scale) -> bool:
    """Whether a run has had its time and stands at the end of a turn."""
    return seconds_logged(run.log.path, 1) >= scale.seconds and trained(run) % scale.turn == 0


def protocols(evaluated: int) -> dict[str, Protocol]:
    """Best of 10 SSIM, and a distance that needs no weights."""
    return {
        SSIM: adjusted(protocol(SSIM), futures=10, clips=max(2, evaluated // 4)),
        FRECHET: adjusted(protocol(FRECHET), clips=evaluated, real_clips=4 * evaluated),
    }


def measure(run: RunDirectory, dataset: Dataset, evaluated: int, work: Work) -> None:
    """Measure the newest checkpoint on held-out clips, unless that is done."""
    step = trained(run)
    done = {line["protocol"] for line in read_results(run.metrics.path) if line["step"] == step}
    missing = {name: each for name, each in protocols(evaluated).items() if name not in done}
    if not missing:
        return
    held_out = open_held_out("synthetic-textured", run.experiment)
    data = GivenFrames.of(dataset)
    model = load_run(run, device=choose_device(), cache=run.statistics, data=data)
    samples = ModelSamples.of(model, run.path)
    for result in evaluate_by(samples, held_out, missing, work=work, log=run.metrics):
        print(f"{run.path.name}, step {step}: {result.protocol} {result.value:.4g}", flush=True)


def measure_copies(run: RunDirectory, evaluated: int, work: Work) -> dict[str, float]:
    """The copy baseline by the same protocols."""
    log = copies_log(run)
    if not log.path.exists():
        held_out = open_held_out("synthetic-textured", run.experiment)
        copies = CopyBaseline(run.experiment, run.class_names, run.path)
        evaluate_by(copies, held_out, protocols(evaluated), work=work, log=log)
    return {line["protocol"]: line["value"] for line in read_results(log.path)}


def readings(run: RunDirectory, name: str) -> list[Reading]:
    """What was measured of a run by a protocol, in the order of steps."""
    seconds = {line["step"]: line["seconds"] for line in read_ticks(run.log.path)}
    lines = [line for line in read_results(run.metrics.path) if line["protocol"] == name]
    return sorted(Reading(line["step"], seconds[line["step"]], line["value"]) for line in lines)


def at_time(curve: Sequence[Reading], seconds: float) -> float | None:
    """The value after so much training, on the line between its neighbours; None beyond the curve's ends."""
    for before, after in itertools.pairwise(curve):
        if before.seconds <= seconds <= after.seconds:
            part = (seconds - before.seconds) / (after.seconds - before.seconds)
            return before.value + part * (after.value - before.value)
    return None


def spread(values: Sequence[float | None]) -> str:
    """Mean and unbiased deviation; a dash where a value is missing."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return "–"
    mean = f"{statistics.fmean(known):.4g}"
    return mean if len(known) == 1 else f"{mean} ± {statistics.stdev(known):.2g}"


def mean_points(curves: Sequence[Sequence[Reading]], by_time: bool) -> list[Point]:
    """Means over seeds at the steps that all have reached, over steps or over the seeds' mean seconds."""
    points = []
    for same in zip(*curves, strict=False):
        values = [reading.value for reading in same]
        x = statistics.fmean(reading.seconds for reading in same) if by_time else same[0].step
        points.append(
            Point(x, statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)
        )
    return points


Runs = Mapping[str, Sequence[RunDirectory]]


def table(runs: Runs, copies: Mapping[str, float], seconds: float) -> str:
    """The comparison as Markdown, read off the same curves at equal steps and at equal times."""
    curves = {
        unit: {name: [readings(run, name) for run in own] for name in (SSIM, FRECHET)}
        for unit, own in runs.items()
    }
    every = [curve for own in curves.values() for both in own.values() for curve in both]
    step = min(curve[-1].step for curve in every)
    # A run stops training after its time, so that all curves reach it; on the way it is as far as all have come.
    when = min(seconds, *(curve[-1].seconds for curve in every))
    lines = [
        f"| unit | FVD, paper | s per step | SSIM, step {step} | SSIM, {when:.0f} s | distance, step {step} | "
        f"distance, {when:.0f} s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for unit, own in curves.items():
        name, fvd = PAPER[unit]
        pace = statistics.fmean(curve[-1].seconds / curve[-1].step for curve in own[SSIM])
        cells = [name, f"{fvd}", f"{pace:.3g}"]
        for each in (SSIM, FRECHET):
            cells.append(spread([value_at(curve, step) for curve in own[each]]))
            cells.append(spread([at_time(curve, when) for curve in own[each]]))
        lines.append(f"| {' | '.join(cells)} |")
    ssim, distance = f"{copies[SSIM]:.4g}", f"{copies[FRECHET]:.4g}"
    lines.append(f"| copy of the last given frame | | | {ssim} | {ssim} | {distance} | {distance} |")
    return "\n".join(lines) + "\n"


def value_at(curve: Sequence[Reading], step: int) -> float | None:
    """The value at a step."""
    return next((reading.value for reading in curve if reading.step == step), None)


def plots(runs: Runs, name: str, words: str) -> list[Plot]:
    """A number over steps and over time."""
    found = []
    for by_time, x in ((False, "step"), (True, "seconds of training")):
        drawn = [
            Curve(PAPER[unit][0], mean_points([readings(run, name) for run in own], by_time))
            for unit, own in runs.items()
        ]
        found.append(Plot(words, x, "mean over seeds", drawn))
    return found


class Given(argparse.Namespace):
    """The command line."""

    out: Path
    minutes: float
    units: list[str]
    seeds: int
    turn: int
    evaluated: int
    report: bool


def main(given: Given) -> None:
    """Train and measure in turns until every run has had its time, then write table and curves."""
    scale = Scale(60 * given.minutes, given.turn, given.evaluated)
    if given.report:
        report(given, scale, measured(given))
        return
    work = Work(given.out / "cache")
    print(f"{len(given.units)} units, {given.seeds} seeds, {torch.get_num_threads()} threads", flush=True)
    runs: dict[str, list[RunDirectory]] = {unit: [] for unit in given.units}
    left = []
    for seed in range(given.seeds):
        for unit in given.units:
            experiment = small(unit, seed, scale.turn)
            trainer = Trainer(experiment, "synthetic-textured", given.out / f"{unit}-{seed}", workers=0)
            assert trainer.run is not None
            runs[unit].append(trainer.run)
            left.append((trainer, trainer.run))
    while left:
        for trainer, run in left:
            if not is_finished(run, scale) and not trainer.fit((trained(run) // scale.turn + 1) * scale.turn):
                return
            measure(run, trainer.dataset, scale.evaluated, work)
        left = [pair for pair in left if not is_finished(pair[1], scale)]
    report(given, scale, runs)


def measured(given: Given) -> dict[str, list[RunDirectory]]:
    """Runs that were measured once at least, as far as they have come."""
    paths = {unit: [given.out / f"{unit}-{seed}" for seed in range(given.seeds)] for unit in given.units}
    opened = {unit: [RunDirectory.open(path) for path in own if path.exists()] for unit, own in paths.items()}
    # A turn ends with the distance.
    runs = {unit: [run for run in own if readings(run, FRECHET)] for unit, own in opened.items()}
    if not any(runs.values()):
        raise SystemExit(f"nothing in {given.out} has been measured yet")
    return {unit: own for unit, own in runs.items() if own}


def report(given: Given, scale: Scale, runs: Runs) -> None:
    """Write table and curves of what was measured."""
    first, *_ = runs.values()
    copies = measure_copies(first[0], scale.evaluated, Work(given.out / "cache"))
    written = table(runs, copies, scale.seconds)
    (given.out / "table.md").write_text(written)
    save(given.out / "ssim.svg", plots(runs, SSIM, "best of 10 SSIM"))
    save(given.out / "distance.svg", plots(runs, FRECHET, FRECHET))
    print(f"\n{written}\nwrote {given.out}/table.md, ssim.svg and distance.svg")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the runs, the table and the curves"
    )
    parser.add_argument("--minutes", type=float, default=4, help="training time of each run (4)")
    parser.add_argument("--units", nargs="+", choices=list(PAPER), default=list(PAPER), help="all seven")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each unit (3)")
    parser.add_argument("--turn", type=int, default=90, help="steps between measurements (90)")
    parser.add_argument(
        "--evaluated", type=int, default=128, help="clips of a distance; a quarter for SSIM (128)"
    )
    parser.add_argument(
        "--report", action="store_true", help="train nothing: table and curves of what is there"
    )
    try:
        main(parser.parse_args(namespace=Given()))
    except KeyboardInterrupt:
        print("\nstopped; the same command resumes")
    except UserError as error:
        raise SystemExit(str(error)) from error
