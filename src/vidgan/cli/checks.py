"""Checks of single options, made before anything is computed."""

from pathlib import Path

from vidgan.errors import UserError


def at_least(option: str, value: float, least: int) -> None:
    """Raise :class:`UserError` if ``value`` is less than ``least``."""
    if value < least:
        raise UserError(f"{option} must be at least {least}, got {value:g}")


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
