"""Judges of generated driving that ask no network for the class, and how varied and how far from real clips it is.

``python experiments/driving_judges.py MODEL --train data/driving --test data/driving-test --out judges.json`` samples
clips of each class (left, right, straight) of a run or of a saved model, and tells, beside the real test clips:

- *turns*: how far the upper half of the picture has moved sideways. Its sign tells left from right; two bounds, chosen
  on the training clips, tell all three.
- *variety*: the mean distance of two clips of a class, over that of two real ones, by features of EfficientNet-Lite0.
- *outliers*: which of the first clips lie farther from the nearest training clip than 99 % of real test clips do.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

import vidgan
from vidgan.data.dataset import Dataset
from vidgan.data.window import WindowSpec, centre_item
from vidgan.errors import UserError
from vidgan.evaluation.metrics.features import squared_distances
from vidgan.evaluation.protocols.base import EvaluationBatch, Resources
from vidgan.evaluation.protocols.efficientnet import EfficientNetLite0Frames
from vidgan.run.experiment import whole_window
from vidgan.sample.video_io import Videos, to_bytes
from vidgan.seeds import derive

Floats = NDArray[np.float64]
CLASSES: Final = ("left", "right", "straight")
MOST: Final = 8
"""pixels that the picture may move sideways from frame to frame"""
RESAMPLES: Final = 1000
DRAWN: Final = 32
"""clips, in the order of their latents, none of which should be an outlier"""


class Clips(NamedTuple):
    """Videos (N T H W C) and their classes."""

    videos: Videos
    labels: NDArray[np.int64]

    def of(self, label: int) -> Videos:
        """Those of one class."""
        return self.videos[self.labels == label]


def real_clips(dataset: Dataset, window: WindowSpec) -> Clips:
    """The window in the middle of every clip."""
    items = [centre_item(dataset, window, index) for index in range(len(dataset))]
    labels = [dataset.info(index).label for index in range(len(dataset))]
    return Clips(np.stack([item.frames for item in items]), np.asarray(labels, np.int64))


def generated(model: vidgan.Model, count: int, seed: int, sigma: float | None) -> Clips:
    """``count`` clips, classes in turns."""
    parts = [
        to_bytes(model.sample(min(24, count - first), seed=seed, sigma=sigma, first=first)).numpy()
        for first in range(0, count, 24)
    ]
    return Clips(np.concatenate(parts), np.arange(count) % len(CLASSES))


def sideways(videos: Videos) -> Floats:
    """How far the upper half of the picture moves to the right over a clip, in pixels (N): the sum over its steps of
    the shift at which neighbouring frames, less their means, differ least, refined by a parabola.
    """
    upper = videos[:, :, : videos.shape[2] // 2].astype(np.float64).mean(-1)
    upper -= upper.mean((2, 3), keepdims=True)
    width, total = upper.shape[-1], np.zeros(len(videos))
    for before, after in zip(np.moveaxis(upper, 1, 0)[:-1], np.moveaxis(upper, 1, 0)[1:], strict=True):
        costs = np.stack(
            [
                np.square(
                    before[:, :, max(0, -shift) : width - max(0, shift)]
                    - after[:, :, max(0, shift) : width - max(0, -shift)]
                ).mean((1, 2))
                for shift in range(-MOST, MOST + 1)
            ],
            axis=1,
        )
        least = costs.argmin(1).clip(1, 2 * MOST - 1)
        left, middle, right = (costs[np.arange(len(costs)), least + step] for step in (-1, 0, 1))
        bend = np.maximum(left - 2 * middle + right, 1e-9)
        total += least - MOST + (0.5 * (left - right) / bend).clip(-1, 1)
    return total


def bounds_of(shifts: Floats, labels: NDArray[np.int64]) -> tuple[int, int]:
    """Below the first a clip counts as right, above the second as left: the best on the clips given."""
    choices = [(low, high) for low in range(-40, 5) for high in range(max(low, 0), 40)]
    return max(choices, key=lambda bounds: float((seen(shifts, bounds) == labels).mean()))


def seen(shifts: Floats, bounds: tuple[int, int]) -> NDArray[np.int64]:
    """The class of each clip: what is ahead moves to the right where the car turns left."""
    return np.where(shifts > bounds[1], 0, np.where(shifts < bounds[0], 1, 2))


def features_of(videos: Videos) -> Floats:
    """(N, 640): the mean of the frames' features, and of how much they change from frame to frame."""
    extractor = EfficientNetLite0Frames().open(Resources(), CLASSES)
    rows = extractor.rows(EvaluationBatch(videos, np.zeros(len(videos), np.int64)))["frames"].astype(
        np.float64
    )
    return np.concatenate([rows.mean(1), np.abs(np.diff(rows, axis=1)).mean(1)], axis=1)


def mean_distance(features: Floats) -> float:
    """Of all pairs."""
    distances = np.sqrt(squared_distances(features, features).clip(0))
    return float(distances[np.triu_indices(len(features), 1)].mean())


def with_deviation(
    values: Sequence[float] | Floats, statistic: Callable[[Floats], float], name: str
) -> dict[str, float]:
    """A statistic of independent values or rows, and its deviation over resamples of them."""
    rows, rng = np.asarray(values), np.random.Generator(np.random.PCG64(derive(0, name)))
    again = [
        statistic(rows[rng.integers(0, len(rows), len(rows))])
        for _ in range(RESAMPLES if rows.ndim == 1 else 50)
    ]
    return {"value": statistic(rows), "deviation": float(np.std(again, ddof=1)), "clips": len(rows)}


def share(right: NDArray[np.bool_], name: str) -> dict[str, float]:
    """The mean of truth values, with its deviation."""
    return with_deviation(right.astype(np.float64), lambda rows: float(rows.mean()), name)


def judge(
    model: vidgan.Model, train: Dataset, test: Dataset, count: int, seed: int, sigma: float | None = None
) -> dict[str, Any]:
    """All that is told of the model, beside the real test clips."""
    window = whole_window(model.experiment)
    known, real, made = (
        real_clips(train, window),
        real_clips(test, window),
        generated(model, count, seed, sigma),
    )
    bounds = bounds_of(sideways(known.videos), known.labels)
    found: dict[str, Any] = {"step": model.step, "seed": seed, "sigma": sigma, "bounds": bounds}
    for name, clips in (("real", real), ("made", made)):
        shifts = sideways(clips.videos)
        turns = clips.labels != CLASSES.index("straight")
        sign = ((shifts > 0) == (clips.labels == 0))[turns]
        right = seen(shifts, bounds) == clips.labels
        found[name] = {
            "sign": share(sign, f"sign {name}"),
            "three classes": share(right, f"three {name}"),
            "sideways": {
                each: np.percentile(shifts[clips.labels == label], [25, 50, 75]).round(1).tolist()
                for label, each in enumerate(CLASSES)
            },
        }
    features = {
        name: features_of(clips.videos) for name, clips in (("known", known), ("real", real), ("made", made))
    }
    for name, clips in (("real", real), ("made", made)):
        found[name]["distance within a class"] = {
            each: with_deviation(features[name][clips.labels == label], mean_distance, f"variety {name}")
            for label, each in enumerate(CLASSES)
        }
    found["variety"] = {
        each: found["made"]["distance within a class"][each]["value"]
        / found["real"]["distance within a class"][each]["value"]
        for each in CLASSES
    }
    nearest = {
        name: np.sqrt(squared_distances(features[name], features["known"]).clip(0)).min(1)
        for name in ("real", "made")
    }
    bound = float(np.quantile(nearest["real"], 0.99))
    found["outliers"] = {
        "bound": bound,
        "of the first": DRAWN,
        "which": np.flatnonzero(nearest["made"][:DRAWN] > bound).tolist(),
        "share": float((nearest["made"] > bound).mean()),
        "median distance": {name: float(np.median(each)) for name, each in nearest.items()},
    }
    return found


def main() -> None:
    """Judge, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a run, or a saved model")
    parser.add_argument("--train", type=Path, required=True, help="prepared clips that it was trained on")
    parser.add_argument("--test", type=Path, required=True, help="prepared clips that it was not trained on")
    parser.add_argument("--clips", type=int, default=384, help="samples, classes in turns (384)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    parser.add_argument("--sigma", type=float, help="deviation of the noise; below 1 truncates (1)")
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    given = parser.parse_args()
    found = judge(
        vidgan.load(given.model),
        vidgan.open_dataset(given.train),
        vidgan.open_dataset(given.test),
        given.clips,
        given.seed,
        given.sigma,
    )
    given.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from error
