"""``vidgan demo``: trains a small model in minutes, samples it, evaluates it and shows it."""

from pathlib import Path

import numpy as np
import torch

from vidgan.cli.evaluate import show
from vidgan.cli.parse import option_set, parse
from vidgan.cli.shared import positive
from vidgan.evaluation.evaluated import ModelSamples
from vidgan.evaluation.protocols import protocol
from vidgan.evaluation.protocols.base import Resources
from vidgan.evaluation.record import evaluate_by
from vidgan.evaluation.rows import Work
from vidgan.files import default_cache
from vidgan.names import file_name, tell
from vidgan.presets.demo import demo
from vidgan.report.page import write_report
from vidgan.report.words import count
from vidgan.run.data import SYNTHETIC, open_data
from vidgan.run.directory import RunDirectory
from vidgan.run.distributed import Replicas, choose_device, side_by_side
from vidgan.run.experiment import Experiment
from vidgan.sample.load import load_run
from vidgan.sample.model import Model
from vidgan.sample.video_io import grid, to_bytes, write_clip
from vidgan.train.trainer import Trainer

PER_CLASS = 4
"""samples of each class in the report"""
FPS = 8.0


@option_set
class Options:
    """Trains a small DVD-GAN on built-in clips of moving shapes, samples, evaluates and writes a report."""

    out: Path = Path("runs/demo")
    """run directory; new or empty"""
    minutes: float = 5.0
    """training time"""
    seed: int = 0
    """seed of the run"""
    resume: bool = False
    """resume a demo that was interrupted"""


def run(args: list[str]) -> int:
    """Parse ``args``, train, sample, evaluate and report."""
    options = parse(Options, "demo", args)
    positive("--minutes", options.minutes)
    if not (options.resume and (options.out / "experiment.json").exists()):
        RunDirectory.require_free(options.out)
    experiment = demo()
    experiment = experiment.replace(training=experiment.training.replace(seed=options.seed))
    dataset = open_data(SYNTHETIC, experiment)
    print(experiment.description)
    tell(f"Training for {count(options.minutes, 'minute')}; watch {options.out}/samples/fixed.", flush=True)
    if not side_by_side(processes_here(), train, options.out, experiment, options.minutes):
        return 0
    directory = RunDirectory.open(options.out)
    model = load_run(directory, device=choose_device(), cache=directory.statistics)
    protocols = {name: protocol(name) for name in ("oracle-accuracy", "oracle-variety", "pixel-statistics")}
    resources, work = Resources(device=model.device), Work(default_cache())
    samples = ModelSamples.of(model, directory.path)
    for result in evaluate_by(samples, dataset, protocols, resources, work, directory.metrics):
        show(result.line())
    write_samples(directory, model)
    page = write_report(directory.path)
    for line in (
        "",
        f"The report: {page}",
        f"The samples: {directory.samples}",
        "",
        "What to try next:",
        f"  vidgan sample {options.out} --out {options.out}/more --classes disc-right square-grow --grid",
        "  vidgan prepare YOUR_VIDEOS data/mine --layout folder --size 64",
        "  vidgan presets",
    ):
        tell(line)
    return 0


def processes_here() -> int:
    """Processes that train: two on a CPU of two cores or more, else one. Up to rounding they train the same, as no
    process passes more clips at once than one alone would."""
    return 2 if choose_device().type == "cpu" and torch.get_num_threads() > 1 else 1


def train(replicas: Replicas, out: Path, experiment: Experiment, minutes: float) -> bool:
    """Train the run at ``out`` for so long, as one of ``replicas``; whether it finished."""
    # Clips are drawn sooner than they would come from another process.
    return Trainer(experiment, SYNTHETIC, out, workers=0, replicas=replicas).fit(minutes=minutes)


def write_samples(directory: RunDirectory, model: Model) -> None:
    """Samples of every class, as files of their own and as one grid."""
    names = model.class_names
    labels = [i % len(names) for i in range(len(names) * PER_CLASS)]
    videos = to_bytes(model.sample(len(labels), seed=1)).numpy()
    for i, (video, label) in enumerate(zip(videos, labels, strict=True)):
        write_clip(class_folder(directory, names[label]) / f"fake-{i // len(names)}.webp", video, FPS)
    # A column per class, so that a look down a column compares samples of one class.
    large = np.repeat(np.repeat(videos, 4, axis=2), 4, axis=3)
    write_clip(directory.samples / "samples.mp4", grid(large, len(names)), FPS)


def class_folder(directory: RunDirectory, name: str) -> Path:
    """Where the report looks for clips of a class."""
    folder = directory.samples / "classes" / file_name(name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
