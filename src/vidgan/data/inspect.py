"""What is in a prepared dataset, and what is wrong with it."""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from vidgan.data.store import PreparedDataset
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError


class Problem(NamedTuple):
    """A clip that cannot be used as it should be."""

    name: str
    """source name of the clip"""
    reason: str
    """a short phrase"""


class ClassCount(NamedTuple):
    """What a dataset holds of one class."""

    name: str
    clips: int
    shortest: int
    """frames of the shortest clip"""
    median: float
    """frames"""
    longest: int
    """frames of the longest clip"""


def class_counts(dataset: PreparedDataset) -> list[ClassCount]:
    """One entry per class, in label order; classes have at least one clip each."""
    clips = dataset.index.clips
    counts = []
    for label, name in enumerate(dataset.classes):
        frames = clips["frames"][clips["label"] == label]
        counts.append(
            ClassCount(name, len(frames), int(frames.min()), float(np.median(frames)), int(frames.max()))
        )
    return counts


def problems(dataset: PreparedDataset, window: WindowSpec, checksums: bool) -> Iterator[Problem]:
    """Clips without room for ``window`` and, with ``checksums`` (reads all bytes), damaged clips."""
    crcs = dataset.index.clips["crc"]
    for index in range(len(dataset)):
        if fault := window.fault(dataset.info(index)):
            yield Problem(dataset.name(index), fault)
        if not checksums:
            continue
        try:
            if zlib.crc32(dataset.clip_bytes(index)) != crcs[index]:
                yield Problem(dataset.name(index), "damaged: its checksum does not fit")
        except UserError as error:
            yield Problem(dataset.name(index), str(error))
