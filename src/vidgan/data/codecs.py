"""How the frames of prepared clips are packed: each spec packs and unpacks single frames (H, W, 3) uint8."""

import io
from abc import ABC, abstractmethod
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidgan.bounds import Bounds
from vidgan.spec import Spec

try:
    import simplejpeg
except ImportError:  # the extra `fast` is not installed; Pillow decodes the same pixels, more slowly
    simplejpeg = None

Frame = NDArray[np.uint8]
"""One frame (H, W, 3), uint8 RGB."""


class Codec(Spec, ABC):
    """Packs frames one by one, so that any frame is read without its neighbours."""

    @abstractmethod
    def pack(self, frame: Frame) -> bytes:
        """``frame`` as bytes."""

    @abstractmethod
    def unpack(self, data: memoryview, height: int, width: int) -> Frame:
        """The frame of ``data``; raises ``ValueError`` or ``OSError`` where it is not such a frame."""


class Raw(Codec):
    """Plain bytes. Our choice for the default: lossless, the fastest to read (no decoding at all), and at
    the sizes that video GANs train on a clip is a few megabytes."""

    def pack(self, frame: Frame) -> bytes:
        return frame.tobytes()

    def unpack(self, data: memoryview, height: int, width: int) -> Frame:
        return np.frombuffer(data, np.uint8).reshape(height, width, 3)


class Png(Codec):
    """PNG per frame: lossless, about half the size of ``Raw``, slower to read."""

    def pack(self, frame: Frame) -> bytes:
        return _save(frame, "PNG", compress_level=6)

    def unpack(self, data: memoryview, height: int, width: int) -> Frame:
        return _open(data, height, width)


class Jpeg(Codec):
    """JPEG per frame, colour not subsampled: lossy, a tenth of the size of ``Raw``."""

    quality: Annotated[int, Bounds(1, 100)] = 95
    """JPEG quality, 1 to 100"""

    def pack(self, frame: Frame) -> bytes:
        return _save(frame, "JPEG", quality=self.quality, subsampling=0)

    def unpack(self, data: memoryview, height: int, width: int) -> Frame:
        if simplejpeg is None:
            return _open(data, height, width)
        frame: Frame = simplejpeg.decode_jpeg(data, "RGB")
        return _checked(frame, height, width)


def _save(frame: Frame, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, kind, **options)
    return buffer.getvalue()


def _open(data: memoryview, height: int, width: int) -> Frame:
    try:
        with Image.open(io.BytesIO(data)) as image:
            frame = np.asarray(image.convert("RGB"))
    except Exception as error:  # damaged bytes make Pillow's parsers raise almost anything
        raise ValueError(f"not an image ({error})") from error
    return _checked(frame, height, width)


def _checked(frame: Frame, height: int, width: int) -> Frame:
    if frame.shape != (height, width, 3):
        raise ValueError(f"a frame of shape {frame.shape} instead of {(height, width, 3)}")
    return frame


CodecName = Literal["raw", "png", "jpeg"]
CODECS: Final[dict[CodecName, type[Raw | Png | Jpeg]]] = {"raw": Raw, "png": Png, "jpeg": Jpeg}
"""by the names that options have"""
