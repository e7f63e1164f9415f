"""Samples while a model trains: the same latents and classes every time, as one animated grid; and a few real clips."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidgan.data.dataset import Dataset
from vidgan.data.loader import to_float
from vidgan.data.window import centre_item
from vidgan.errors import UserError
from vidgan.files import write_json
from vidgan.models.cascade import FrozenLevel
from vidgan.models.generator import Generator
from vidgan.names import file_names
from vidgan.nn.norm import StandingStatistics
from vidgan.run.directory import RunDirectory
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import whole_window, window_of
from vidgan.sample.passes import Trained, at_once, brief_statistics
from vidgan.sample.sampler import Sampler, device_of
from vidgan.sample.standing import statistics_of_level
from vidgan.sample.video_io import Videos, grid, to_bytes, under, write_clip, write_image
from vidgan.sample.views import picture_of, seen_by_discriminators
from vidgan.seeds import derive

COLUMNS = 8
ROWS = 4
REALS, REAL_CLASSES = 4, 16
"""Real clips of each class, and classes that have some."""
VIEW_COLUMNS = 12
"""frames in a row of what discriminators see"""
FPS = 8
"""Frames per second of previews; slow enough to see motion in short clips."""


def write_previews(
    run: RunDirectory,
    index: int,
    generators: Sequence[Generator],
    step: int,
    below: Sequence[FrozenLevel],
    labels: Sequence[int],
    dataset: Dataset,
    replicas: Replicas = Replicas(),
) -> None:
    """Write ``samples/fixed/levelL-stepN.webp`` with the generators as they are now.

    Where its units warp, ``samples/motion`` gets the first clips over their motion under the same name, and beside it
    the speed at which colours are full (``fastest``, pixels per frame).

    Its standing statistics are of a tenth of the clips that finished models get: enough to look at.

    Args:
        generators: of the level in training, or of all levels where they are trained together.
        labels: how often each class is drawn for that.
        replicas: the processes that call this together; rank 0 samples and writes.
    """
    experiment = run.experiment
    trained = Trained(experiment, replicas.size)
    brief = brief_statistics(trained, index)
    levels = list(below)
    for generator in generators:
        place = len(levels)
        table = statistics_of_level(
            experiment, place, generator, levels, labels, dataset, brief, replicas=replicas
        )
        standing = StandingStatistics(table, device_of(generator))
        levels.append(FrozenLevel(experiment.levels[place], generator, standing))
    if not replicas.is_rank_zero:
        return
    most = at_once(trained, [level.spec for level in levels])
    sampler = Sampler(levels, most, dtype=experiment.training.dtype)
    clips = range(COLUMNS * ROWS)
    seed = derive(experiment.training.seed, "previews")
    given = experiment.levels[index].context_frames
    if given:
        window = window_of(experiment, index)
        items = [centre_item(dataset, window, i % len(dataset)) for i in clips]
        real = to_float(torch.stack([torch.from_numpy(item.frames) for item in items]))[:, :given]
        own = [item.label if experiment.conditional else 0 for item in items]
        made = sampler.predict(real, clips, own, seed)
        video, motion = torch.cat([real, made.video], dim=1), made.motion
    else:
        video, motion = sampler.sample(clips, column_classes(experiment.classes), seed), None
    path = preview_path(run, index, step)
    videos = to_bytes(video).numpy()
    write_clip(path, grid(videos, COLUMNS), FPS)
    if motion is not None:
        write_motion(run.samples / "motion" / path.stem, videos[:COLUMNS], motion[:COLUMNS])


def write_real_clips(run: RunDirectory, dataset: Dataset) -> None:
    """Write a few real clips into ``samples/real``, which the report shows beside samples: ``CLASS/real-I.webp``.

    The first of each class, of as many classes as ``vidgan sample`` shows. Those that are there already stay.
    """
    experiment = run.experiment
    window, labels, names = whole_window(experiment), dataset.labels(), file_names(run.class_names)
    for label, name in list(enumerate(names))[:REAL_CLASSES]:
        own = np.flatnonzero(labels == label) if experiment.conditional else np.arange(len(dataset))
        for number, index in enumerate(own[:REALS].tolist()):
            path = real_folder(run) / name / f"real-{number}.webp"
            if path.exists() or window.fault(dataset.info(index)):
                continue
            with contextlib.suppress(UserError):  # who trains on it is told
                clip = centre_item(dataset, window, index).frames
                path.parent.mkdir(parents=True, exist_ok=True)
                write_clip(path, clip, FPS)


def real_folder(run: RunDirectory) -> Path:
    """Where real clips are, in a folder per class."""
    return run.samples / "real"


def write_views(run: RunDirectory, dataset: Dataset) -> None:
    """Write ``samples/views.png``, what each discriminator sees of a clip of the data, unless it is there."""
    path = run.samples / "views.png"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = derive(run.experiment.training.seed, "previews")
        with contextlib.suppress(UserError):  # who trains on it is told
            seen = seen_by_discriminators(run.experiment, dataset, 1, seed)
            write_json(path.with_suffix(".json"), {"rows": [f"{each.name} ({each.size})" for each in seen]})
            write_image(path, picture_of(seen, 0, VIEW_COLUMNS))


def preview_path(run: RunDirectory, index: int, step: int) -> Path:
    """The preview of level ``index`` (from 0) after ``step`` steps."""
    return run.samples / "fixed" / f"level{index + 1}-step{step:08d}.webp"


def write_motion(path: Path, videos: Videos, motion: Tensor) -> None:
    """Write clips over their motion (n t 2 H W) as ``path`` with ``.webp``, and the fastest as ``.json``."""
    path.parent.mkdir(exist_ok=True)
    fastest = float(motion.norm(dim=2).max())
    pairs = [under(video, field, fastest) for video, field in zip(videos, motion.numpy(), strict=True)]
    write_json(path.with_suffix(".json"), {"fastest": fastest})
    write_clip(path.with_suffix(".webp"), grid(np.stack(pairs), COLUMNS), FPS)


def column_classes(classes: int) -> list[int]:
    """A class for every clip of the grid: each column shows one, as many as there is room for."""
    return [i % COLUMNS % classes for i in range(COLUMNS * ROWS)]
