"""Metrics of video generation, by named protocol.

The names are loaded when first used, so that importing this package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidgan.evaluation.features.c3d import C3D
    from vidgan.evaluation.features.i3d import I3D
    from vidgan.evaluation.features.r2plus1d import R2Plus1D
    from vidgan.evaluation.metrics.classes import inception_score
    from vidgan.evaluation.metrics.features import frechet_distance
    from vidgan.evaluation.video_distance import fvd

__all__ = ["C3D", "I3D", "R2Plus1D", "frechet_distance", "fvd", "inception_score"]

_HOMES = {
    "C3D": "features.c3d",
    "I3D": "features.i3d",
    "R2Plus1D": "features.r2plus1d",
    "frechet_distance": "metrics.features",
    "fvd": "video_distance",
    "inception_score": "metrics.classes",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
