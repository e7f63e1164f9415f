"""BAIR Robot Pushing (Ebert et al. 2017): ``softmotion30_44k/{train,test}/traj_0_to_255.tfrecords`` and so on.

A record is a trajectory of 30 frames: ``0/image_aux1/encoded`` to ``29/image_aux1/encoded`` hold 64 x 64 x 3 plain
bytes each. The other camera (``image_main``) is passed over: prediction is measured on ``image_aux1``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import ClassVar

import numpy as np

from vidgan.data.codecs import Frame
from vidgan.data.layouts import Found, files_of
from vidgan.data.published.folders import Split, below, not_this
from vidgan.data.resize import Resizer
from vidgan.data.sources import BrokenClipError, ClipSource, Opened
from vidgan.data.tfrecords import Record, byte_features, read_record, records

TRAINS = 0.7
"""part of the training trajectories that the balanced split trains on (Luc et al. 2020, C.1)"""


class Bair(Split):
    """BAIR's TFRecords, without classes.

    ``train`` and ``test`` are the original split (43,264 and 256 trajectories). Balanced (Luc et al. 2020, C.1):
    the first 70 % of the training trajectories train, the others and the 256 test.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "test", "balanced-train", "balanced-test")

    def find(self, source: Path) -> Found:
        if self.split in ("train", "test"):
            return Found(("all",), _trajectories(source, self.split), [])
        # Our choice: "first" is by the numbers in the files' names, then the order in the file; rounded down.
        train = _trajectories(source, "train")
        share = int(TRAINS * len(train))
        if self.split == "balanced-train":
            return Found(("all",), train[:share], [])
        return Found(("all",), [*train[share:], *_trajectories(source, "test")], [])


def _trajectories(source: Path, part: str) -> list[ClipSource]:
    folder = below(source, "BAIR Robot Pushing", f"softmotion30_44k/{part}", part)
    files = sorted(files_of(folder.iterdir(), (".tfrecords", ".tfrecord")), key=_number)
    if not files:
        raise not_this(folder, "BAIR Robot Pushing", "no .tfrecords files")
    clips: list[ClipSource] = []
    for file in files:
        try:
            found = list(records(file))
        except (OSError, ValueError) as error:
            raise not_this(folder, "BAIR Robot Pushing", f"{file.name}: {error}") from error
        name = f"{part}/{file.name}"
        clips += [Trajectory(file, f"{name}#{place}", 0, record=record) for place, record in enumerate(found)]
    return clips


def _number(file: Path) -> tuple[int, str]:
    first = re.search(r"\d+", file.stem)
    return (int(first[0]) if first else 0, file.name)


@dataclass(frozen=True, kw_only=True)
class Trajectory(ClipSource):
    """A record whose features ``0/image_aux1/encoded``, ``1/...`` are the frames."""

    record: Record
    """where it lies in the file"""

    def open(self, resizer: Resizer) -> Opened:
        return Opened(None, self._frames(resizer))

    def _frames(self, resizer: Resizer) -> Iterator[Frame]:
        try:
            features = byte_features(read_record(self.path, self.record))
        except (OSError, ValueError) as error:
            raise BrokenClipError(str(error)) from error
        number = 0
        while (data := features.get(f"{number}/image_aux1/encoded")) is not None:
            side = isqrt(len(data) // 3)
            if len(data) != 3 * side * side:
                raise BrokenClipError(f"frame {number} has {len(data)} bytes, which are no square image")
            yield resizer.image(np.frombuffer(data, np.uint8).reshape(side, side, 3))
            number += 1
        if number == 0:
            raise BrokenClipError("holds no 0/image_aux1/encoded")
