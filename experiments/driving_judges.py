"""Judges of generated driving that ask no network for the class, and how varied and how far from real clips it is.

``python experiments/driving_judges.py MODEL --train data/driving --test data/driving-test --out judges.json`` samples
clips of each class (left, right, straight) of a run or of a saved model, and tells, beside the real test clips:

- *turns*: how far the upper half of the picture has moved sideways. Its sign tells left from right; two bounds, chosen
  on the training clips, tell all three.
- *variety*: the mean distance of two clips of a class, over that of two real ones, by features of EfficientNet-Lite0.
- *outliers*: which of the first clips lie farther from the nearest training clip than 99 % of real test clips do.

Every figure has its deviation by bootstrap over clips. Training clips, and the bounds that are chosen on them, stay as
they are.
"""

import argparse
import json
from collections.abc import Callable, Mapping
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
FEWEST: Final = 8
"""clips of a class: of fewer, resamples may hold one clip alone, which is at no distance from another"""
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


def distances(a: Floats, b: Floats) -> Floats:
    """Euclidean distances of rows (n F) and (m F): (n m)."""
    found: Floats = np.sqrt(squared_distances(a, b).clip(0))
    return found


def mean_distance(apart: Floats, chosen: NDArray[np.int64]) -> float:
    """Of all pairs of chosen clips that are not the same clip, which is at distance 0 and may be chosen twice.

    Args:
        apart: distances of all clips (n n).
        chosen: their numbers (m), at least two different ones.
    """
    others = chosen[:, None] != chosen[None]
    return float(apart[np.ix_(chosen, chosen)][others].mean())


def deviation(statistic: Callable[..., float | Floats], name: str, *groups: NDArray[Any]) -> Any:
    """The deviation of a statistic of independent ``groups`` of clips over resamples of each: a number, or one for
    every number that the statistic has (an array).

    Args:
        statistic: of the groups, each an array whose rows belong to clips.
        name: of the figure, from which the resamples derive.
    """
    rng = np.random.Generator(np.random.PCG64(derive(0, name)))
    again: list[Any] = [
        statistic(*(rows[rng.integers(0, len(rows), len(rows))] for rows in groups)) for _ in range(RESAMPLES)
    ]
    return np.std(again, axis=0, ddof=1).tolist()


def share(right: NDArray[np.bool_], name: str) -> dict[str, float]:
    """The mean of truth values, with its deviation."""

    def mean(rows: NDArray[Any]) -> float:
        return float(rows.mean())

    return {"value": mean(right), "deviation": deviation(mean, name, right), "clips": len(right)}


def quartiles(shifts: Floats) -> Floats:
    """The three of them."""
    return np.percentile(shifts, [25, 50, 75])


def variety(made: Floats, real: Floats, name: str) -> dict[str, dict[str, float]]:
    """The mean distance of two clips of a class, by their features (n F): of generated and of real ones, and the ratio.

    Returns:
        ``made``, ``real`` and ``ratio``, each with its ``value`` and ``deviation``; that of the ratio is of both sides.
    """
    sides = {"made": distances(made, made), "real": distances(real, real)}
    all_of = {side: np.arange(len(apart)) for side, apart in sides.items()}
    means = {side: mean_distance(apart, all_of[side]) for side, apart in sides.items()}

    def ratio(of_made: NDArray[np.int64], of_real: NDArray[np.int64]) -> float:
        return mean_distance(sides["made"], of_made) / mean_distance(sides["real"], of_real)

    found = {
        side: {
            "value": means[side],
            "deviation": deviation(
                lambda chosen, apart=apart: mean_distance(apart, chosen),
                f"variety {side} {name}",
                all_of[side],
            ),
            "clips": len(apart),
        }
        for side, apart in sides.items()
    }
    spread = deviation(ratio, f"variety {name}", all_of["made"], all_of["real"])
    return found | {"ratio": {"value": means["made"] / means["real"], "deviation": spread}}


def outlier_bound(real: Floats) -> float:
    """The distance to the nearest training clip that 99 % of held-out clips do not exceed."""
    return float(np.quantile(real, 0.99))


def outliers(made: Floats, real: Floats) -> dict[str, Any]:
    """Which generated clips are farther from the nearest training clip than almost all held-out ones are.

    Args:
        made: distances to the nearest training clip, in the order of the latents (n).
        real: those of held-out clips (m), from which the bound follows: the deviation of the share is of both, and
            beside it stands that at this very bound.
    """
    bound = outlier_bound(real)

    def beyond(of_made: Floats, of_real: Floats) -> float:
        return float((of_made > outlier_bound(of_real)).mean())

    def median(rows: Floats) -> float:
        return float(np.median(rows))

    first = share(made[:DRAWN] > bound, "outliers of the first")
    sides = {"real": real, "made": made}
    return {
        "bound": bound,
        "bound deviation": deviation(outlier_bound, "outlier bound", real),
        "of the first": DRAWN,
        "which": np.flatnonzero(made[:DRAWN] > bound).tolist(),
        "number deviation": first["deviation"] * len(made[:DRAWN]),
        "share": beyond(made, real),
        "share deviation": deviation(beyond, "outliers", made, real),
        "share deviation at this bound": share(made > bound, "outliers at a bound")["deviation"],
        "median distance": {name: median(rows) for name, rows in sides.items()},
        "median distance deviation": {
            name: deviation(median, f"median distance {name}", rows) for name, rows in sides.items()
        },
    }


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
    for name, clips in (("test", real), ("generated", made)):
        for label, each in enumerate(CLASSES):
            if (number := len(clips.of(label))) < FEWEST:
                raise UserError(
                    f"of the {name} clips {number} are of class {each}: it takes {FEWEST} or more"
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
                each: quartiles(shifts[clips.labels == label]).round(1).tolist()
                for label, each in enumerate(CLASSES)
            },
            "sideways deviation": {
                each: deviation(quartiles, f"sideways {name} {each}", shifts[clips.labels == label])
                for label, each in enumerate(CLASSES)
            },
        }
    features = {
        name: features_of(clips.videos) for name, clips in (("known", known), ("real", real), ("made", made))
    }
    varied = {
        each: variety(features["made"][made.labels == label], features["real"][real.labels == label], each)
        for label, each in enumerate(CLASSES)
    }
    for name in ("real", "made"):
        found[name]["distance within a class"] = {each: of[name] for each, of in varied.items()}
    found["variety"] = {each: of["ratio"]["value"] for each, of in varied.items()}
    found["variety deviation"] = {each: of["ratio"]["deviation"] for each, of in varied.items()}
    nearest = {name: distances(features[name], features["known"]).min(1) for name in ("real", "made")}
    found["outliers"] = outliers(nearest["made"], nearest["real"])
    return found


def lines_of(found: Mapping[str, Any]) -> list[str]:
    """What :func:`judge` found, in words, each figure with its deviation."""

    def told(value: float, spread: float) -> str:
        return f"{value:.3f} ± {spread:.3f}"

    lines = [f"step {found['step']}, seed {found['seed']}; generated, in brackets real test clips"]
    for name in ("sign", "three classes"):
        sides = [found[side][name] for side in ("made", "real")]
        made, real = (f"{told(each['value'], each['deviation'])} of {each['clips']}" for each in sides)
        lines.append(f"{name}: {made}  ({real})")
    for each in CLASSES:
        middle = [
            f"{found[side]['sideways'][each][1]:.1f} ± {found[side]['sideways deviation'][each][1]:.1f}"
            for side in ("made", "real")
        ]
        lines.append(f"moved sideways, {each}: {middle[0]} pixels, median  ({middle[1]})")
    for each in CLASSES:
        lines.append(
            f"variety, {each}: {told(found['variety'][each], found['variety deviation'][each])} of real"
        )
    beyond = found["outliers"]
    lines.append(
        f"outliers: {told(beyond['share'], beyond['share deviation'])} of all "
        f"(± {beyond['share deviation at this bound']:.3f} at this bound), "
        f"{len(beyond['which'])} ± {beyond['number deviation']:.1f} of the first {beyond['of the first']}; "
        f"bound {told(beyond['bound'], beyond['bound deviation'])}"
    )
    middle = [
        told(beyond["median distance"][side], beyond["median distance deviation"][side])
        for side in ("made", "real")
    ]
    lines.append(f"distance to the nearest training clip: {middle[0]}, median  ({middle[1]})")
    return lines


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
    print(*lines_of(found), f"wrote {given.out}", sep="\n")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from error
