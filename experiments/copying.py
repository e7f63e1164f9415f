"""Predictions of held-out clips beside copying the last given frame, per frame that is made.

``python experiments/copying.py MODEL ... --data data/driving-test --out copying.json`` continues the middle of every
clip from its first frames, ten times with other noise. Of SSIM and PSNR it tells, for each made frame: copying, one
continuation (the first), and the best of ten, which is chosen per clip by its mean over the frames (as in Luc et al.
2020, Fig. 5). PSNR counts at most 58.9 dB, that of rounding to bytes: a clip that stands still is copied without error,
which would make every mean infinite. Deviations are over resamples of the clips, of the difference to copying, too:
the same clips are hard for both. Where the units of a model warp, it also tells how its motion goes with the true
shift of the upper half of the picture, sideways. Models of one kind with other seeds may be
named together; ``--curves`` and ``--strips`` draw what is told, and some futures of the first model.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

import vidgan
from driving_judges import sideways
from vidgan.data.dataset import Dataset
from vidgan.data.loader import to_float
from vidgan.data.window import centre_item
from vidgan.errors import UserError
from vidgan.evaluation.metrics.features import Numbers
from vidgan.evaluation.metrics.frames import best_of, copy_last, ssim
from vidgan.evaluation.metrics.frames import psnr as unbounded
from vidgan.files import write_text
from vidgan.report.figures import Curve, Plot, Point, check_target, save
from vidgan.run.experiment import whole_window
from vidgan.sample.sampler import Futures
from vidgan.sample.video_io import Clip, Videos, strip, to_bytes, write_image
from vidgan.seeds import derive

Floats = NDArray[np.float64]
ROUNDING: Final = -10 * math.log10(1 / (12 * 255**2))
"""dB; our choice: the error of a number that was rounded to a byte is even within half a level"""


def psnr(a: Numbers, b: Numbers) -> Floats:
    """PSNR per frame, at most :data:`ROUNDING`."""
    return np.minimum(unbounded(a, b), ROUNDING)


MEASURES: Final = {"ssim": ssim, "psnr": psnr}
AXES: Final = {"ssim": "SSIM", "psnr": "PSNR (dB)"}
PICTURED: Final = (4, 2)
"""clips of the picture, spread out over the data, and futures of each"""
RESAMPLES: Final = 1000
MOVED: Final = 2
"""pixels that the picture moves at least over the made frames, where the sign of its motion is asked for"""


def continue_clip(
    model: vidgan.Model, data: Dataset, index: int, futures: int, seed: int, sigma: float | None
) -> tuple[Clip, Futures]:
    """The middle of a clip (T H W 3), and futures of its first frames."""
    real = centre_item(data, whole_window(model.experiment), index).frames
    given = to_float(torch.from_numpy(real[None, : model.experiment.levels[0].context_frames]))[0]
    return real, model.futures(given, futures, seed=seed, sigma=sigma, first=index * futures)


def beside_copying(
    model: vidgan.Model, data: Dataset, futures: int, seed: int, sigma: float | None = None
) -> dict[str, Any]:
    """Everything that is told of one model."""
    given = model.experiment.levels[0].context_frames
    if not given:
        raise UserError("this model makes videos from noise and is given no frames")
    scores: dict[str, dict[str, list[Floats]]] = {
        name: {"copy": [], "made": [], "apart": []} for name in MEASURES
    }
    motion: list[tuple[float, float]] = []
    for index in range(len(data)):
        real, continued = continue_clip(model, data, index, futures, seed, sigma)
        videos, truth = to_bytes(continued.video).numpy(), real[given:]
        copied = copy_last(real[:given], len(truth))
        for name, measure in MEASURES.items():
            scores[name]["copy"].append(measure(copied, truth))
            scores[name]["made"].append(np.stack([measure(video, truth) for video in videos]))
        if continued.motion is not None:
            field = continued.motion[0, :, 0]  # to the right (T H W)
            upper = field[:, : field.shape[1] // 2].double().mean((1, 2)).sum()
            motion.append((float(upper), float(sideways(real[None, given - 1 :])[0])))
    found: dict[str, Any] = {
        "step": model.step,
        "seed": seed,
        "sigma": sigma,
        "clips": len(data),
        "futures": futures,
    }
    for name, each in scores.items():
        copied, made = np.stack(each["copy"]), np.stack(each["made"], axis=1)
        found[name] = {
            "copying": per_frame(copied),
            "one": per_frame(made[0]),
            "best": per_frame(best_of(made)),
            "one less copying": per_frame(made[0] - copied),
            "best less copying": per_frame(best_of(made) - copied),
        }
    if motion:
        right = [(a > 0) == (b > 0) for a, b in motion if abs(b) >= MOVED]
        found["motion"] = {
            "correlation": float(np.corrcoef(np.asarray(motion).T)[0, 1]),
            "right way": float(np.mean(right)) if right else None,
            "moved clips": len(right),
        }
    return found


def per_frame(values: Floats) -> dict[str, list[float]]:
    """Means of (clips, frames) over the clips, and their deviations over resamples."""
    rng = np.random.Generator(np.random.PCG64(derive(0, "copying")))
    again = [values[rng.integers(0, len(values), len(values))].mean(0) for _ in range(RESAMPLES)]
    return {
        "value": values.mean(0).round(4).tolist(),
        "deviation": np.std(again, axis=0, ddof=1).round(4).tolist(),
    }


def table(found: Mapping[str, Any], name: str) -> str:
    """Rows of one measure: how the model's frames differ from copied ones."""
    rows = [
        f"{name}, step {found['step']}",
        "made frame " + " ".join(f"{n + 1:>8}" for n in range(frames(found, name))),
    ]
    for key in ("copying", "one", "best"):
        rows.append(f"{key:<10} " + " ".join(f"{value:8.3f}" for value in found[name][key]["value"]))
    for key in ("one less copying", "best less copying"):
        values, deviations = found[name][key]["value"], found[name][key]["deviation"]
        rows.append(
            f"{key:<18} " + " ".join(f"{v:+.3f}±{d:.3f}" for v, d in zip(values, deviations, strict=True))
        )
    return "\n".join(rows)


def curves(found: Mapping[str, Mapping[str, Any]]) -> list[Plot]:
    """A plot per measure: copying, and one future and the best of each model."""
    plots = []
    for measure, axis in AXES.items():
        lines = {"copying the last given frame": next(iter(found.values()))[measure]["copying"]}
        for name, each in found.items():
            short, futures = Path(name).name, each["futures"]
            lines |= {
                f"{short}, best of {futures}": each[measure]["best"],
                f"{short}, one": each[measure]["one"],
            }
        drawn = [
            Curve(name, [Point(n + 1, y, d) for n, (y, d) in enumerate(zip(*line.values(), strict=True))])
            for name, line in lines.items()
        ]
        plots.append(Plot(axis, "made frame", axis, drawn))
    return plots


def strips(model: vidgan.Model, data: Dataset, seed: int, sigma: float | None = None) -> Videos:
    """A still picture: some clips, and below each the first of its futures behind the given frames."""
    clips, futures = PICTURED
    rows = []
    for number in range(clips):
        index = number * len(data) // clips
        real, continued = continue_clip(model, data, index, futures, seed, sigma)
        given = len(real) - continued.video.shape[1]
        rows += [
            real,
            *(np.concatenate([real[:given], video]) for video in to_bytes(continued.video).numpy()),
        ]
    return strip(np.stack(rows))


def frames(found: Mapping[str, Any], name: str) -> int:
    """How many are made."""
    return len(found[name]["copying"]["value"])


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", help="runs, or saved models")
    parser.add_argument(
        "--data", type=Path, required=True, help="prepared clips that they were not trained on"
    )
    parser.add_argument("--futures", type=int, default=10, help="of each clip (10)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    parser.add_argument("--sigma", type=float, help="deviation of the noise; below 1 truncates (1)")
    parser.add_argument("--out", type=Path, required=True, help="JSON file, by model")
    parser.add_argument("--curves", type=Path, help="figure of all measures (SVG, PDF or PNG)")
    parser.add_argument("--strips", type=Path, help="picture of some futures of the first model (PNG)")
    given = parser.parse_args(words)
    if given.curves is not None:
        check_target(given.curves)
    data = vidgan.open_dataset(given.data)
    models = {name: vidgan.load(name) for name in given.models}
    found = {
        name: beside_copying(model, data, given.futures, given.seed, given.sigma)
        for name, model in models.items()
    }
    write_text(given.out, json.dumps(found, indent=1) + "\n")
    if given.curves is not None:
        save(given.curves, curves(found))
    if given.strips is not None:
        write_image(given.strips, strips(next(iter(models.values())), data, given.seed, given.sigma))
    for name, each in found.items():
        print(name, each.get("motion", ""))
        for measure in MEASURES:
            print(table(each, measure))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from error
