"""``vidgan plot KIND``: figures of what runs have logged, measured or made."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from torch import Tensor

from vidgan.cli import evaluate, table_of
from vidgan.cli.compare import read
from vidgan.cli.parse import Code, option_set, parse
from vidgan.cli.shared import (
    Classes,
    Noise,
    Run,
    Weights,
    at_least,
    check_format,
    file_to_write,
    is_run,
    refuse_idle,
    say,
)
from vidgan.data.window import check_usable
from vidgan.errors import UserError, did_you_mean
from vidgan.evaluation.metrics.frames import psnr
from vidgan.forms import Form, fits
from vidgan.models.cascade import below_of
from vidgan.models.level import view_below
from vidgan.names import tell
from vidgan.presets import preset
from vidgan.report.compare import over_training
from vidgan.report.figures import (
    FUTURES,
    SPECTRA,
    best_of,
    check_target,
    normalised,
    save,
    spectra,
    truncation,
)
from vidgan.report.words import number
from vidgan.run.data import data_of_run, open_data
from vidgan.run.directory import RunDirectory
from vidgan.run.distributed import ending_together, join_replicas
from vidgan.run.experiment import window_of
from vidgan.run.watch import STALL
from vidgan.sample.model import Model, unrolled
from vidgan.sample.video_io import (
    Row,
    as_film,
    as_strip,
    spread,
    stand_in_time,
    to_bytes,
    write_clip,
    write_image,
)
from vidgan.sample.views import left_aligned, picture_of, seen_by_discriminators, side_by_side


def run(args: list[str]) -> int:
    """Draw the kind of figure that the first word names."""
    if not args:
        raise UserError(f"name what to plot: {', '.join(KINDS)}")
    kind, rest = args[0], args[1:]
    if kind in ("-h", "--help"):
        print("usage: vidgan plot KIND ...      (vidgan plot KIND --help explains a kind)\n")
        print(table_of({name: plot.__doc__ or "" for name, plot in KINDS.items()}))
        return 0
    if kind not in KINDS:
        raise UserError(
            f"there is no plot {kind!r}{did_you_mean(kind, list(KINDS))}; there are: {', '.join(KINDS)}"
        )
    tell(f"wrote {KINDS[kind](rest)}")
    return 0


@option_set
class Figure(Code):
    """A figure of several runs."""

    out: Path
    """file to write: .svg, .pdf or .png"""


@option_set
class Results(Figure):
    """A figure of what was measured."""

    results: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN|FOLDER|FILE.jsonl ...")
    ]
    """runs, folders of videos that were evaluated, or files of results"""

    def newest(self, protocol: str, values: Form) -> list[tuple[str, dict[str, Any]]]:
        """The name and the last result by ``protocol`` of each that is named, of those with values of this form.

        Raises:
            UserError: if one has none, or nothing is named.
        """
        if not self.results:
            raise UserError("name at least one RUN")
        found = []
        for name in self.results:
            lines = [dict(entry.line) for entry in read(Path(name)) if entry.line["protocol"] == protocol]
            lines = [line for line in lines if fits(line.get("values"), values)]
            if not lines:
                raise UserError(
                    f"{name} has no result of {protocol}: make one with vidgan evaluate {name} --protocol {protocol}"
                )
            found.append((Path(name).resolve().name, lines[-1]))
        return found


@option_set
class Curves(Figure):
    """Draws results or logged values of several runs over training: mean and deviation over seeds.

    Runs that differ in their seed alone make one curve, with error bars of one standard deviation.
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN ...")]
    """run directories"""
    protocol: tuple[str, ...] = ()
    """results of vidgan evaluate, a plot each"""
    scalar: tuple[str, ...] = ()
    """logged values such as loss/generator, a plot each"""
    level: int | None = None
    """level of a cascade, from 1 (of results the last, of logs the first)"""
    normalise: bool = False
    """from 0, the lowest value of a plot, to 1, its highest"""


def curves(args: list[str]) -> Path:
    """How runs compare over training: mean and deviation over seeds."""
    options = parse(Curves, "plot curves", args)
    if not options.runs:
        raise UserError("name at least one RUN")
    if not options.protocol and not options.scalar:
        raise UserError("say what to draw: --protocol NAME for results, --scalar NAME for logged values")
    if options.level is not None:
        at_least("--level", options.level, 1)
    check_target(options.out)
    runs = [RunDirectory.open(Path(path)) for path in options.runs]
    plots, notes = over_training(runs, options.protocol, options.scalar, options.level)
    for note in notes:
        say(note)
    save(options.out, [normalised(plot) for plot in plots] if options.normalise else plots)
    for plot in plots:
        for curve in plot.curves:
            last = curve.points[-1]
            spread = "" if last.deviation is None else f" ± {number(last.deviation, 2)}"
            tell(f"{plot.title}, {curve.name}: {number(last.y)}{spread} at step {number(last.x)}")
    return options.out


@option_set
class TruncationCurve(evaluate.Measuring):
    """Draws a metric of a run against the deviation of its noise.

    Like vidgan evaluate it appends each result to the run's metrics.jsonl.
    """

    sigmas: Annotated[tuple[float, ...], tyro.conf.arg(metavar="FLOAT ...")] = (0.2, 0.4, 0.6, 0.8, 1.0)
    """deviations"""
    out: Path | None = None
    """svg, pdf or png to write (RUN/truncation.svg)"""


def truncation_curve(args: list[str]) -> Path:
    """A metric against the deviation of the noise."""
    options = parse(TruncationCurve, "plot truncation", args)
    sigmas = sorted(set(options.sigmas))
    if len(sigmas) < 2:
        raise UserError(f"--sigmas takes two or more different deviations, got {len(sigmas)}")
    at_least("--sigmas", sigmas[0], 0)
    if options.sigma is not None or options.threshold is not None:
        raise UserError("the noise is given by --sigmas: leave out --sigma and --threshold")
    if options.copy_last:
        raise UserError("copies of the last given frame are made without noise: leave out --copy-last")
    name = RunDirectory.open(options.evaluated).path.resolve().name
    out = options.out or options.evaluated / "truncation.svg"
    check_target(out)
    results, replicas = [], join_replicas(STALL, evaluate.ENDING)
    with ending_together(replicas):
        for sigma in sigmas:
            lines = evaluate.measured(dataclasses.replace(options, sigma=sigma, out=None), args, replicas)
            results += [(sigma, line) for line in lines]
    save(out, truncation(name, results))
    return out


@option_set
class Futures(Results):
    """Draws SSIM over the predicted frames for the best of 1, 10, 100 predictions (Luc et al. 2020, Figure 5).

    Draws what vidgan evaluate --protocol ssim-best-of-100 has measured, a plot per run. The copy of the last given
    frame stands beside it.
    """


def futures(args: list[str]) -> Path:
    """The best of several predictions, beside a copied frame."""
    options = parse(Futures, "plot futures", args)
    check_target(options.out)
    plots = [best_of(name, line) for name, line in options.newest("ssim-best-of-100", FUTURES)]
    save(options.out, plots)
    for plot in plots:
        for curve in plot.curves:
            tell(f"{plot.title}, {curve.name}: {np.mean([point.y for point in curve.points]):.4f}")
    return options.out


@option_set
class Spectra(Results):
    """Draws the newest power spectra that vidgan evaluate --protocol psd has measured.

    A plot per frame, generated beside real, with one standard deviation over groups of clips.
    """


def power_spectra(args: list[str]) -> Path:
    """Power spectra of generated and real frames."""
    options = parse(Spectra, "plot spectra", args)
    check_target(options.out)
    found = options.newest("psd", SPECTRA)
    several = len(found) > 1
    save(
        options.out,
        [
            plot._replace(title=f"{name}, {plot.title}" if several else plot.title)
            for name, line in found
            for plot in spectra(line)
        ],
    )
    return options.out


@option_set
class Levels(Run, Weights, Classes, Noise):
    """Shows what every level makes of the same clips, one above the other: a picture with time to the right, or
    a video.

    Below the run stand others: the upper levels of a cascade, fed with what this run's first level made, or a model of
    one level with its own videos of the same length.
    """

    out: Path
    """file to write: .png is a picture, .mp4, .gif and .webp are videos"""
    beside: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN2 ...")] = ()
    """other runs, shown below"""
    clips: int = 3
    """number of clips"""
    columns: int = 10
    """frames of each clip in a picture, evenly from first to last"""
    frames: int | None = None
    """frames of each video, at least as many as in training"""
    fps: float = 12.0
    """frames per second of a video"""


def levels(args: list[str]) -> Path:
    """What every level of a cascade makes, one above the other."""
    options = parse(Levels, "plot levels", args)
    at_least("--clips", options.clips, 1)
    at_least("--columns", options.columns, 1)
    check_format(options.out.suffix[1:], options.fps)
    picture = options.out.suffix == ".png"
    if picture:
        refuse_idle(args, "of a picture", "--fps")
    else:
        refuse_idle(args, "of a video, which shows all frames", "--columns")
    own = options.model_from_noise(options.run)
    frames = own.experiment.levels[-1].frames if options.frames is None else options.frames
    others = [(path, options.model_from_noise(path)) for path in options.beside]
    for path, other in others:  # before anything is computed
        require_fitting(path, other, options.run, own, frames)
    drawn = (options.clips, options.chosen, options.seed, options.sigma, options.threshold)
    videos = own.levels(*drawn, frames)
    rows = rows_of(options.run, own, videos, 0)
    for path, other in others:
        fed = len(other.generators) > 1
        found = other.levels(*drawn, length_beside(other, frames), lowest=videos[0] if fed else None)
        rows += rows_of(path, other, [video[:, :frames] for video in found], int(fed))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    shown = stand_in_time(
        [row for row, _ in rows], spread(frames, options.columns) if picture else range(frames), frames
    )
    if picture:
        write_image(options.out, as_strip(shown))
    else:
        write_clip(options.out, as_film(shown), options.fps)
    print("for each clip these rows, from top to bottom:")
    for row, near in rows:
        tell(f"{row.name}{near}")
    return options.out


def require_fitting(path: Path, other: Model, own_path: Path, own: Model, frames: int) -> None:
    """Raise :class:`UserError` unless ``other`` can stand beside ``own``, whose videos have ``frames`` frames.

    It has the same classes, makes as long videos, and if it is a cascade, its first level makes what that of ``own``
    makes.
    """
    if other.class_names != own.class_names:
        raise UserError(f"{path} was trained on other classes than {own_path}")
    ours, theirs = (
        f"{level.frames}x{level.size}x{level.size}"
        for level in (
            unrolled(own.experiment, frames).levels[0],
            unrolled(other.experiment, length_beside(other, frames)).levels[0],
        )
    )
    if len(other.generators) > 1 and ours != theirs:
        raise UserError(
            f"level 1 of {own_path} makes {ours}, and level 2 of {path} takes {theirs}: it cannot be fed with it"
        )


def length_beside(other: Model, frames: int) -> int:
    """Frames of the videos of a model that stands beside others of ``frames`` frames."""
    return max(frames, other.experiment.levels[-1].frames)


def rows_of(path: Path, model: Model, videos: list[Tensor], first: int) -> list[tuple[Row, str]]:
    """The levels from ``first`` (from 0) on, and words about how near each keeps to what it was given."""
    rows = []
    for index, video in list(enumerate(videos))[first:]:
        below = below_of(model.experiment.levels, index)
        size = f"{video.shape[1]}x{video.shape[3]}x{video.shape[4]}"
        row = Row(f"{path.resolve().name}, level {index + 1} ({size})", to_bytes(video).numpy())
        near = ""
        if below is not None:
            output = view_below(video, below, model.experiment.smooth_views)
            apart = number(decibels(videos[index - 1], output))
            near = f": {apart} dB between its input and its output brought down"
        rows.append((row, near))
    return rows


def decibels(given: Tensor, output: Tensor) -> float:
    """Mean over clips of the PSNR of whole clips, as the protocol psnr-below has it."""
    pairs = (to_bytes(video).flatten(1, 2).numpy() for video in (given, output))
    return float(np.mean(psnr(*pairs)))


@option_set
class Views(Code):
    """Shows what each discriminator sees of real clips (Luc et al. 2020, Figure 1): a row per discriminator.

    Several experiments stand side by side and show the same clips where they take as many frames. Pixels are those that
    the discriminators see, so sizes can be compared.
    """

    experiments: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PRESET|RUN ...")]
    """presets, runs or experiments of one's own"""
    out: Path
    """file to write: .png"""
    data: str | None = None
    """the clips (those of the first run)"""
    clips: int = 1
    """clips, below each other"""
    columns: int = 16
    """most frames of a row, evenly from first to last"""
    seed: int = 0
    """which clips, frames and crops"""


def views(args: list[str]) -> Path:
    """What each discriminator sees of real clips."""
    options = parse(Views, "plot views", args)
    at_least("--clips", options.clips, 1, 100)
    at_least("--columns", options.columns, 1)
    file_to_write(options.out, ".png")
    if not options.experiments:
        raise UserError("name at least one PRESET or RUN")
    first = Path(options.experiments[0])
    if options.data is None and not is_run(first):
        raise UserError(f"{first} is no run, which would know its data: name clips by --data")
    blocks, words = [], []
    for name in options.experiments:
        run = RunDirectory.open(Path(name)) if is_run(Path(name)) else None
        experiment = preset(name) if run is None else run.experiment
        if options.data is None:
            dataset = data_of_run(RunDirectory.open(first), None)
        else:
            dataset = open_data(options.data, experiment)
        for index in experiment.rounds:
            check_usable(dataset, window_of(experiment, index))
        seen = seen_by_discriminators(experiment, dataset, options.clips, options.seed)
        blocks.append(
            left_aligned([picture_of(seen, clip, options.columns) for clip in range(options.clips)])
        )
        words += [
            f"{experiment.name}, from top to bottom:",
            *(f"  {each.name} ({each.size})" for each in seen),
        ]
    write_image(options.out, side_by_side(blocks))
    for line in words:
        tell(line)
    return options.out


KINDS: dict[str, Callable[[list[str]], Path]] = {
    "curves": curves,
    "truncation": truncation_curve,
    "futures": futures,
    "spectra": power_spectra,
    "levels": levels,
    "views": views,
}
"""What there is to draw: each draws by the words of its command, and tells which file it wrote."""
