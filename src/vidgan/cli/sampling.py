"""What verbs that make videos from noise share: their model, classes, noise and formats."""

from pathlib import Path

from vidgan.cli.checks import at_least, positive
from vidgan.errors import UserError
from vidgan.run.directory import RunDirectory
from vidgan.sample import model, noise
from vidgan.sample.noise import Truncation
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


def truncation(sigma: float | None, threshold: float | None) -> Truncation:
    """How noise is drawn: not truncated where neither is given.

    Raises:
        UserError: if both are, or one is out of range.
    """
    if sigma is not None and threshold is not None:
        raise UserError("--sigma and --threshold are two ways to truncate: give one of them")
    if sigma is not None:
        at_least("--sigma", sigma, 0)
    if threshold is not None:
        positive("--threshold", threshold)
    return noise.truncation(sigma, threshold)


def check_files(format: str, fps: float) -> None:
    """Raise :class:`UserError` for an unknown format or an impossible frame rate."""
    if f".{format}" not in FORMATS:
        raise UserError(f"unknown format {format!r}; there are: {', '.join(f[1:] for f in FORMATS)}")
    check_rate(fps)


def class_numbers(directory: RunDirectory, given: tuple[str, ...]) -> list[int] | None:
    """The labels of classes given by name or number; None for all, where none are given.

    Raises:
        UserError: if there is no such class, or the model has none.
    """
    if given and not directory.experiment.conditional:
        raise UserError("this model was trained without classes: leave out --classes")
    return model.class_numbers(directory.class_names, given) if given else None
