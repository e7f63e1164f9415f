"""Samples while a model trains: the same latents and classes every time, as one animated grid."""

from collections.abc import Sequence

import torch

from vidgan.data.dataset import Dataset
from vidgan.data.loader import to_float
from vidgan.data.pipeline import centre_item
from vidgan.models.cascade import Settled
from vidgan.models.generator import Generator
from vidgan.nn.statistics import SettledStatistics
from vidgan.run.directory import RunDirectory
from vidgan.run.experiment import SettleSpec, TrainingSpec
from vidgan.sample.files import write_clip
from vidgan.sample.grids import grid
from vidgan.sample.settling import settle_table, window_of
from vidgan.sample.trained import Trained, continue_clips, synthesise, to_bytes
from vidgan.seeds import derive

COLUMNS = 8
ROWS = 4
FPS = 8
"""Frames per second of previews; slow enough to see motion in short clips."""


def write_previews(
    run: RunDirectory,
    index: int,
    generator: Generator,
    step: int,
    below: Sequence[Settled],
    labels: Sequence[int],
    dataset: Dataset,
) -> None:
    """Write ``samples/fixed/levelL-stepN.webp`` with the generator as it is now.

    Its statistics are settled on a tenth of the clips that finished models get: enough to look at.

    Args:
        labels: how often each class is drawn for that.
    """
    experiment = run.experiment
    device = next(generator.parameters()).device
    brief = brief_settling(experiment.training)
    table = settle_table(experiment, index, generator, below, labels, dataset, brief, device)
    top = Settled(experiment.levels[index], generator, SettledStatistics(table))
    model = Trained(experiment, (*below, top), run.class_names, step, device)
    clips = range(COLUMNS * ROWS)
    seed = derive(experiment.training.seed, "previews")
    given = experiment.levels[index].context_frames
    if given:
        window = window_of(experiment, index)
        items = [centre_item(dataset, window, i % len(dataset)) for i in clips]
        real = to_float(torch.stack([torch.from_numpy(item.frames) for item in items]))[:, :given]
        video = torch.cat([real, continue_clips(model, real, seed, clips)], dim=1)
    else:
        video = synthesise(model, seed, clips, column_classes(experiment.classes))
    path = run.samples / "fixed" / f"level{index + 1}-step{step:08d}.webp"
    write_clip(path, grid(to_bytes(video).numpy(), COLUMNS), FPS)


def column_classes(classes: int) -> list[int]:
    """A class for every clip of the grid: each column shows one, as many as there is room for."""
    return [i % COLUMNS % classes for i in range(COLUMNS * ROWS)]


def brief_settling(training: TrainingSpec) -> SettleSpec:
    """A tenth of the clips that settle a finished model, in passes no larger than those of training.

    Our choice: a preview must fit wherever training fits, even if settling a finished model would not.
    """
    full = training.settle
    clips = min(full.clips, training.batch.micro)
    return full.replace(batches=max(2, -(-full.batches * full.clips // (10 * clips))), clips=clips)
