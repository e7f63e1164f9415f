"""Does a model only remember? Nearest training videos of its clips, beside those of real clips it never saw."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidgan.data.dataset import Dataset
from vidgan.data.pipeline import centre_place
from vidgan.data.store import PreparedDataset
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError
from vidgan.evaluate.batch import Videos
from vidgan.evaluate.likeness import Likeness
from vidgan.evaluate.metrics.alignment import Bytes

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


class Verdict(NamedTuple):
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
    return dataset.group(index) if isinstance(dataset, PreparedDataset) else index


def whole_video(dataset: Dataset, index: int, size: int) -> Bytes:
    """All frames of a clip's central square (F size size 3)."""
    info = dataset.info(index)
    place = centre_place(dataset, WindowSpec(size=size, frames=1), index)
    frames = dataset.read(index, 0, info.frames)
    return np.ascontiguousarray(frames[:, place.top : place.top + size, place.left : place.left + size])


def nearest_videos(
    queries: Queries,
    dataset: Dataset,
    labels: Sequence[int],
    stride: int,
    likeness: Likeness,
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
        distances, starts = likeness.distances(clips[label], whole_video(dataset, index, size), stride)
        if not starts:
            continue
        group = group_of(dataset, index)
        rows, best = by_class[label].tolist(), distances.argmin(1).tolist()
        for place, (row, start) in enumerate(zip(rows, best, strict=True)):
            value = float(distances[place, start])
            known = found[row].get(group)
            if group != queries.own[row] and (known is None or value < known.distance):
                found[row][group] = Nearest(index, starts[start], value, group, np.inf)
    return [_nearest(groups, int(label)) for groups, label in zip(found, queries.labels, strict=True)]


def _nearest(groups: dict[int, Nearest], label: int) -> Nearest:
    if not groups:
        raise UserError(
            f"the training data have no other video of class {label}, or none that is long enough"
        )
    first, *others = sorted(groups.values(), key=lambda each: (each.distance, each.video))
    return first._replace(other=others[0].distance if others else np.inf)


def judge(made: Sequence[Nearest], real: Sequence[Nearest]) -> Verdict:
    """Which clips are copies, by real clips that the model cannot have copied.

    A copy is nearer to a training video than 95 % of those real clips, and by a ratio that 95 % of them do not
    reach nearer to one recording than to every other: the first alone would be true of blurred clips too.
    """
    distance = float(np.quantile([each.distance for each in real], QUANTILE))
    ratio = float(np.quantile([each.ratio for each in real], QUANTILE))
    copies = [each.distance < distance and each.ratio < ratio for each in made]
    return Verdict(copies, float(np.mean(copies)), distance, ratio)


def judge_real(real: Sequence[Nearest]) -> Verdict:
    """The same of the real clips, each by all the others: what is said where nothing was copied."""
    apart = [judge([each], [*real[:i], *real[i + 1 :]] or [each]) for i, each in enumerate(real)]
    copies = [verdict.copies[0] for verdict in apart]
    limits = judge(real, real)
    return limits._replace(copies=copies, share=float(np.mean(copies)))
