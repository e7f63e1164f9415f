"""Videos as they lie on disk, nothing prepared: a folder of files, or one array of clips.

They are read in place and resized as they are read, so this suits evaluation, where every clip is read once.
"""

import functools
import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidgan.data.animation import WEBP, AnimationReader, animation_size
from vidgan.data.arrays import map_array
from vidgan.data.codecs import Frame
from vidgan.data.dataset import ClipInfo, Dataset, Frames
from vidgan.data.layouts import contents
from vidgan.data.listing import Remark, Remarks, list_files
from vidgan.data.resize import RESIZING, Resizer
from vidgan.data.video import ENLARGED, UNREADABLE, VIDEOS, Reader, VideoReader, reason_of, video_size
from vidgan.errors import UserError, some
from vidgan.memory import require_memory_for_clips
from vidgan.names import printable

ARRAY = ".npy"
SUFFIXES = (*VIDEOS, WEBP, ARRAY)
"""files that count as videos"""
FILTER = "bilinear"
"""resize filter of files, see :mod:`vidgan.data.video`"""


class RawVideos(Dataset):
    """Videos that are read where they lie."""

    source: str
    """path of the folder or file; ``array`` for one in memory"""
    size: int
    """shorter side of the frames as they are read (pixels)"""
    codec: str
    """how they are stored: the files' suffixes, or ``none`` for arrays"""

    @abstractmethod
    def own_size(self, index: int) -> tuple[int, int]:
        """Height and width of a video as it lies there (pixels)."""

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """On what lies beside them and is not read, and on files that were looked at."""
        return ()


class VideoFiles(RawVideos):
    """Files below a folder, in order of their names: videos, animations, or ``.npy`` clips (T, H, W, 3) uint8.

    Folders in the folder are classes. Use :func:`open_videos`.

    Args:
        size: shorter side to which frames are resized (pixels); None keeps that of the first file.
    """

    def __init__(
        self,
        root: Path,
        files: Sequence[Path],
        labels: Sequence[int],
        classes: tuple[str, ...],
        size: int | None,
        remarks: tuple[Remark, ...] = (),
    ) -> None:
        self._remarks = Remarks(remarks)
        self.source, self.root, self.files = str(root), root, list(files)
        self._labels, self._classes = list(labels), classes
        self.size = _own_side(files[0]) if size is None else size
        self._known: dict[int, _Known] = {}
        suffixes = sorted({path.suffix.lower()[1:] for path in files})
        self.codec = "none" if suffixes == [ARRAY[1:]] else " and ".join(suffixes)

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classes

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of all names and bytes, and of the size that frames are read at."""
        digest = hashlib.blake2b(f"{self.size}".encode(), digest_size=16)
        for index, path in enumerate(self.files):
            with path.open("rb") as stream:
                content = hashlib.file_digest(stream, hashlib.blake2b).hexdigest()
            digest.update(f"{self.name(index)}\n{content}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.files)

    def labels(self) -> NDArray[np.int64]:
        return np.asarray(self._labels, np.int64)

    def info(self, index: int) -> ClipInfo:
        known = self._look(index)
        return ClipInfo(self._labels[index], known.frames, known.height, known.width)

    def rate(self, index: int) -> float | None:
        return self._look(index).rate

    def own_size(self, index: int) -> tuple[int, int]:
        return self._look(index).source

    def _look(self, index: int) -> "_Known":
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        if index not in self._known:
            resizer = Resizer(self.size, FILTER)
            with _readable(self.files[index]):
                reader = _reader(self.files[index], resizer)
                shape = next(reader.read(range(1))).shape
            self._known[index] = _Known(reader.length, shape[0], shape[1], reader.rate, resizer.source)
            for remark in [*reader.remarks, *([ENLARGED] if resizer.enlarged else [])]:
                self._remarks.add(remark, self.name(index))
        return self._known[index]

    @property
    def remarks(self) -> tuple[Remark, ...]:
        return self._remarks.all()

    def read(self, index: int, start: int, frames: int, stride: int = 1) -> Frames:
        path, known = self.files[index], self._look(index)
        with _readable(path):
            reader = _reader(path, Resizer(self.size, FILTER))
            last = start + (frames - 1) * stride
            if start < 0 or frames < 1 or stride < 1 or last >= reader.length:
                raise UserError(f"{path} has {reader.length} frames: no window {start}..{last} by {stride}")
            window = np.stack(list(reader.read(range(start, last + 1, stride))))
            if window.shape[1:3] != (known.height, known.width):
                raise ValueError(f"its frames change shape before frame {start}")
        return window

    def name(self, index: int) -> str:
        return self.files[index].relative_to(self.root).as_posix()


class ArrayClips(RawVideos):
    """Clips (N, T, H, W, 3) uint8 in memory.

    Args:
        size: shorter side to which frames are resized (pixels); None keeps their own.

    Raises:
        UserError: for another type or shape.
    """

    codec = "none"

    def __init__(self, clips: Frames, size: int | None = None) -> None:
        self._clips, self.source = _checked(clips, (5,), "the array"), "array"
        self.size = min(self._clips.shape[2:4]) if size is None else size

    def own_size(self, index: int) -> tuple[int, int]:
        _, _, height, width, _ = self._clips.shape
        return height, width

    @property
    def classes(self) -> tuple[str, ...]:
        return ("all",)

    def labels(self) -> NDArray[np.int64]:
        return np.zeros(len(self), np.int64)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of shape and values, and of the size that frames are read at."""
        digest = hashlib.blake2b(f"{self.size}\n{self._clips.shape}\n".encode(), digest_size=16)
        for clip in self._clips:
            digest.update(_contiguous(clip).data)
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self._clips)

    def info(self, index: int) -> ClipInfo:
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        _, frames, height, width, _ = self._clips.shape
        return ClipInfo(0, frames, *Resizer(self.size, FILTER).target(height, width))

    def read(self, index: int, start: int, frames: int, stride: int = 1) -> Frames:
        wanted = self.frame_range(index, start, frames, stride)
        return _resized(self._clips[index][wanted.start : wanted.stop : wanted.step], self.size)


class ArrayFile(ArrayClips):
    """One ``.npy`` file of clips (N, T, H, W, 3) uint8. Use :func:`open_videos`."""

    def __init__(self, path: Path, size: int | None) -> None:
        super().__init__(_load_array(path, (5,)), size)
        self.file, self.source = path, str(path)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of the file, and of the size that frames are read at."""
        digest = hashlib.blake2b(f"{self.size}\n".encode(), digest_size=16)
        with self.file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, hashlib.blake2b).digest())
        return digest.hexdigest()

    def name(self, index: int) -> str:
        return f"clip {index} of {self.file}"


def open_videos(path: Path, size: int | None = None) -> RawVideos:
    """The videos at ``path``: a folder (of files, or of a folder per class) or a ``.npy`` file of clips.

    Args:
        size: shorter side to which frames are resized (pixels); None keeps that of the first video.

    Raises:
        UserError: where there are no videos, the first cannot be read, or memory cannot hold a frame.
    """
    if size is not None:
        require_memory_for_clips(1, 1, size, RESIZING, "choose a smaller size")
    if path.is_file():
        if path.suffix.lower() != ARRAY:
            raise UserError(f"{path} is one file: give a folder of videos, or clips (N, T, H, W, 3) as .npy")
        return ArrayFile(path, size)
    if not path.is_dir():
        raise UserError(
            f"there is nothing at {path}: give a run directory, a folder of videos or an .npy file"
        )
    listing = list_files(path, SUFFIXES)
    named = {printable(name): files for name, files in listing.by_folder().items() if files}
    loose = named.pop("", [])
    if loose and named:
        raise UserError(
            f"{path} holds videos both itself and in folders ({', '.join(list(named)[:3])}): name the one that is meant"
        )
    if not loose and not named:
        raise UserError(
            f"{path} holds no videos ({', '.join(s[1:] for s in SUFFIXES)}), nor folders with videos; {contents(path)}"
        )
    if len(loose) == 1 and loose[0].suffix == ARRAY and _load_array(loose[0], (4, 5)).ndim == 5:
        return ArrayFile(loose[0], size)
    named = named or {"all": loose}
    files = [file for found in named.values() for file in found]
    labels = [label for label, found in enumerate(named.values()) for _ in found]
    return VideoFiles(path, files, labels, tuple(named), size, listing.remarks_on_classes())


class _Known(NamedTuple):
    """What is known of a file without decoding all of it."""

    frames: int
    height: int
    """pixels, after resizing"""
    width: int
    """pixels, after resizing"""
    rate: float | None
    source: tuple[int, int]
    """height and width before it (pixels)"""


class _ArrayReader(Reader):
    """A ``.npy`` file of one clip (T, H, W, 3)."""

    rate = None

    def __init__(self, path: Path, resizer: Resizer) -> None:
        self._frames, self._resizer = _load_array(path, (4,)), resizer
        self.length, self.remarks = len(self._frames), []

    def read(self, wanted: range) -> Iterator[Frame]:
        for number in wanted:
            yield self._resizer.image(_contiguous(self._frames[number]))


def _reader(path: Path, resizer: Resizer) -> Reader:
    suffix = path.suffix.lower()
    if suffix == ARRAY:
        return _ArrayReader(path, resizer)
    return AnimationReader(path, resizer) if suffix == WEBP else VideoReader(path, resizer)


def _own_side(path: Path) -> int:
    """The shorter side of a file's frames as they are shown (pixels)."""
    with _readable(path):
        if path.suffix.lower() == ARRAY:
            return min(_load_array(path, (4,)).shape[1:3])
        return min(animation_size(path) if path.suffix.lower() == WEBP else video_size(path))


MEND = "; mend it or leave it out"


def refuse_broken(faults: Sequence[UserError]) -> None:
    """Raise one :class:`UserError` for all ``faults`` of videos, if there are any; it names up to five."""
    if len(faults) < 2:
        for fault in faults:
            raise fault
        return
    told = [str(fault).removesuffix(MEND) for fault in faults]
    raise UserError(f"{len(faults)} videos are broken: {some(told, 5, '; ')}; mend them or leave them out")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns what is wrong with a file into a ``UserError``."""
    try:
        yield
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read as a video: {reason_of(error)}{MEND}") from error


def _load_array(path: Path, axes: tuple[int, ...]) -> Frames:
    with _readable(path):
        array = map_array(path)
    return _checked(array, axes, str(path))


def _checked(array: NDArray[Any], axes: tuple[int, ...], what: str) -> Frames:
    """``array``, if it is uint8 with so many axes, the last of them three colours."""
    if array.dtype != np.uint8 or array.ndim not in axes or not array.size or array.shape[-1] != 3:
        wanted = "(N, T, H, W, 3)" if axes == (5,) else "(T, H, W, 3)"
        raise UserError(f"{what} must hold uint8 {wanted}, not {array.dtype} {array.shape}")
    return array


def _resized(frames: Frames, size: int) -> Frames:
    if min(frames.shape[1:3]) == size:
        return frames
    resizer = Resizer(size, FILTER)
    return np.stack([resizer.image(_contiguous(frame)) for frame in frames])


def _contiguous(frame: Frame) -> Frame:
    return np.ascontiguousarray(frame)
