"""Does a model copy its training clips, or has it collapsed in some classes?"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidgan.data.dataset import Dataset
from vidgan.data.store import PreparedDataset
from vidgan.data.window import WindowSpec, centre_place, cut
from vidgan.errors import UserError, some
from vidgan.evaluation.metrics.features import Floats, squared_distances
from vidgan.evaluation.metrics.frames import Bytes, aligned_distances, pair_distances, step_distances
from vidgan.evaluation.protocols.base import EvaluationBatch, Extractor
from vidgan.evaluation.rows import Begin, silent
from vidgan.run.collapse import CollapseSpec
from vidgan.run.experiment import whole_window
from vidgan.sample.model import Model
from vidgan.sample.noise import Scaled, Truncation
from vidgan.sample.sampler import End
from vidgan.sample.video_io import Videos, to_bytes
from vidgan.seeds import derive


class Similarity(ABC):
    """Distances of clips to the windows of a video."""

    name: str

    @abstractmethod
    def distances(self, clips: Videos, video: Bytes, stride: int) -> tuple[Floats, list[int]]:
        """Clips (n T H W C) and a video (F H W C): (n, starts), and the frames at which the windows start."""


class Pixels(Similarity):
    """Root mean square difference of pixels, in [0, 1], at every start."""

    name = "pixels"

    def distances(self, clips: Videos, video: Bytes, stride: int) -> tuple[Floats, list[int]]:
        found = aligned_distances(clips, video, stride)
        return found, list(range(found.shape[1]))


class NetworkFeatures(Similarity):
    """Euclidean distance of a network's features, of windows that start every ``hop`` frames."""

    def __init__(self, name: str, extractor: Extractor, hop: int) -> None:
        self.name, self._extractor, self.hop = name, extractor, hop
        self._known: tuple[Videos, Floats] | None = None

    def distances(self, clips: Videos, video: Bytes, stride: int) -> tuple[Floats, list[int]]:
        if self._known is None or self._known[0] is not clips:  # the same clips come for video after video
            self._known = (clips, self._features(clips))
        span = (clips.shape[1] - 1) * stride + 1
        starts = list(range(0, len(video) - span + 1, self.hop))
        if not starts:
            return np.zeros((len(clips), 0)), starts
        windows = np.stack([video[start : start + span : stride] for start in starts])
        return np.sqrt(squared_distances(self._known[1], self._features(windows))), starts

    def _features(self, clips: Videos) -> Floats:
        rows = self._extractor.rows(EvaluationBatch(clips, np.zeros(len(clips), np.int64)))
        name = next(name for name in ("features", "logits", *rows) if name in rows)
        features: Floats = rows[name].reshape(len(clips), -1).astype(np.float64)
        return features


QUANTILE: Final = 0.05
"""share of held-out real clips that would count as copies by either of the two measures"""
SHARE: Final = 0.25
"""share of copies among a model's clips from which on it is said to copy; several times the quantile"""


class Queries(NamedTuple):
    """Clips whose nearest training videos are asked for."""

    videos: Videos
    labels: NDArray[np.int64]
    """(n,), classes of the training data"""
    own: Sequence[int | None]
    """the recording that a clip was cut from, which does not count as its neighbour; None for others"""


class Nearest(NamedTuple):
    """The training video that a clip is nearest to, where both fit best in time."""

    video: int
    """index into the training data"""
    start: int
    """its first frame that is set against the clip"""
    distance: float
    group: int
    """the recording that the video was cut from"""
    other: float
    """distance to the nearest video of another recording of the class; infinite where there is none"""

    @property
    def ratio(self) -> float:
        """1 where another recording is as near; a copy's is small, and that of a blurred clip is not.

        1 too where the class has no other recording: a blur of its only one cannot be told from a copy.
        """
        return self.distance / self.other if 0 < self.other < np.inf else 1.0


class Copying(NamedTuple):
    """Whether a model copies."""

    copies: Sequence[bool]
    """by clip"""
    share: float
    """of copies"""
    distance_limit: float
    ratio_limit: float

    @property
    def said(self) -> str:
        """In a word or two."""
        return "copies" if self.share >= SHARE else "no copies"


def group_of(dataset: Dataset, index: int) -> int:
    """The recording that a clip was cut from; a clip of its own where the data know no recordings."""
    whole, number = dataset.origin(index)
    return whole.group(number) if isinstance(whole, PreparedDataset) else number


def whole_video(dataset: Dataset, index: int, size: int) -> Bytes:
    """All frames of a clip's central square (F size size 3)."""
    window = WindowSpec(size=size, frames=dataset.info(index).frames)
    return cut(dataset, window, centre_place(dataset, window, index))


def nearest_videos(
    queries: Queries,
    dataset: Dataset,
    labels: Sequence[int],
    stride: int,
    similarity: Similarity,
    advance: Callable[[int], None],
) -> list[Nearest]:
    """The nearest video of each clip's own class (Du 2020, 4.3.1: class-wise nearest neighbours, closest clip group).

    Our choice: the best alignment in time, over all starts; the thesis does not say how clips were aligned.

    Args:
        labels: by class of ``dataset``, the label that clips of it have.
        stride: source frames of the training data from one frame of a clip to the next.
        advance: called with a number of videos that are done.

    Raises:
        UserError: where a class has no training video for a clip, or one cannot be read.
    """
    found: list[dict[int, Nearest]] = [{} for _ in queries.labels]  # by group
    size = queries.videos.shape[2]
    by_class = {int(label): np.flatnonzero(queries.labels == label) for label in np.unique(queries.labels)}
    clips = {label: queries.videos[rows] for label, rows in by_class.items()}
    for index in range(len(dataset)):
        advance(1)
        label = labels[dataset.info(index).label]
        if label not in by_class:
            continue
        distances, starts = similarity.distances(clips[label], whole_video(dataset, index, size), stride)
        if not starts:
            continue
        group = group_of(dataset, index)
        rows, best = by_class[label].tolist(), distances.argmin(1).tolist()
        for place, (row, start) in enumerate(zip(rows, best, strict=True)):
            value = float(distances[place, start])
            known = found[row].get(group)
            if group != queries.own[row] and (known is None or value < known.distance):
                found[row][group] = Nearest(index, starts[start], value, group, np.inf)
    for groups, label in zip(found, queries.labels.tolist(), strict=True):
        if not groups:
            of = [name for name, own in zip(dataset.classes, labels, strict=True) if own == label]
            raise UserError(
                f"the training data have no other video of {some(of, 3)}, or none that is long enough: give held-out "
                "clips to compare with, or choose other classes"
            )
    return [_nearest(groups) for groups in found]


def _nearest(groups: dict[int, Nearest]) -> Nearest:
    first, *others = sorted(groups.values(), key=lambda each: (each.distance, each.video))
    return first._replace(other=others[0].distance if others else np.inf)


def compare_nearest(made: Sequence[Nearest], real: Sequence[Nearest]) -> Copying:
    """Which clips are copies, by real clips that the model cannot have copied.

    A copy is nearer to a training video than 95 % of those real clips, and by a ratio that 95 % of them do not
    reach nearer to one recording than to every other: the first alone would be true of blurred clips too.
    """
    distance = float(np.quantile([each.distance for each in real], QUANTILE))
    ratio = float(np.quantile([each.ratio for each in real], QUANTILE))
    copies = [each.distance < distance and each.ratio < ratio for each in made]
    return Copying(copies, float(np.mean(copies)), distance, ratio)


def compare_each_real(real: Sequence[Nearest]) -> Copying:
    """The same of the real clips, each by all the others: what is said where nothing was copied."""
    apart = [compare_nearest([each], [*real[:i], *real[i + 1 :]] or [each]) for i, each in enumerate(real)]
    copies = [each.copies[0] for each in apart]
    limits = compare_nearest(real, real)
    return limits._replace(copies=copies, share=float(np.mean(copies)))


COLLAPSED: Final = CollapseSpec().one_mode_ratio
"""a class whose samples are apart by less than this part of what real clips are has collapsed, as for the detector"""
JUMP: Final = 5.0
"""largest step over the mean one from which on an interpolation jumps"""


class ClassDiversity(NamedTuple):
    """How far clips of a class are apart."""

    name: str
    fake: float
    """mean distance of two samples"""
    real: float
    """mean distance of two real clips"""

    @property
    def ratio(self) -> float:
        """1 where samples are as diverse as real clips."""
        return self.fake / self.real if self.real else np.inf

    @property
    def collapsed(self) -> bool:
        """One mode for the class (Du 2020, 4.3.2)."""
        return bool(self.ratio < COLLAPSED)


def diversity(
    names: Sequence[str],
    fake: Videos,
    fake_labels: NDArray[np.int64],
    real: Videos,
    real_labels: NDArray[np.int64],
) -> list[ClassDiversity]:
    """Classes with two clips or more on both sides, the least diverse first."""
    found = []
    for label, name in enumerate(names):
        sides = fake[fake_labels == label], real[real_labels == label]
        if min(map(len, sides)) >= 2:
            found.append(ClassDiversity(name, *(float(pair_distances(side).mean()) for side in sides)))
    return sorted(found, key=lambda each: each.ratio)


def jump(path: Bytes) -> float:
    """Largest step over the mean one on a path of clips (n T H W C); 1 where all are alike, n - 1 for a single jump.

    A model that remembers its clips shows abrupt jumps between highly distinct samples (Clark et al. 2019, B.2).
    """
    steps = step_distances(path)
    return float(steps.max() / steps.mean()) if steps.any() else 1.0


class Memorisation(NamedTuple):
    """What was found."""

    samples: Queries
    neighbours: Sequence[Nearest]
    real: Queries
    real_neighbours: Sequence[Nearest]
    copying: Copying
    real_copying: Copying
    """the same of the real clips, each by the others"""
    diversity: Sequence[ClassDiversity]
    jumps: Sequence[float]
    """by interpolation"""


class Examined(NamedTuple):
    """What is looked at."""

    classes: Sequence[int]
    """labels that are sampled"""
    per_class: int = 4
    """samples of each, and most real clips"""
    paths: int = 8
    """interpolations between two samples of a class"""
    points: int = 16
    """videos in each, both ends included"""
    seed: int = 0
    """of the noise"""
    truncation: Truncation = Scaled()
    """how noise is drawn"""


def samples_of(model: Model, examined: Examined) -> Queries:
    """Samples of the classes, one class after another."""
    labels = [label for label in examined.classes for _ in range(examined.per_class)]
    sampler = model.sampler(truncation=examined.truncation)
    videos = sampler.sample(range(len(labels)), labels, examined.seed, examined.truncation)
    return Queries(to_bytes(videos).numpy(), np.asarray(labels, np.int64), [None] * len(labels))


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
    words = np.random.PCG64(derive(0, "real clips")).random_raw(len(dataset))
    seen: set[int] = set()
    chosen: list[int] = []
    later: list[int] = []
    for index in np.argsort(words, kind="stable").tolist():
        if window.fault(dataset.info(index)) is None:
            (later if group_of(dataset, index) in seen else chosen).append(index)
            seen.add(group_of(dataset, index))
    counts: dict[int, int] = {}
    videos, found, own = [], [], []
    for index in [*chosen, *later]:
        label = labels[dataset.info(index).label]
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


def examine(
    model: Model,
    dataset: Dataset,
    held_out: tuple[Dataset, Sequence[int]] | None,
    similarity: Similarity,
    examined: Examined,
    begin: Begin = silent,
) -> Memorisation:
    """Find what a model has memorised of the clips that it was trained on.

    Args:
        held_out: real clips that it was not trained on, and their classes' labels in the training data; without
            them training clips stand in, each compared with the other recordings alone.
        begin: shows progress.

    Raises:
        UserError: if clips cannot be read or compared.
    """
    window, classes = whole_window(model.experiment), examined.classes
    labels = range(len(dataset.classes)) if model.experiment.conditional else [0] * len(dataset.classes)
    trained = real_clips(dataset, window, labels, examined.per_class, trained=True)
    real = trained
    if held_out is not None:
        real = real_clips(held_out[0], window, held_out[1], examined.per_class, trained=False)
    real = of_classes(real, classes)
    samples = samples_of(model, examined)
    both = Queries(
        np.concatenate([samples.videos, real.videos]),
        np.concatenate([samples.labels, real.labels]),
        [*samples.own, *real.own],
    )
    advance = begin("training videos", len(dataset), 0)
    found = nearest_videos(both, dataset, labels, window.stride, similarity, advance)
    made, others = found[: len(samples.labels)], found[len(samples.labels) :]
    spread = diversity(model.class_names, samples.videos, samples.labels, trained.videos, trained.labels)
    jumps = []
    for path in range(examined.paths):
        label, seed = classes[path % len(classes)], derive(examined.seed, "paths")
        ends = (End(2 * path, label), End(2 * path + 1, label))
        videos = model.sampler(truncation=examined.truncation).interpolate(
            *ends, examined.points, seed, examined.truncation
        )
        jumps.append(jump(to_bytes(videos).numpy()))
    return Memorisation(
        samples, made, real, others, compare_nearest(made, others), compare_each_real(others), spread, jumps
    )
