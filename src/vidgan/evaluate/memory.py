"""A run asked whether it remembers: its samples' neighbours, their diversity, and the paths between them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from vidgan.data.dataset import Dataset
from vidgan.data.pipeline import centre_place
from vidgan.data.window import WindowSpec, cut
from vidgan.errors import UserError
from vidgan.evaluate.copies import Nearest, Queries, Verdict, group_of, judge, judge_real, nearest_videos
from vidgan.evaluate.likeness import Likeness
from vidgan.evaluate.modes import ClassDiversity, diversity, jump
from vidgan.sample.interpolation import End, between
from vidgan.sample.latents import Truncation
from vidgan.sample.settling import whole_window
from vidgan.sample.trained import Trained, synthesise, to_bytes
from vidgan.seeds import derive


class Memory(NamedTuple):
    """What was found."""

    samples: Queries
    neighbours: Sequence[Nearest]
    real: Queries
    real_neighbours: Sequence[Nearest]
    verdict: Verdict
    real_verdict: Verdict
    """the same of the real clips, each by the others"""
    diversity: Sequence[ClassDiversity]
    jumps: Sequence[float]
    """by interpolation"""


def samples_of(model: Trained, seed: int, labels: Sequence[int], truncation: Truncation) -> Queries:
    """Samples of these classes."""
    videos = to_bytes(synthesise(model, seed, range(len(labels)), labels, truncation)).numpy()
    return Queries(videos, np.asarray(labels, np.int64), [None] * len(labels))


def real_clips(
    dataset: Dataset, window: WindowSpec, labels: Sequence[int], most: int, trained: bool
) -> Queries:
    """Up to ``most`` real clips of each class in ``labels``, each of another recording where there are enough.

    Args:
        labels: by class of ``dataset``, the class that the model knows it as.
        trained: whether they are training clips, whose own recording is no neighbour.

    Raises:
        UserError: if there are none.
    """
    order = np.argsort(
        np.random.PCG64(derive(0, "real clips")).random_raw(len(dataset)), kind="stable"
    ).tolist()
    counts: dict[int, int] = {}
    seen: set[int] = set()
    chosen: list[tuple[int, int]] = []
    later: list[tuple[int, int]] = []
    for index in order:
        label = dataset.info(index).label
        if window.fault(dataset.info(index)) is None:
            (later if group_of(dataset, index) in seen else chosen).append((index, labels[label]))
            seen.add(group_of(dataset, index))
    videos, found, own = [], [], []
    for index, label in [*chosen, *later]:
        if counts.get(label, 0) < most:
            counts[label] = counts.get(label, 0) + 1
            videos.append(cut(dataset, window, centre_place(dataset, window, index)))
            found.append(label)
            own.append(group_of(dataset, index) if trained else None)
    if not videos:
        raise UserError("there are no real clips that are long and large enough to compare with")
    return Queries(np.stack(videos), np.asarray(found, np.int64), own)


def of_classes(queries: Queries, classes: Sequence[int]) -> Queries:
    """Those of some classes alone."""
    rows = [i for i, label in enumerate(queries.labels) if label in classes]
    return Queries(queries.videos[rows], queries.labels[rows], [queries.own[i] for i in rows])


def remember(
    model: Trained,
    dataset: Dataset,
    held_out: tuple[Dataset, Sequence[int]] | None,
    likeness: Likeness,
    seed: int,
    classes: Sequence[int],
    per_class: int,
    paths: int,
    points: int,
    truncation: Truncation,
    begin: Callable[[str, int, int], Callable[[int], None]],
) -> Memory:
    """Ask a model what it remembers of the clips that it was trained on.

    Args:
        held_out: real clips that it was not trained on, and their classes' labels in the training data; without
            them training clips stand in, each compared with the other recordings alone.
        classes: labels to sample, ``per_class`` clips each.
        paths: interpolations between two samples of a class, with ``points`` videos each.

    Raises:
        UserError: if clips cannot be read or compared.
    """
    window = whole_window(model.experiment)
    everyone = (
        list(range(len(dataset.classes))) if model.experiment.conditional else [0] * len(dataset.classes)
    )
    trained = real_clips(dataset, window, everyone, per_class, trained=True)
    real = (
        trained
        if held_out is None
        else real_clips(held_out[0], window, held_out[1], per_class, trained=False)
    )
    real = of_classes(real, classes)
    labels = [label for label in classes for _ in range(per_class)]
    samples = samples_of(model, seed, labels, truncation)
    both = Queries(
        np.concatenate([samples.videos, real.videos]),
        np.concatenate([samples.labels, real.labels]),
        [*samples.own, *real.own],
    )
    advance = begin("training videos", len(dataset), 0)
    found = nearest_videos(both, dataset, everyone, window.stride, likeness, advance)
    made, others = found[: len(labels)], found[len(labels) :]
    spread = diversity(model.class_names, samples.videos, samples.labels, trained.videos, trained.labels)
    jumps = []
    for path in range(paths):
        label = classes[path % len(classes)]
        ends = (End(2 * path, label), End(2 * path + 1, label))
        jumps.append(jump(to_bytes(between(model, derive(seed, "paths"), *ends, points, truncation)).numpy()))
    return Memory(samples, made, real, others, judge(made, others), judge_real(others), spread, jumps)
