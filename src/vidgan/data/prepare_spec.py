"""How a dataset is prepared, as plain data."""

from vidgan.data.codecs import Jpeg, Png, Raw
from vidgan.data.layouts import Folder, Strips
from vidgan.data.published.bair import Bair
from vidgan.data.published.bdd100k import Bdd100k
from vidgan.data.published.kinetics import Kinetics
from vidgan.data.published.moving_mnist import MovingMnist
from vidgan.data.published.ucf101 import Ucf101
from vidgan.data.resize import FILTERS
from vidgan.errors import nearest
from vidgan.spec import Spec, require

AnyLayout = Folder | Strips | Ucf101 | Kinetics | Bdd100k | Bair | MovingMnist
"""All layouts"""


class PrepareSpec(Spec):
    """What a prepared dataset is made with; the same spec and sources give the same bytes."""

    layout: AnyLayout = Folder()
    """how the source lies on disk"""
    size: int = 64
    """shorter side of the stored frames (pixels); the aspect is kept"""
    resize: str = "bilinear"
    """resize filter: bilinear (antialiased) or area"""
    codec: Raw | Png | Jpeg = Raw()
    """how frames are stored"""

    def validate(self) -> None:
        require(self.size >= 1, f"size must be at least 1 pixel, got {self.size}")
        hint = nearest(self.resize, list(FILTERS))
        require(self.resize in FILTERS, f"resize is one of {', '.join(FILTERS)}, not {self.resize!r}{hint}")
