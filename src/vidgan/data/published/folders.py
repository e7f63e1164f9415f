"""What published layouts share, and BDD100K."""

from abc import ABC
from pathlib import Path
from typing import ClassVar

from vidgan.data.layouts import VIDEOS, FoundClips, Layout, contents, files_of, require_folder
from vidgan.data.video import VideoFile
from vidgan.errors import UserError, did_you_mean
from vidgan.spec import require


class Split(Layout, ABC):
    """A layout whose clips come in official splits."""

    splits: ClassVar[tuple[str, ...]]
    """their names"""
    split: str = "train"
    """the split to prepare"""

    def validate(self) -> None:
        hint = did_you_mean(self.split, list(self.splits))
        known = ", ".join(self.splits)
        require(self.split in self.splits, f"the splits are {known}, not {self.split!r}{hint}")


def below(source: Path, dataset: str, *names: str) -> Path:
    """The first of the folders ``names`` (below ``source``, ``.`` being itself) that is there.

    Raises:
        UserError: where none is, with what was found.
    """
    require_folder(source, dataset)
    for name in names:
        if (source / name).is_dir():
            return source / name
    raise not_this(source, dataset, f"no folder {' or '.join(names)}")


def not_this(source: Path, dataset: str, lacks: str) -> UserError:
    """The one line for a folder that is not the dataset it was said to be, with what was found."""
    return UserError(
        f"{source} is not {dataset} as it is published: {lacks}; {contents(source)}. Give the folder that "
        "holds it, or another --layout"
    )


class Bdd100k(Split):
    """BDD100K's videos, without classes (Castrejon et al. 2021 train on the training split)."""

    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")

    def find(self, source: Path) -> FoundClips:
        places = (f"{prefix}{self.split}" for prefix in ("bdd100k/videos/", "videos/", ""))
        folder = below(source, "BDD100K", *places)
        files = files_of(folder.iterdir(), VIDEOS)
        if not files:
            raise not_this(folder, "BDD100K", "no videos")
        return FoundClips(("all",), [VideoFile(file, f"{self.split}/{file.name}", 0) for file in files], [])
