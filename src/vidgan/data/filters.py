"""The filters that frames are resized by, as data: an experiment names its paper's, prepared data theirs."""

from abc import ABC, abstractmethod
from typing import Final

from vidgan.spec import Spec


class Filter(Spec, ABC):
    """How frames become smaller; :mod:`vidgan.data.resize` computes it."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What options and records of prepared data call it."""


class Bilinear(Filter):
    """A triangle widened by the scale factor (Clark et al. 2019, A.1: "bilinear")."""

    @property
    def name(self) -> str:
        return "bilinear"


class Area(Filter):
    """The average over the area of each pixel (Du 2020, 4.1)."""

    @property
    def name(self) -> str:
        return "area"


# Our choice: what the Guide's Figure 4.1 compares with. It says "bilinear" and shows pixelated frames, which a triangle
# that is widened does not leave; PyTorch's and OpenCV's "bilinear" do.
class BilinearAliased(Filter):
    """Interpolation between the four nearest pixels, however much is shrunk, so that it aliases (Du 2020, 4.1)."""

    @property
    def name(self) -> str:
        return "bilinear-aliased"


BILINEAR: Final = Bilinear()
