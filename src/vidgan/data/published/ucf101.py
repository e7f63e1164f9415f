"""UCF-101 (Soomro, Zamir, Shah 2012): class folders of AVI files, and the official lists of three splits.

``UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi`` is clip 1 of group 8 of its class: clips of one group
were cut from one recording. ``ucfTrainTestlist/`` holds ``trainlist01.txt``, ``testlist01.txt`` and so on.
"""

import re
from pathlib import Path
from typing import ClassVar

from vidgan.data.layouts import FoundClips, LeftOut, Split, below, not_this
from vidgan.data.listing import Remarks, list_files
from vidgan.data.video import ClipSource, VideoFile
from vidgan.errors import UserError
from vidgan.names import printable

NAME = re.compile(r"v_(?P<action>.+)_g(?P<group>\d+)_c\d+", re.IGNORECASE)
LISTS = "ucfTrainTestlist"


class Ucf101(Split):
    """UCF-101 in its own folders; groups are kept, and classes are those of the folders."""

    splits: ClassVar[tuple[str, ...]] = (
        *(f"{part}{number:02d}" for number in (1, 2, 3) for part in ("train", "test")),
        "all",
    )
    split: str = "train01"
    """official list, or all clips"""

    def find(self, source: Path) -> FoundClips:
        videos = below(source, "UCF-101", "UCF-101", "UCF101", ".")
        listing = list_files(videos, (".avi",), beside=(".txt",))
        known = [file for file in listing.files if _is_clip(file, videos)]
        remarks = Remarks(listing.remarks)
        for file in listing.files:
            if _is_clip(file, videos):
                continue
            remarks.add("videos not named as UCF-101 names them", file.relative_to(videos).as_posix())
        if not known:
            raise not_this(source, "UCF-101", "no files like ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi")
        classes = tuple(sorted({file.parent.name for file in known}))
        left_out: list[LeftOut] = []
        if self.split != "all":
            # The lists and the folders disagree in case for one class in some copies (HandstandPushups).
            there = {f"{file.parent.name}/{file.name}".lower(): file for file in known}
            wanted = _listed(source, videos, self.split)
            known = sorted(there[name.lower()] for name in wanted if name.lower() in there)
            left_out = [LeftOut(name, "listed but not there") for name in wanted if name.lower() not in there]
            if not known:
                raise not_this(source, "UCF-101", f"none of the {len(wanted)} clips of {self.split} is there")
            classes = tuple(sorted({file.parent.name for file in known}))
        sources: list[ClipSource] = [_clip(file, videos, classes) for file in known]
        return FoundClips(tuple(map(printable, classes)), sources, left_out, remarks.all())


def _is_clip(file: Path, videos: Path) -> bool:
    return file.parent.parent == videos and NAME.fullmatch(file.stem) is not None


def _clip(file: Path, videos: Path, classes: tuple[str, ...]) -> VideoFile:
    match = NAME.fullmatch(file.stem)
    assert match is not None
    name, action = file.relative_to(videos).as_posix(), file.parent.name
    return VideoFile(file, name, classes.index(action), f"{action}/g{match['group']}")


def _listed(source: Path, videos: Path, split: str) -> list[str]:
    # "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1": the number, which test lists lack, is the class.
    name = f"{split[:-2]}list{split[-2:]}.txt"
    for folder in (source / LISTS, source, videos.parent / LISTS):
        if (folder / name).is_file():
            lines = (folder / name).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
            return [line.split()[0] for line in lines if line.strip()]
    raise UserError(
        f"{source} holds no {LISTS}/{name}, the official list of {split}: put it there, or give --split all"
    )
