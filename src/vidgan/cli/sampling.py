"""What verbs that make videos from noise share: their model, classes, noise and formats."""

from pathlib import Path

from vidgan.cli.checks import at_least, positive
from vidgan.errors import UserError, did_you_mean, some
from vidgan.run.directory import RunDirectory
from vidgan.sample.load import AtStep, BestSoFar, Choice, Last
from vidgan.sample.sampler import Scaled, Threshold, Truncation
from vidgan.sample.video_io import FORMATS, check_rate


def synthesis_run(path: Path) -> RunDirectory:
    """A run whose model makes videos from noise.

    Raises:
        UserError: if there is none, or its model continues videos.
    """
    directory = RunDirectory.open(path)
    if directory.experiment.levels[0].context_frames:
        raise UserError("this model continues videos: use vidgan predict")
    return directory


def checkpoint(text: str) -> Choice:
    """The checkpoint that ``best``, ``last`` or a step means.

    Raises:
        UserError: if it is none of them.
    """
    named: dict[str, Choice] = {"best": BestSoFar(), "last": Last()}
    if text in named:
        return named[text]
    if text.isdecimal():
        return AtStep(step=int(text))
    raise UserError(f"a checkpoint is best, last or a number of steps, not {text!r}")


def truncation(sigma: float | None, threshold: float | None) -> Truncation:
    """How noise is drawn: not truncated where neither is given.

    Raises:
        UserError: if both are, or one is out of range.
    """
    if sigma is not None and threshold is not None:
        raise UserError("--sigma and --threshold are two ways to truncate: give one of them")
    if sigma is not None:
        at_least("--sigma", sigma, 0)
        return Scaled(sigma=sigma)
    if threshold is not None:
        positive("--threshold", threshold)
        return Threshold(limit=threshold)
    return Scaled()


def check_files(format: str, fps: float) -> None:
    """Raise :class:`UserError` for an unknown format or an impossible frame rate."""
    if f".{format}" not in FORMATS:
        raise UserError(f"unknown format {format!r}; there are: {', '.join(f[1:] for f in FORMATS)}")
    check_rate(fps)


def class_numbers(directory: RunDirectory, given: tuple[str, ...]) -> list[int]:
    """The labels of classes given by name or number.

    Raises:
        UserError: if there is no such class, or the model has none.
    """
    if given and not directory.experiment.conditional:
        raise UserError("this model was trained without classes: leave out --classes")
    return [class_number(text, directory.class_names) for text in given]


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
        f"there is no class {text!r}{did_you_mean(text, list(names))}; "
        f"there are {len(names)}, by name or by number from 0: {some(names, 20)}"
    )
