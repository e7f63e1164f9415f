"""BDD100K (Yu et al. 2020): videos without classes."""

from pathlib import Path
from typing import ClassVar

from vidgan.data.layouts import VIDEOS, FoundClips, Split, below, files_of, not_this
from vidgan.data.video import VideoFile


class Bdd100k(Split):
    """BDD100K's videos (Castrejon et al. 2021 train on the training split)."""

    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")

    def find(self, source: Path) -> FoundClips:
        places = (f"{prefix}{self.split}" for prefix in ("bdd100k/videos/", "videos/", ""))
        folder = below(source, "BDD100K", *places)
        files = files_of(folder.iterdir(), VIDEOS)
        if not files:
            raise not_this(folder, "BDD100K", "no videos")
        return FoundClips(("all",), [VideoFile(file, f"{self.split}/{file.name}", 0) for file in files], [])
