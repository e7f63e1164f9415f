"""A prepared dataset on disk: how it was made, its index, and reading clips from its shards.

The folder holds (``docs/data-format.md`` has the details)

- ``index.json``: format, version, how it was prepared, class names, what was left out, a fingerprint;
  written last, so a folder with it is complete;
- ``clips.npy``: one row of :data:`CLIP` per clip;
- ``sources.json``: the clips' source names, in the same order;
- ``shard-00000.bin``, ...: the frames of one clip after the other. Frames of ``raw`` clips stand without
  gaps; packed ones (png, jpeg) are followed by their T + 1 byte offsets in the clip, little-endian uint64. The
  CRC-32 of each frame's bytes ends the clip (T little-endian uint32), so that whoever reads a frame can check it.

Reading opens the shard, reads the bytes of the frames asked for and closes it: no state to pickle or to
lose, and a file that is cut off under a running reader is an error, where a memory map would end the process.
"""

import hashlib
import io
import json
import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from vidgan.bounds import Bounds, Length, Positive
from vidgan.data.codecs import Jpeg, Png, Raw
from vidgan.data.dataset import ClipInfo, Dataset, Frames
from vidgan.data.layouts import Folder, FrameFolders, LeftOut, Strips
from vidgan.data.listing import Remark
from vidgan.data.published.bair import Bair
from vidgan.data.published.bdd100k import Bdd100k
from vidgan.data.published.kinetics import Kinetics
from vidgan.data.published.moving_mnist import MovingMnist
from vidgan.data.published.ucf101 import Ucf101
from vidgan.data.resize import FILTERS
from vidgan.data.tars import TarShards
from vidgan.data.timeline import MAX_GAP, RATES
from vidgan.errors import UserError, did_you_mean
from vidgan.files import parse_json, read_bytes, read_json
from vidgan.forms import TEXT, Fields, fits
from vidgan.spec import Spec, from_json, require

AnyLayout = Folder | Strips | FrameFolders | TarShards | Ucf101 | Kinetics | Bdd100k | Bair | MovingMnist
"""All layouts"""
LayoutName = Literal[
    "folder", "strips", "frames", "tar", "ucf101", "kinetics", "bdd100k", "bair", "moving-mnist"
]
LAYOUTS: dict[LayoutName, type[AnyLayout]] = {
    "folder": Folder,
    "strips": Strips,
    "frames": FrameFolders,
    "tar": TarShards,
    "ucf101": Ucf101,
    "kinetics": Kinetics,
    "bdd100k": Bdd100k,
    "bair": Bair,
    "moving-mnist": MovingMnist,
}


class PrepareSpec(Spec):
    """What a prepared dataset is made with; the same spec and sources give the same bytes."""

    layout: AnyLayout = Folder()
    """how the source lies on disk"""
    size: Length = 64
    """shorter side of the stored frames (pixels); the aspect is kept"""
    resize: str = "bilinear"
    """resize filter: bilinear (antialiased), area or bilinear-aliased"""
    codec: Raw | Png | Jpeg = Raw()
    """how frames are stored"""
    fps: Annotated[float, Bounds(*RATES)] | None = None
    """frames per second to which videos are resampled, each frame the nearest in time; None: their own rates"""
    max_gap: Positive = MAX_GAP
    """seconds between two frames of a video from which on a gap is closed"""

    def validate(self) -> None:
        hint = did_you_mean(self.resize, list(FILTERS))
        require(self.resize in FILTERS, f"resize is one of {', '.join(FILTERS)}, not {self.resize!r}{hint}")


FORMAT = "vidgan clips"
VERSION = 3
UNCHECKED = 2
"""an earlier version, which is read too: its frames have no checksums of their own"""
LARGEST_TABLE = 2**32
"""bytes of ``clips.npy`` or ``sources.json``, which are read whole"""
INDEX, CLIPS, SOURCES = "index.json", "clips.npy", "sources.json"
UNFINISHED = "unfinished"
"""folder with the state of a preparation that is under way"""

CLIP = np.dtype(
    [
        ("label", "<i4"),  # index into the classes
        ("group", "<i4"),  # clips with the same number were cut from one recording
        ("frames", "<i4"),
        ("height", "<i4"),  # pixels
        ("width", "<i4"),  # pixels
        ("rate", "<f8"),  # frames per second; NaN where the source does not say
        ("shard", "<i4"),  # number of the shard file
        ("offset", "<i8"),  # of the clip's first byte in the shard
        ("bytes", "<i8"),  # of the clip, offsets included
        ("crc", "<u4"),  # CRC-32 of these bytes
    ]
)
"""A clip's row in ``clips.npy``."""


def shard_name(shard: int) -> str:
    """File name of a shard."""
    return f"shard-{shard:05d}.bin"


class Index(NamedTuple):
    """All that is known of a prepared dataset without its frames."""

    spec: PrepareSpec
    """how it was prepared"""
    classes: tuple[str, ...]
    """class names in label order"""
    left_out: tuple[LeftOut, ...]
    """sources that could not be used"""
    remarks: tuple[Remark, ...]
    """on what was not read, and on clips that can be used but should be known of"""
    clips: NDArray[np.void]
    """rows of :data:`CLIP`"""
    sources: tuple[str, ...]
    """source name of every clip"""
    fingerprint: str
    """hash of everything above, checksums included"""
    checked: bool
    """whether frames have checksums of their own"""


HEADER = Fields({"prepared": (dict,), "classes": [TEXT], "left_out": [[TEXT]], "fingerprint": TEXT})
"""what ``index.json`` holds besides its format and version"""


def fingerprint_of(header: dict[str, Any], clips: bytes, sources: bytes) -> str:
    """Hash of a dataset's contents: the header (less its fingerprint and its remarks) and the other two files."""
    plain = {key: value for key, value in header.items() if key not in ("fingerprint", "remarks")}
    digest = hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=16)
    digest.update(clips)
    digest.update(sources)
    return digest.hexdigest()


class ShardSource(ABC):
    """Where shards come from that are not in the dataset's folder yet. Pickles small."""

    url: str
    """of the place"""

    @abstractmethod
    def fetch(self, file: Path, clips: NDArray[np.void]) -> None:
        """Put the shard of these rows of the index at ``file``, unless it is there; whole and checked, or not at all.

        Raises:
            UserError: where it cannot be had, or not kept.
        """


class PreparedDataset(Dataset):
    """The clips of a prepared folder; :func:`open_prepared` makes it. Pickles as its path and fingerprint.

    Args:
        shards: where those come from that the folder lacks; None: it has all.
    """

    def __init__(self, folder: Path, fingerprint: str, shards: ShardSource | None = None) -> None:
        self.folder, self._fingerprint, self.shards = folder, fingerprint, shards
        self.source = str(folder.resolve()) if shards is None else shards.url

    def __getstate__(self) -> dict[str, Any]:
        return {name: vars(self)[name] for name in ("folder", "source", "_fingerprint", "shards")}

    @property
    def place(self) -> str:
        """Where it lies, as it was named: a folder, or a URL."""
        return str(self.folder) if self.shards is None else self.source

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @cached_property
    def index(self) -> Index:
        """The index, read on first use; raises :class:`UserError` where another dataset took its place."""
        index = read_index(self.folder)
        if index.fingerprint != self.fingerprint:
            raise UserError(f"{self.folder} was prepared anew while it was in use; start again")
        return index

    @cached_property
    def _infos(self) -> NDArray[np.int32]:
        clips = self.index.clips
        return np.stack([clips[name] for name in ClipInfo._fields], axis=1)

    @property
    def resized_by(self) -> str:
        return self.index.spec.resize

    @property
    def classes(self) -> tuple[str, ...]:
        return self.index.classes

    def __len__(self) -> int:
        return len(self.index.clips)

    def info(self, index: int) -> ClipInfo:
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        return ClipInfo(*self._infos[index].tolist())

    def labels(self) -> NDArray[np.int64]:
        return self.index.clips["label"].astype(np.int64)

    def sizes(self) -> NDArray[np.int64]:
        return self._infos[:, 1:].astype(np.int64)

    def name(self, index: int) -> str:
        """The source that clip ``index`` was prepared from, relative to the source folder."""
        return self.index.sources[index]

    def group(self, index: int) -> int:
        """Number of the recording that clip ``index`` was cut from; a clip of its own has a number of its own."""
        return int(self.index.clips[index]["group"])

    def rate(self, index: int) -> float | None:
        """Frames per second of clip ``index``, or None where its source does not say."""
        rate = float(self.index.clips[index]["rate"])
        return None if np.isnan(rate) else rate

    def rates(self) -> NDArray[np.float64]:
        return self.index.clips["rate"].astype(np.float64)

    def read(self, index: int, start: int, frames: int, stride: int = 1) -> Frames:
        clip, wanted = self.info(index), self.frame_range(index, start, frames, stride)
        codec, video = self.index.spec.codec, np.empty((frames, clip.height, clip.width, 3), np.uint8)
        try:
            for row, piece in zip(video, self._pieces(index, wanted), strict=True):
                row[:] = codec.unpack(piece, clip.height, clip.width)
        except (OSError, ValueError) as error:
            self._broken(index, error)
        return video

    def clip_bytes(self, index: int) -> bytes:
        """All bytes of clip ``index`` as stored; raises :class:`UserError` where they cannot be read."""
        row = self.index.clips[index]
        try:
            with self._shard(row).open("rb") as file:
                return _read(file.fileno(), int(row["bytes"]), int(row["offset"]))
        except OSError as error:
            self._broken(index, error)

    def _pieces(self, index: int, wanted: range) -> list[memoryview]:
        row = self.index.clips[index]
        with self._shard(row).open("rb", buffering=0) as file:
            starts = _offsets(file.fileno(), row, self.index, wanted)
            if wanted.step > 1:
                pieces = [
                    memoryview(_read(file.fileno(), int(end - start), int(row["offset"] + start)))
                    for start, end in starts
                ]
            else:
                first = int(starts[0, 0])
                data = memoryview(
                    _read(file.fileno(), int(starts[-1, 1]) - first, int(row["offset"]) + first)
                )
                pieces = [data[int(a) - first : int(b) - first] for a, b in starts]
            if self.index.checked:
                compare(file.fileno(), row, wanted, pieces)
        return pieces

    def _shard(self, row: np.void) -> Path:
        file = self.folder / shard_name(int(row["shard"]))
        if self.shards is not None and not file.exists():
            clips = self.index.clips
            self.shards.fetch(file, clips[clips["shard"] == row["shard"]])
        return file

    def _broken(self, index: int, error: Exception) -> NoReturn:
        shard = shard_name(int(self.index.clips[index]["shard"]))
        advice = "prepare the data again" if self.shards is None else "remove that file, to fetch it anew"
        raise UserError(
            f"{self.name(index)} cannot be read from {self.folder / shard}: {error}; {advice}"
        ) from error


def compare(file: int, row: np.void, wanted: range, pieces: Sequence[memoryview]) -> None:
    """Raise ``ValueError`` unless each of the frames ``wanted`` has its checksum."""
    span = range(wanted[0], wanted[-1] + 1)
    table = _table(file, row, "<u4", int(row["bytes"]), int(row["frames"]), span)
    for number, piece, crc in zip(wanted, pieces, table[:: wanted.step].tolist(), strict=True):
        if zlib.crc32(piece) != crc:
            raise ValueError(f"frame {number} is damaged: its checksum does not fit")


def _offsets(file: int, row: np.void, index: Index, wanted: range) -> NDArray[np.int64]:
    """(T, 2): where the frames ``wanted`` begin and end within the clip (bytes)."""
    numbers = np.arange(wanted.start, wanted.stop, wanted.step)
    if isinstance(index.spec.codec, Raw):
        size = 3 * int(row["height"]) * int(row["width"])
        return np.stack([numbers, numbers + 1], axis=1) * size
    end = int(row["bytes"]) - 4 * int(row["frames"]) * index.checked
    span = range(wanted[0], wanted[-1] + 2)
    offsets = _table(file, row, "<u8", end, int(row["frames"]) + 1, span).astype(np.int64)
    if not 0 <= offsets[0] <= offsets[-1] <= end or (np.diff(offsets) < 0).any():
        raise ValueError("its table of frames is damaged")
    places = numbers - numbers[0]
    return np.stack([offsets[places], offsets[places + 1]], axis=1)


def _table(file: int, row: np.void, kind: str, end: int, entries: int, span: range) -> NDArray[Any]:
    """The entries ``span`` of a table of so many ``entries`` that ends at byte ``end`` of a clip."""
    size = np.dtype(kind).itemsize
    place = int(row["offset"]) + end - size * (entries - span.start)
    return np.frombuffer(_read(file, size * len(span), place), kind)


def _read(file: int, length: int, offset: int) -> bytes:
    data = os.pread(file, length, offset)
    if len(data) != length:
        raise OSError("the file is cut off")
    return data


def open_prepared(path: Path) -> PreparedDataset:
    """The prepared dataset in the folder ``path``.

    Raises:
        UserError: where the folder is missing, empty, unfinished, not a prepared dataset, of another
            version, damaged or cut off.
    """
    index = read_index(path)
    for name, size in shard_sizes(index).items():
        file = path / name
        if not file.is_file():
            raise UserError(f"{file} is missing; prepare the data again")
        if (found := file.stat().st_size) != size:
            raise UserError(f"{file} is cut off: {found} bytes instead of {size}; prepare the data again")
    dataset = PreparedDataset(path, index.fingerprint)
    dataset.index = index
    return dataset


def shard_sizes(index: Index) -> dict[str, int]:
    """Bytes of each shard, by the name of its file."""
    numbers, places = np.unique(index.clips["shard"], return_inverse=True)
    ends = np.zeros(len(numbers), np.int64)
    np.maximum.at(ends, places, index.clips["offset"] + index.clips["bytes"])
    return dict(zip(map(shard_name, numbers.tolist()), ends.tolist(), strict=True))


def read_index(path: Path) -> Index:
    """The index of the prepared dataset in ``path``; raises :class:`UserError` as :func:`open_prepared`."""
    header = read_header(path)
    try:
        table, names = (read_bytes(path / name, LARGEST_TABLE) for name in (CLIPS, SOURCES))
    except UserError as error:
        raise damaged_index(path, error) from error
    return index_of(header, table, names, path)


def index_of(header: dict[str, Any], table: bytes, names: bytes, place: Path | str) -> Index:
    """The index that a header and the bytes of the other two files make; raises :class:`UserError` where none.

    Args:
        place: where they are from, for messages.
    """
    try:
        if fingerprint_of(header, table, names) != header["fingerprint"]:
            raise ValueError("the fingerprint does not fit")
        clips, sources = np.load(io.BytesIO(table), allow_pickle=False), parse_json(names)
        left_out = tuple(LeftOut(*pair) for pair in header["left_out"])
        remarks = tuple(
            Remark(str(what), int(number), tuple(map(str, first)))
            for what, number, first in header.get("remarks", ())
        )
        spec, classes = from_json(PrepareSpec, header["prepared"]), tuple(header["classes"])
        if clips.dtype != CLIP or clips.ndim != 1 or not fits(sources, [TEXT]) or len(sources) != len(clips):
            raise ValueError("its table is of another form")
        if not len(clips) or not 0 <= clips["label"].min() <= clips["label"].max() < len(classes):
            raise ValueError("its clips are of other classes than it names")
        checked = header["version"] > UNCHECKED
        return Index(spec, classes, left_out, remarks, clips, tuple(sources), header["fingerprint"], checked)
    except (OSError, ValueError, KeyError, TypeError, UserError, EOFError) as error:
        raise damaged_index(place, error) from error


def damaged_index(place: Path | str, error: Exception) -> UserError:
    """What is said of a folder whose index cannot be used."""
    reason = " ".join(str(error).split())
    return UserError(
        f"the index of {place} is damaged ({reason}): remove the folder and prepare the data again"
    )


def read_header(path: Path) -> dict[str, Any]:
    """``index.json`` of ``path``, of this version; raises :class:`UserError` as :func:`open_prepared`."""
    if not path.is_dir():
        raise UserError(f"no folder at {path}: make one with `vidgan prepare SOURCE {path}`")
    if not any(path.iterdir()):
        raise UserError(f"{path} is empty: fill it with `vidgan prepare SOURCE {path}`")
    if not (path / INDEX).is_file():
        if (path / UNFINISHED).is_dir():
            raise UserError(
                f"{path} is not prepared to the end: run the same `vidgan prepare` again to continue"
            )
        raise UserError(f"{path} is not a prepared dataset: make one with `vidgan prepare {path} DEST`")
    try:
        header = read_json(path / INDEX)
    except UserError as error:
        raise damaged_index(path, error) from error
    return checked_header(header, path)


def checked_header(header: Any, place: Path | str) -> dict[str, Any]:
    """What an ``index.json`` holds, of this version; raises :class:`UserError` where it is none.

    Args:
        place: where it is from, for messages.
    """
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise UserError(f"{place} is not a prepared dataset: its {INDEX} is of something else")
    if header.get("version") not in (VERSION, UNCHECKED):
        raise UserError(
            f"{place} is of format version {header.get('version')}, not {VERSION}: prepare the data again"
        )
    if not fits(header, HEADER):
        raise damaged_index(place, ValueError(f"{INDEX} lacks what a header has, or holds other values"))
    return header
