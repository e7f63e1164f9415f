"""``vidgan evaluate``: a number with its protocol on record, of a run or of files."""

import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import tyro

from vidgan.cli import memorisation
from vidgan.cli.parse import Code, option_set, parse
from vidgan.cli.progress import clips_progress
from vidgan.cli.shared import (
    Device,
    Noise,
    Weights,
    at_least,
    beside,
    file_to_write,
    is_run,
    refuse_idle,
    say,
)
from vidgan.data.dataset import Dataset
from vidgan.data.open import open_fitting
from vidgan.data.raw_videos import RawVideos, open_videos
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError
from vidgan.evaluation.classifier import ClassifierSpec, save_in_domain, train_classifier
from vidgan.evaluation.evaluated import CopyBaseline, Evaluated, FinishedVideos, ModelSamples, OfExperiment
from vidgan.evaluation.opening import Opening, open_beside, open_run, open_sides
from vidgan.evaluation.protocols import ALL, Protocol, adjusted, protocol
from vidgan.evaluation.protocols.base import Resources
from vidgan.evaluation.record import Result, changes_of, copies_log, evaluate_by
from vidgan.evaluation.rows import Work, silent
from vidgan.evaluation.shares import Shares
from vidgan.files import default_cache
from vidgan.memory import FLOAT, require_memory_for_clips
from vidgan.names import printable, tell
from vidgan.report.words import count
from vidgan.run.data import data_of_run, open_data
from vidgan.run.directory import RunDirectory, command_line, versions
from vidgan.run.distributed import Replicas, ending_together, join_replicas
from vidgan.run.logs import Log
from vidgan.run.watch import STALL
from vidgan.sample.classes import class_numbers
from vidgan.sample.model import RECORD


@option_set
class Measuring(Weights, Noise, Code):
    """What is measured, and how."""

    evaluated: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|FOLDER|FILE.npy")]
    """run, folder of videos, or array of clips"""
    protocol: tuple[str, ...] = ()
    """one or more protocols by name"""
    data: str | None = None
    """prepared clips to measure against (the run's)"""
    real: Path | None = None
    """real videos that are not prepared, or .npy"""
    weights: Path | None = None
    """file of the network's weights"""
    mean_clip: Path | None = None
    """C3D's mean clip (mean2.npz)"""
    run_foreign_code: bool = False
    """run the code in weights that are TorchScript"""
    clips: int | None = None
    """evaluated clips"""
    real_clips: int | None = None
    """most real clips"""
    frames: int | None = None
    """frames per clip"""
    random_window: bool = False
    """windows that the last level makes as in training"""
    stride: int | None = None
    """source frames from one frame to the next"""
    size: int | None = None
    """side of the clips (pixels); files are resized"""
    fit: str | None = None
    """crop or squash files that are not square"""
    classes: tuple[str, ...] = ()
    """of a run, only these, generated and real (all)"""
    futures: int | None = None
    """continuations per clip, for ssim-best-of-100"""
    positions: Annotated[tuple[int, ...], tyro.conf.arg(metavar="INT ...")] = ()
    """frames whose spectra are taken, from 1, for psd"""
    windows: int | None = None
    """most clips of each real video, spread out (1)"""
    runs: int | None = None
    """repetitions with other noise, for a deviation"""
    copy_last: bool = False
    """measure copies of the last given frame instead"""
    out: Path | None = None
    """file for results of files (beside them)"""
    cache: Path | None = None
    """folder for features (in the user's cache folder)"""


@option_set
class Options(Measuring):
    """Measures by protocols; results of a run are appended to its metrics.jsonl."""

    protocols: bool = False
    """list the protocols, and nothing else"""
    memorisation: bool = False
    """look for copied clips; add --help for its options"""
    train_classifier: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """make a network to measure with; add --help"""


OF_A_MODEL: Mapping[str, object] = {
    **dict.fromkeys(("sigma", "threshold", "runs", "statistics_sigma", "level")),
    **{"classes": (), "raw": False, "checkpoint": "last", "random_window": False},
}
"""options that mean nothing for finished videos, and their defaults"""


def run(args: list[str]) -> int:
    """Parse ``args`` and measure, or do what --memorisation or --train-classifier say."""
    if "--protocols" in args:
        for name, each in ALL.items():
            say(f"{name}: {each.about}")
        return 0
    if "--memorisation" in args:
        return memorisation.run(args)
    if any(arg.split("=")[0] == "--train-classifier" for arg in args):
        train_network(args)
    else:
        options, replicas = parse(Options, "evaluate", args), join_replicas(STALL, ENDING)
        with ending_together(replicas):
            measured(options, args, replicas)
    return 0


def measured(options: Measuring, args: Sequence[str], replicas: Replicas) -> list[dict[str, Any]]:
    """Measure and print; the lines of the results. ``args`` are the words that ``options`` were read from."""
    if not options.protocol:
        raise UserError("say what to measure by: --protocol NAME; vidgan evaluate --protocols lists them")
    check(options)
    named = [protocol(name) for name in options.protocol]
    require_effect(options, named, args)
    chosen = {each: with_options(own, options) for each, own in zip(options.protocol, named, strict=True)}
    shares = Shares.of(replicas)
    device = options.place
    sigma, level = options.statistics_sigma, options.level
    most = options.micro_batch
    opening = Opening(options.checkpoint, options.raw, device, None, sigma, level, most)
    evaluated, real, log = sides_of(options, opening)
    if options.classes:
        chosen = {
            name: adjusted(each, classes=classes_of(options, evaluated)) for name, each in chosen.items()
        }
    lines: list[dict[str, Any]] = []

    def finished(result: Result) -> None:
        if not lines and not is_run(options.evaluated):
            tell(f"results: {log.path}", to=sys.stderr)
        lines.append(result.line())
        show(lines[-1])
        alarm(lines[-1])

    with clips_progress() as begin:
        resources = Resources(options.weights, options.mean_clip, options.run_foreign_code, device, most)
        told = begin if shares.is_rank_zero else silent
        work = Work(options.cache or default_cache(), shares, told, replicas=replicas)
        results = evaluate_by(evaluated, real, chosen, resources, work, log, tell=finished)
    if shares.is_rank_zero:  # now that every file has been looked at
        videos = evaluated.videos if isinstance(evaluated, FinishedVideos) else None
        tell_remarks(*(side for side in (videos, real) if side is not None))
    return lines or [result.line() for result in results]


def tell_remarks(*sides: Dataset) -> None:
    """Say what lies beside the videos that were measured and was not read, and what was odd about these."""
    for videos in sides:
        for remark in videos.remarks if isinstance(videos, RawVideos) else ():
            tell(f"{videos.source}: {remark}", to=sys.stderr)


def check(options: Measuring) -> None:
    """Raise :class:`UserError` for numbers that make no sense, before anything is computed."""
    for name in (
        "clips",
        "real_clips",
        "frames",
        "stride",
        "size",
        "futures",
        "windows",
        "runs",
        "micro_batch",
    ):
        value = getattr(options, name)
        if value is not None:
            at_least(f"--{name.replace('_', '-')}", value, 1)
    _ = options.truncation
    if options.data is not None and options.real is not None:
        raise UserError("--data and --real both name the real videos: give one of them")
    if options.out is not None and not options.out.parent.is_dir():
        raise UserError(f"--out {options.out}: there is no folder {options.out.parent}")


ENDING: Final = "measuring stopped, and the same command goes on from the clips that are done"
"""where one of several processes ends"""
OF_SOME_PROTOCOLS: Final[Mapping[str, tuple[Any, Any]]] = {
    **dict.fromkeys(("futures", "real_clips", "windows"), (1, 2)),
    "positions": ((1,), (2,)),
}
"""options that not every protocol has a setting for, and two values of each"""


def require_effect(options: Measuring, named: Sequence[Protocol], args: Sequence[str]) -> None:
    """Raise :class:`UserError` for an option that changes none of the protocols."""
    for name, values in OF_SOME_PROTOCOLS.items():
        if getattr(options, name) not in (None, ()) and all(
            adjusted(each, **{name: values[0]}) == adjusted(each, **{name: values[1]}) for each in named
        ):
            raise UserError(
                f"--{name.replace('_', '-')} changes nothing of {', '.join(options.protocol)}: leave it out"
            )
    if options.copy_last:
        drawn = (f"--{name.replace('_', '-')}" for name in OF_A_MODEL if name != "classes")
        refuse_idle(args, "of copies of the last given frame, which no model makes", *drawn)
    if not is_run(options.evaluated) and not (options.evaluated / RECORD).is_file():
        unused = f"of {', '.join(options.protocol)} on finished videos, as no real ones are looked at"
        if not any(each.real or each.features.needs_data for each in named):
            refuse_idle(args, unused, "--data", "--real")
        if not any(each.real for each in named):
            refuse_idle(args, unused, "--stride")


def with_options(named: Protocol, options: Measuring) -> Protocol:
    """A protocol with the settings that were given."""
    given = options.sigma is not None or options.threshold is not None
    return adjusted(
        named,
        clips=options.clips,
        real_clips=options.real_clips,
        windows=options.windows,
        frames=options.frames,
        stride=options.stride,
        size=options.size,
        fit=options.fit,
        futures=options.futures,
        positions=options.positions,
        runs=options.runs,
        seed=options.seed,
        truncation=options.truncation if given else None,
        averaged=not options.raw,
        random_window=options.random_window or None,
    )


def sides_of(options: Measuring, opening: Opening) -> tuple[Evaluated, Dataset | None, Log]:
    """What is measured, what it is compared with, and the file that results are appended to."""
    path = options.evaluated
    if is_run(path):
        if options.out is not None:
            raise UserError("results of a run are kept in its metrics.jsonl: leave out --out")
        run = RunDirectory.open(path)
        own = options.real or data_of_run(run, options.data)
        samples, dataset = open_run(run, own, opening._replace(cache=run.statistics))
        if not options.copy_last:
            return samples, dataset, run.metrics
        if not run.experiment.levels[0].context_frames:
            raise UserError("--copy-last copies the last given frame, and this model is given none")
        return CopyBaseline(run.experiment, run.class_names, run.path), dataset, copies_log(run)
    if options.copy_last:
        raise UserError(f"--copy-last copies what a run is given; {path} is no run directory")
    log = Log(options.out or results_beside(path))
    if (path / RECORD).is_file():
        model = options.model(path)
        if options.data is not None:
            return ModelSamples.of(model, path), open_data(options.data, model.experiment), log
        return *open_sides(model, options.real, opening), log
    for name, default in OF_A_MODEL.items():
        if getattr(options, name) != default:
            option = name.replace("_", "-")
            raise UserError(f"--{option} says how a model is sampled; {path} holds finished videos")
    videos = open_videos(path, options.size)
    real: Path | Dataset | None = options.real
    if options.data is not None:
        span = (options.frames or videos.info(0).frames) * (options.stride or 1)
        real = open_fitting(options.data, videos.size, span)
    return *open_beside(videos, real, opening), log


def classes_of(options: Measuring, evaluated: Evaluated) -> list[str]:
    """The names of the classes that are asked for by name or number."""
    assert isinstance(evaluated, OfExperiment)
    if not evaluated.experiment.conditional:
        raise UserError("this model was trained without classes: leave out --classes")
    return [evaluated.classes[number] for number in class_numbers(evaluated.classes, options.classes)]


def results_beside(evaluated: Path) -> Path:
    """Where results of files are kept: beside them, so that the videos stay as they are."""
    return beside(evaluated, "metrics.jsonl")


def show(line: dict[str, Any]) -> None:
    """Print a result and its table."""
    step = "" if line["step"] is None else f", step {line['step']}"
    copies = ", copies of the last given frame" if "copies" in line["evaluated"] else ""
    noise = "" if (drawn := sampling_of(line)) is None else f", {drawn}"
    facts = f"{count(line['clips'], 'clip')}{copies}{step}, seed {line['seed']}{noise}"
    tell(f"{line['protocol']}: {number_of(line)}  ({facts})")
    real = line.get("real") or {}
    if left := real.get("not_taken"):
        tell(f"  real clips are of {real['videos'] - left} of {count(real['videos'], 'real video')}")
    if (floor := line.get("two_real_halves")) is not None:
        tell(f"  two sets of {count(floor['clips'], 'real clip')}: {floor['value']:.4g}")
    if (accuracy := line["network"].get("held_out_accuracy")) is not None:
        tell(f"  the classifier's accuracy on held-out clips: {accuracy:.4f}")
    for name, value in line["values"].items():
        if not name.endswith("per_class") and not is_long(value):
            tell(f"  {name}: {shown(value)}")
    if changes := changes_of(ALL[line["protocol"]].protocol, line):
        say(f"  differs from the protocol of this name: {'; '.join(changes)}")
    table = line.get("table")
    if table is not None:
        rows, columns = ([printable(name) for name in table[side]] for side in ("rows", "columns"))
        for text in confusion(rows, columns, table["counts"]):
            tell(text)


def confusion(rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]]) -> list[str]:
    """How many clips of the class of a row were seen as that of a column, as lines.

    Where the names of the columns are too long for the terminal, numbers stand for them, and before those of the rows.
    """
    asked, width = list(rows), max(map(len, [*rows, *columns])) + 2
    first, heads = width, list(columns)
    if width * (1 + len(columns)) > shutil.get_terminal_size().columns:
        asked = [f"{i:>{len(str(len(rows)))}} {name}" for i, name in enumerate(rows, 1)]
        heads = [str(rows.index(name) + 1) if name in rows else name for name in columns]
        width = max(map(len, [*heads, *(str(c) for row in counts for c in row)])) + 2
        first = max(map(len, [*asked, "asked \\ seen"])) + 2
    lines = ["  asked \\ seen".ljust(first) + "".join(head.rjust(width) for head in heads)]
    for name, row in zip(asked, counts, strict=True):
        lines.append(f"  {name}".ljust(first) + "".join(str(c).rjust(width) for c in row))
    return lines


def sampling_of(line: Mapping[str, Any]) -> str | None:
    """How noise was truncated, in words; None where it was not."""
    truncation = (line["settings"].get("sampling") or {}).get("truncation") or {}
    if "limit" in truncation:
        return f"threshold {truncation['limit']:g}"
    sigma = truncation.get("sigma", 1)
    return None if sigma == 1 else f"sigma {sigma:g}"


def is_long(value: object) -> bool:
    """Whether a value is a curve or several, which are in the file and not on the screen."""
    if isinstance(value, dict):
        return any(isinstance(item, list) for item in value.values())
    return isinstance(value, list) and (len(value) > 8 or any(isinstance(item, list) for item in value))


def shown(value: object) -> str:
    """A value with its numbers as :func:`readable` writes them."""
    if isinstance(value, float):
        return readable(value)
    if isinstance(value, list):
        return ", ".join(shown(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {shown(item)}" for name, item in value.items())
    return str(value)


def number_of(line: dict[str, Any]) -> str:
    """The headline with its deviation."""
    deviation = line.get("deviation")
    if deviation is None or not math.isfinite(deviation["value"]):
        return readable(line["value"])
    of = {"runs": f"over {deviation['times']} runs", "bootstrap": "by bootstrap"}[deviation["over"]]
    return f"{readable(line['value'])} ± {deviation['value']:.2g} {of}"


def readable(value: float) -> str:
    """Four decimals, or as many as show four digits."""
    return f"{value:.4f}" if value == 0 or abs(value) >= 0.1 else f"{value:.4g}"


def alarm(line: dict[str, Any]) -> None:
    """Print a result's warnings where they cannot be overlooked."""
    for text in line["warnings"]:
        tell(f"WARNING: {line['protocol']}: {text}", to=sys.stderr)


@option_set
class TrainClassifier(Device):
    """Trains a small 3-D classifier on the classes of a prepared dataset, for frechet-in-domain and accuracy-in-domain.

    The last clips of each class are held out; the accuracy on them is kept in the file and stands beside every
    number that is made with it.
    """

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """prepared dataset, or "synthetic\""""
    train_classifier: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """file to write (.safetensors)"""
    frames: int = 16
    """frames per clip"""
    stride: int = 1
    """source frames from one frame of a clip to the next"""
    size: int = 64
    """side of the clips (pixels)"""
    steps: int = 600
    """updates"""
    batch: int = 16
    """clips per update"""
    rate: float = 2e-3
    """largest learning rate"""
    held_out: float = 0.2
    """share of each class that training does not see"""
    seed: int = 0
    """of the weights and of which clips come when"""


def train_network(args: list[str]) -> None:
    """Parse ``args`` and train a classifier."""
    options = parse(TrainClassifier, "evaluate", args)
    for name in ("frames", "stride", "steps", "batch"):
        at_least(f"--{name}", getattr(options, name), 1)
    at_least("--size", options.size, 16)
    file_to_write(options.train_classifier, ".safetensors")
    smaller = "choose a smaller --batch, --frames or --size"
    require_memory_for_clips(options.batch, options.frames, options.size, 2 * FLOAT, smaller)
    window = WindowSpec(size=options.size, frames=options.frames, stride=options.stride)
    spec = ClassifierSpec(
        window=window,
        steps=options.steps,
        batch=options.batch,
        rate=options.rate,
        held_out=options.held_out,
        seed=options.seed,
    )
    dataset = open_fitting(options.data, options.size, window.span)
    with clips_progress() as begin:
        trained = train_classifier(dataset, spec, options.place, begin("clips", spec.steps * spec.batch, 0))
    facts = {**trained.facts, "versions": versions(), "command": command_line()}
    save_in_domain(options.train_classifier, trained.network.cpu(), dataset.classes, facts)
    tell(
        f"{options.train_classifier}: {count(len(dataset.classes), 'class', 'classes')}; accuracy on "
        f"{count(facts['held_out_clips'], 'held-out clip')} "
        f"{facts['held_out_accuracy']:.3f}"
    )
