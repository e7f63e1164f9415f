"""Du 2020, Figure 4.1, in numbers: how rough frames become when they are shrunk by different filters.

``python experiments/resizing.py [IMAGES]`` shrinks images to a quarter by area averages, by the bilinear filter of
``vidgan prepare`` (widened by the scale), and by bilinear interpolation between four pixels, which is what "bilinear"
means in PyTorch. Without a folder of PNG files it takes built-in clips with stripes.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from vidgan.data.resize import Resizer
from vidgan.data.synthetic import SyntheticDataset, SyntheticSpec
from vidgan.errors import UserError

FACTOR, COUNT = 4, 32
Frame = NDArray[np.uint8]


def built_in() -> Iterator[Frame]:
    """The first frames of built-in clips, 256x256, with stripes."""
    dataset = SyntheticDataset(SyntheticSpec(size=256, frames=1, clips=COUNT, textured=True))
    yield from (dataset.read(index, 0, 1)[0] for index in range(COUNT))


def images(folder: Path) -> Iterator[Frame]:
    """The first square of images in the folder and those below it, spread over them."""
    paths = sorted(folder.rglob("*.png"))
    for path in paths[:: max(1, len(paths) // COUNT)]:
        image = np.asarray(Image.open(path).convert("RGB"))
        side = min(image.shape[:2]) // FACTOR * FACTOR
        yield image[:side, :side]


def four_pixels(image: Frame) -> Frame:
    """Bilinear interpolation without antialiasing."""
    x = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
    small = F.interpolate(x, scale_factor=1 / FACTOR, mode="bilinear", align_corners=False)
    made: Frame = small[0].permute(1, 2, 0).round().numpy().astype(np.uint8)
    return made


def by(name: str) -> Callable[[Frame], Frame]:
    """The filter of ``vidgan prepare`` with this name."""
    return lambda image: Resizer(image.shape[0] // FACTOR, name).image(image)


FILTERS: dict[str, Callable[[Frame], Frame]] = {
    "area": by("area"),
    "bilinear of `vidgan prepare`": by("bilinear"),
    "bilinear between four pixels": four_pixels,
}


def roughness(image: Frame) -> float:
    """Mean absolute second difference along rows and columns, 8-bit levels: large where single pixels stick out."""
    x = image.astype(np.float64)
    return float(np.mean([np.abs(np.diff(x, n=2, axis=axis)).mean() for axis in (0, 1)]))


def main() -> None:
    """Print a table of means over the images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, nargs="?", help="folder of PNG files")
    options = parser.parse_args()
    frames = list(built_in() if options.images is None else images(options.images))
    print(f"{len(frames)} images, shrunk by {FACTOR}\n")
    print("| filter | roughness | difference from area |\n|---|---|---|")
    areas = [FILTERS["area"](frame) for frame in frames]
    for name, shrink in FILTERS.items():
        made = [shrink(frame) for frame in frames]
        apart = [
            np.abs(a.astype(np.float64) - b.astype(np.float64)).mean()
            for a, b in zip(made, areas, strict=True)
        ]
        print(f"| {name} | {np.mean([roughness(x) for x in made]):.2f} | {np.mean(apart):.2f} |")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(str(error)) from error
