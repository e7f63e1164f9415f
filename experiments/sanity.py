"""Do the weights-free distances grow with damage? Real clips against real clips that were damaged step by step.

``python experiments/sanity.py STRIPS --out FOLDER`` takes a folder of strips (an image per clip, square frames side
by side, a folder per class), cuts windows of 16 frames that share none, and splits them in turns into two sets.
One is the reference; the other is damaged and measured against it. Undamaged it shows the floor.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from vidgan.data.layouts import Strips
from vidgan.data.prepare import prepare_by
from vidgan.data.store import PrepareSpec
from vidgan.errors import UserError
from vidgan.evaluation.record import Result, evaluate
from vidgan.seeds import derive

FRAMES, SIDE, SEED = 16, 64, 0
Videos = NDArray[np.uint8]
Labels = NDArray[np.int64]


class Set(NamedTuple):
    """Clips (N, T, H, W, 3) and their classes."""

    videos: Videos
    labels: Labels


def random(purpose: str) -> np.random.Generator:
    """A stream of its own per purpose."""
    return np.random.Generator(np.random.PCG64(derive(SEED, purpose)))


def blur(given: Set, sigma: float) -> Videos:
    """Gaussian blur of every frame."""
    flat = given.videos.reshape(-1, SIDE, SIDE, 3)
    frames = [np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(sigma))) for frame in flat]
    return np.stack(frames).reshape(given.videos.shape)


def noise(given: Set, deviation: float) -> Videos:
    """Independent normal noise on every value."""
    drawn = random("noise").standard_normal(given.videos.shape, dtype=np.float32)
    return (given.videos + deviation * drawn).round().clip(0, 255).astype(np.uint8)


def freeze(given: Set, frames: float) -> Videos:
    """The last frames are repetitions of the one before them."""
    videos = given.videos.copy()
    moving = FRAMES - int(frames)
    videos[:, moving:] = videos[:, moving - 1 : moving]
    return videos


def shuffle(given: Set, frames: float) -> Videos:
    """Some frames of each clip change places."""
    rng, videos = random("shuffle"), given.videos.copy()
    for video in videos:
        places = np.sort(rng.choice(FRAMES, int(frames), replace=False))
        video[places] = video[rng.permutation(places)]
    return videos


def one_class(given: Set, share: float) -> Videos:
    """A share of the clips is replaced by clips of a single class."""
    rng, videos = random("classes"), given.videos.copy()
    count = round(share * len(videos))
    only = np.flatnonzero(given.labels == 0)
    videos[rng.permutation(len(videos))[:count]] = given.videos[rng.choice(only, count)]
    return videos


class Damage(NamedTuple):
    """A way to damage clips, by degrees."""

    title: str
    apply: Callable[[Set, float], Videos]
    degrees: Sequence[float]


DAMAGES = (
    Damage("blur (sigma, pixels)", blur, (0.5, 1, 2, 4)),
    Damage("noise (deviation of 255)", noise, (5, 10, 20, 40)),
    Damage("frozen frames (of 16)", freeze, (4, 8, 12, 15)),
    Damage("shuffled frames (of 16)", shuffle, (4, 8, 12, 16)),
    Damage("share of one class", one_class, (0.25, 0.5, 0.75, 1)),
)


def windows(strips: Path) -> Set:
    """All windows of 16 frames, one behind the other, of all clips."""
    with tempfile.TemporaryDirectory() as folder:
        data = prepare_by(strips, Path(folder) / "data", PrepareSpec(layout=Strips(), size=SIDE), workers=0)
        found = [
            (data.read(index, start, FRAMES), data.info(index).label)
            for index in range(len(data))
            for start in range(0, data.info(index).frames - FRAMES + 1, FRAMES)
        ]
    return Set(np.stack([video for video, _ in found]), np.array([label for _, label in found]))


def measure_all(given: Set, name: str, weights: Path | None, cache: Path) -> dict[str, Any]:
    """Lines by damage and degree; the floor under ``0``. What two protocols see alike is kept in ``cache``."""
    reference, other = given.videos[0::2], Set(given.videos[1::2], given.labels[1::2])
    found: dict[str, Any] = {"protocol": name, "clips": len(other.videos), "degrees": {}}

    def measured(videos: Videos) -> Result:
        return evaluate(videos, reference, name, weights=weights, cache=cache)

    found["0"] = measured(other.videos).line()
    print(name, "two halves", found["0"]["value"], flush=True)
    for damage in DAMAGES:
        rows = {}
        for degree in damage.degrees:
            result = measured(damage.apply(other, degree))
            assert result.deviation is not None
            rows[f"{degree:g}"] = {"value": result.value, "deviation": result.deviation.value}
            print(name, damage.title, degree, result.value, flush=True)
        found["degrees"][damage.title] = rows
    return found


def draw(results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A row per protocol, a panel per damage; a dot with its deviation per degree, the floor as a dashed line."""
    wide, high, left, scale = 300, 250, 70, 2
    picture = Image.new("RGB", (scale * (left + wide * len(DAMAGES)), scale * high * len(results)), "white")
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=scale * 12)

    def text(x: float, y: float, said: str, anchor: str = "mm", fill: str = "#333333") -> None:
        pen.text((scale * x, scale * y), said, font=font, anchor=anchor, fill=fill)

    def line(points: Sequence[tuple[float, float]], fill: str, width: int) -> None:
        pen.line([(scale * x, scale * y) for x, y in points], fill=fill, width=scale * width)

    for row, result in enumerate(results):
        floor = result["0"]["value"]
        for column, damage in enumerate(DAMAGES):
            rows = result["degrees"][damage.title]
            top, bottom = row * high + 45, row * high + high - 45
            begin, end = left + column * wide, left + column * wide + wide - 75
            largest = max([floor, *(entry["value"] + entry["deviation"] for entry in rows.values())]) * 1.05
            places = np.linspace(begin, end, len(rows) + 1)

            def at(value: float, low: float = bottom, up: float = top, most: float = largest) -> float:
                return low - (low - up) * value / most

            line([(begin - 8, top), (begin - 8, bottom), (end + 8, bottom)], "#999999", 1)
            for part in (0, 0.5, 1):
                value = part * largest / 1.05
                text(begin - 14, at(value), f"{value:.3g}", "rm")
            for dash in range(begin - 8, end + 8, 10):
                line([(dash, at(floor)), (dash + 5, at(floor))], "#c44e52", 1)
            entries = [(floor, result["0"]["deviation"]["value"])]
            entries += [(entry["value"], entry["deviation"]) for entry in rows.values()]
            spots = [(float(x), at(value)) for x, (value, _) in zip(places, entries, strict=True)]
            line(spots, "#4c72b0", 2)
            for (x, y), (value, spread) in zip(spots, entries, strict=True):
                line([(x, at(max(0.0, value - spread))), (x, at(value + spread))], "#4c72b0", 1)
                pen.ellipse(
                    [scale * (x - 4), scale * (y - 4), scale * (x + 4), scale * (y + 4)], fill="#4c72b0"
                )
            for x, said in zip(places, ["0", *rows], strict=True):
                text(float(x), bottom + 12, said)
            text((begin + end) / 2, bottom + 30, damage.title)
        text(
            left - 8,
            row * high + 18,
            f"{result['protocol']}: {result['clips']} clips against {result['0']['counts']['real']} others",
            "lm",
            "#000000",
        )
    picture.save(path, optimize=True)


def main() -> None:
    """Measure, write the numbers, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("strips", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for evaluation-sanity.json and .png")
    parser.add_argument(
        "--classifier",
        type=Path,
        help="file of vidgan evaluate --train-classifier, to show frechet-in-domain too",
    )
    parser.add_argument(
        "--protocols",
        nargs="+",
        metavar="NAME",
        default=["frechet-random"],
        help="weights-free ones, or those of vidgan[features]",
    )
    chosen = parser.parse_args()
    given = windows(chosen.strips)
    networks = [(name, None) for name in chosen.protocols]
    if chosen.classifier:
        networks.append(("frechet-in-domain", chosen.classifier))
    with tempfile.TemporaryDirectory() as cache:
        results = [measure_all(given, name, weights, Path(cache)) for name, weights in networks]
    (chosen.out / "evaluation-sanity.json").write_text(json.dumps(results, indent=1) + "\n")
    draw(results, chosen.out / "evaluation-sanity.png")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from error
