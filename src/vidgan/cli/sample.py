"""``vidgan sample RUN --out DIR``: videos from a trained model."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from vidgan.cli.checks import at_least, output_folder
from vidgan.cli.parse import parse
from vidgan.errors import UserError, nearest
from vidgan.run.device import choose_device
from vidgan.run.directory import RunDirectory
from vidgan.sample.files import FORMATS, check_rate, write_clip
from vidgan.sample.grids import grid
from vidgan.sample.latents import Scaled, Threshold, Truncation
from vidgan.sample.published import AtStep, Last, open_trained
from vidgan.sample.trained import synthesise, to_bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Makes videos. Clip i depends on --seed, i and its class alone, whatever else is made."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """run directory"""
    out: Path
    """folder for the videos"""
    clips: int = 16
    """number of videos"""
    classes: Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint="(default: all)")] = ()
    """classes by name or number, in turns"""
    seed: int = 0
    """seed of the noise"""
    sigma: float = 1.0
    """standard deviation of the noise; below 1 is truncation"""
    threshold: float | None = None
    """truncate by drawing values beyond this again, instead of by --sigma"""
    format: str = "mp4"
    """mp4, gif, webp, png (a strip of frames) or npy"""
    fps: float = 12.0
    """frames per second of the files"""
    grid: bool = False
    """also write all clips as one video"""
    step: int | None = None
    """use the checkpoint of this step instead of the newest"""
    raw: bool = False
    """raw weights instead of their moving average"""


def run(args: list[str]) -> int:
    """Parse ``args`` and write videos."""
    options = parse(Options, "sample", args)
    directory = RunDirectory.open(options.run)
    if directory.experiment.levels[0].context_frames:
        raise UserError("this model continues videos: use vidgan predict")
    if f".{options.format}" not in FORMATS:
        raise UserError(f"unknown format {options.format!r}; there are: {', '.join(f[1:] for f in FORMATS)}")
    at_least("--clips", options.clips, 1)
    check_rate(options.fps)
    noise = truncation(options)
    output_folder(options.out)
    names = directory.class_names
    if options.classes and not directory.experiment.conditional:
        raise UserError("this model was trained without classes: leave out --classes")
    chosen = [class_number(text, names) for text in options.classes] or list(range(len(names)))
    labels = [chosen[i % len(chosen)] for i in range(options.clips)]
    device = choose_device()
    choice = Last() if options.step is None else AtStep(step=options.step)
    model = open_trained(directory, choice, not options.raw, device)
    videos = to_bytes(synthesise(model, options.seed, range(options.clips), labels, noise)).numpy()
    options.out.mkdir(parents=True, exist_ok=True)
    for i, (video, label) in enumerate(zip(videos, labels, strict=True)):
        name = f"{i:05d}-{names[label]}" if len(names) > 1 else f"{i:05d}"
        write_clip(options.out / f"{name}.{options.format}", video, options.fps)
    if options.grid:
        columns = max(1, round(options.clips**0.5))
        write_clip(options.out / f"grid.{options.format}", grid(videos, columns), options.fps)
    print(f"wrote {options.clips} videos to {options.out}")
    return 0


def truncation(options: Options) -> Truncation:
    """How noise is drawn."""
    if options.threshold is not None:
        return Threshold(limit=options.threshold)
    return Scaled(sigma=options.sigma)


def class_number(text: str, names: tuple[str, ...]) -> int:
    """The label of a class given by name or number.

    Raises:
        UserError: if there is none; names the nearest.
    """
    if text in names:
        return names.index(text)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    raise UserError(
        f"there is no class {text!r}{nearest(text, list(names))}; "
        f"there are {len(names)}: {', '.join(names[:20])}{' ...' if len(names) > 20 else ''}"
    )
