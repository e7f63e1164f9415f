"""``vidgan evaluate DATA --train-classifier FILE``: a small classifier of the data's classes, to measure with."""

from pathlib import Path
from typing import Annotated

import tyro

from vidgan.cli.parse import option_set, parse
from vidgan.cli.progress import clips_progress
from vidgan.cli.shared import at_least, file_to_write
from vidgan.data.open import open_fitting
from vidgan.data.window import WindowSpec
from vidgan.evaluation.classifier import ClassifierSpec, save_in_domain, train_classifier
from vidgan.report.words import count
from vidgan.run.directory import command_line, versions
from vidgan.run.distributed import choose_device


@option_set
class Options:
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


def run(args: list[str]) -> int:
    """Parse ``args`` and train."""
    options = parse(Options, "evaluate", args)
    for name in ("frames", "stride", "steps", "batch"):
        at_least(f"--{name}", getattr(options, name), 1)
    at_least("--size", options.size, 16)
    file_to_write(options.train_classifier, ".safetensors")
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
        trained = train_classifier(dataset, spec, choose_device(), begin("clips", spec.steps * spec.batch, 0))
    facts = {**trained.facts, "versions": versions(), "command": command_line()}
    save_in_domain(options.train_classifier, trained.network.cpu(), dataset.classes, facts)
    print(
        f"{options.train_classifier}: {count(len(dataset.classes), 'class', 'classes')}; accuracy on "
        f"{count(facts['held_out_clips'], 'held-out clip')} "
        f"{facts['held_out_accuracy']:.3f}"
    )
    return 0
