"""BDD100K (Yu et al. 2018): videos from inside cars in ``bdd100k/videos/{train,val,test}``; no classes."""

from pathlib import Path
from typing import ClassVar

from vidgan.data.layouts import VIDEOS, Found, files_of
from vidgan.data.published.folders import Split, below, not_this
from vidgan.data.sources import VideoFile


class Bdd100k(Split):
    """BDD100K's videos, without classes (Castrejon et al. 2021 train on the training split)."""

    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")

    def find(self, source: Path) -> Found:
        places = (f"{prefix}{self.split}" for prefix in ("bdd100k/videos/", "videos/", ""))
        folder = below(source, "BDD100K", *places)
        files = files_of(folder.iterdir(), VIDEOS)
        if not files:
            raise not_this(folder, "BDD100K", "no videos")
        return Found(("all",), [VideoFile(file, f"{self.split}/{file.name}", 0) for file in files], [])
