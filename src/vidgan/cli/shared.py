"""Options that several verbs share, each defined once, with the checks of their values."""

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import torch
import tyro

from vidgan.bounds import MOST_STEPS
from vidgan.cli.parse import Code, option_set, wrapped
from vidgan.errors import UserError
from vidgan.names import printable, tell
from vidgan.presets import preset
from vidgan.run.data import data_of_run, open_data
from vidgan.run.directory import RunDirectory
from vidgan.run.distributed import choose_device
from vidgan.sample.hub import fetch, is_on_hub
from vidgan.sample.load import load, load_run
from vidgan.sample.model import RECORD, Model
from vidgan.sample.noise import Truncation, truncation
from vidgan.sample.standing import given_frames
from vidgan.sample.video_io import FORMATS, check_rate


@option_set
class Run(Code):
    """A verb that reads one run."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """run, saved model, or hf:owner/name"""


@option_set
class Device:
    """Where networks are computed."""

    device: str | None = None
    """such as cpu or cuda:1 (the GPU where there is one)"""

    @property
    def place(self) -> torch.device:
        """The device; raises :class:`UserError` where there is none of that name."""
        return choose_device(self.device)


@option_set
class Weights(Device):
    """Which weights of a run make the videos, and how many at a time."""

    checkpoint: str = "last"
    """best, last or a step"""
    raw: bool = False
    """raw weights instead of their moving average"""
    level: int | None = None
    """only the levels up to this one (all)"""
    statistics_sigma: float | None = None
    """sigma of standing statistics (the samples' own)"""
    micro_batch: int | None = None
    """videos made at a time (by the memory of training)"""

    def model(self, path: Path, data: str | None = None) -> Model:
        """The model of a run, which keeps the standing statistics that are taken, or of a saved folder.

        Args:
            data: whose frames a frame-conditional model is given for its standing statistics; None: those that it was
                trained on, if they have not been taken yet.

        Raises:
            UserError: if there is no model, or no such checkpoint.
        """
        if self.micro_batch is not None:
            at_least("--micro-batch", self.micro_batch, 1)
        path = fetch(path) if is_on_hub(path) else path
        record = path / RECORD
        if not record.is_file():
            run = RunDirectory.open(path)
            given = given_frames(run, None if data is None else data_of_run(run, data))
            sigma, level = self.statistics_sigma, self.level
            model = load_run(run, self.checkpoint, self.raw, self.place, run.statistics, given, sigma, level)
            model.micro_batch = self.micro_batch
            return model
        dataset = None if data is None else open_data(data, preset(str(record)))
        with warnings_said():
            return load(
                path,
                None,
                self.checkpoint,
                self.raw,
                self.device,
                data=dataset,
                statistics_sigma=self.statistics_sigma,
                level=self.level,
                micro_batch=self.micro_batch,
            )

    def model_from_noise(self, path: Path) -> Model:
        """A model that makes videos from noise; raises :class:`UserError` where it continues videos."""
        model = self.model(path)
        if model.experiment.levels[0].context_frames:
            raise UserError("this model continues videos: use vidgan predict")
        return model


@option_set
class Noise:
    """The noise that videos are made from."""

    seed: int = 0
    """seed of the noise"""
    sigma: float | None = None
    """deviation of the noise; below 1 truncates (1)"""
    threshold: float | None = None
    """truncate instead: draw values beyond this again"""

    @property
    def truncation(self) -> Truncation:
        """How noise is drawn: not truncated where neither is given.

        Raises:
            UserError: if both are, or one is out of range.
        """
        return truncation(self.sigma, self.threshold)


TIMELESS: Final = ("png", "npy")
"""formats of videos that say nothing of time"""


@contextmanager
def warnings_said() -> Iterator[None]:
    """Prints each warning of what is done inside once, as a line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        tell(text, to=sys.stderr)


def is_run(path: Path) -> bool:
    """Whether there is a run directory."""
    return (path / "experiment.json").is_file()


def beside(evaluated: Path, what: str) -> Path:
    """The path beside a file or folder whose name is that of it and ``what``, such as ``metrics.jsonl``."""
    whole = evaluated.resolve()
    return whole.with_name(f"{whole.stem if whole.is_file() else whole.name}.{what}")


@option_set
class Files:
    """The files that videos are written to."""

    out: Path
    """folder for the videos"""
    format: str = "mp4"
    """mp4, gif, webp, png (a strip) or npy"""
    fps: float = 12.0
    """frames per second of the files"""

    def check_files(self, args: Sequence[str]) -> None:
        """Raise :class:`UserError` for an unknown format, an impossible frame rate or a file in the folder's place, and
        for a frame rate among ``args`` that the format does not keep."""
        check_format(self.format, self.fps)
        if self.format in TIMELESS:
            refuse_idle(args, f"of {self.format} files, which have no time", "--fps")
        output_folder(self.out)


@option_set
class Classes:
    """The classes of the videos."""

    classes: tuple[str, ...] = ()
    """classes by name or number, in turns (all)"""

    @property
    def chosen(self) -> tuple[str, ...] | None:
        """The classes; None for all."""
        return self.classes or None


def say(text: str) -> None:
    """Print a paragraph no wider than the terminal; lines after the first are indented further."""
    print(wrapped(printable(text), text[: len(text) - len(text.lstrip())] + "  "))


def at_least(option: str, value: float, least: int, most: int = MOST_STEPS) -> None:
    """Raise :class:`UserError` if ``value`` is less than ``least``, or a whole number beyond ``most``."""
    if not value >= least:  # nor what is not a number
        raise UserError(f"{option} must be at least {least}, got {value:g}")
    if isinstance(value, int) and value > most:
        raise UserError(f"{option} must be at most {most}, got {value:g}")


def refuse_idle(args: Sequence[str], why: str, *options: str) -> None:
    """Raise :class:`UserError` if one of ``options`` is among ``args``, where it has no effect; ``why``: in words."""
    for arg in args:
        if (option := arg.split("=")[0].replace("_", "-")) in options:
            raise UserError(f"{option} changes nothing {why}: leave it out")


def positive(option: str, value: float) -> None:
    """Raise :class:`UserError` unless ``value`` is above 0."""
    if not value > 0:
        raise UserError(f"{option} must be above 0, got {value:g}")


def output_folder(path: Path) -> None:
    """Raise :class:`UserError` if ``path`` cannot become a folder, because it or what it lies in is a file."""
    for place in (path, *path.parents):
        if place.exists():
            if not place.is_dir():
                raise UserError(f"--out {path}: {place} is a file; name a folder")
            return


def file_to_write(path: Path, suffix: str) -> None:
    """Raise :class:`UserError` unless ``path`` ends in ``suffix`` and lies in a folder that is there."""
    if path.suffix != suffix:
        raise UserError(f"{path} must end in {suffix}")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UserError(f"{path} cannot be written: {path.parent} is not a folder, or {path.name} is one")


def check_format(format: str, fps: float) -> None:
    """Raise :class:`UserError` for an unknown format or an impossible frame rate."""
    if f".{format}" not in FORMATS:
        raise UserError(f"unknown format {format!r}; there are: {', '.join(f[1:] for f in FORMATS)}")
    check_rate(fps)
