"""BDD100K (Yu et al. 2020): videos without classes."""

from pathlib import Path
from typing import ClassVar

from vidgan.data.layouts import FoundClips, Split, below, not_this
from vidgan.data.listing import list_files
from vidgan.data.video import VIDEOS, ClipSource, VideoFile


class Bdd100k(Split):
    """BDD100K's videos (Castrejon et al. 2021 train on the training split)."""

    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")

    def find(self, source: Path) -> FoundClips:
        places = (f"{prefix}{self.split}" for prefix in ("bdd100k/videos/", "videos/", ""))
        folder = below(source, "BDD100K", *places)
        listing = list_files(folder, VIDEOS, beside=(".json",), deep=False)
        if not listing.files:
            raise not_this(folder, "BDD100K", "no videos")
        clips: list[ClipSource] = [VideoFile(file, f"{self.split}/{file.name}", 0) for file in listing.files]
        return FoundClips(("all",), clips, [], listing.remarks)
