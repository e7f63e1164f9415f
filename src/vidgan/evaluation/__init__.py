"""Metrics of video generation, and the named protocols that use them.

:func:`vidgan.evaluate` measures a model, a run, a folder of videos or an array by a protocol. The names are loaded when
first used, so that importing this package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidgan.evaluation.features.c3d import C3D as C3D
    from vidgan.evaluation.features.efficientnet_lite import EfficientNetLite0 as EfficientNetLite0
    from vidgan.evaluation.features.i3d import I3D as I3D
    from vidgan.evaluation.features.network import RandomConv3d as RandomConv3d
    from vidgan.evaluation.features.r2plus1d import R2Plus1D as R2Plus1D
    from vidgan.evaluation.features.weights import load_c3d as load_c3d
    from vidgan.evaluation.features.weights import load_efficientnet_lite0 as load_efficientnet_lite0
    from vidgan.evaluation.features.weights import load_i3d as load_i3d
    from vidgan.evaluation.features.weights import load_r2plus1d as load_r2plus1d
    from vidgan.evaluation.metrics.features import frechet_distance as frechet_distance
    from vidgan.evaluation.metrics.features import inception_score as inception_score
    from vidgan.evaluation.metrics.features import kernel_distance as kernel_distance
    from vidgan.evaluation.metrics.features import precision_recall as precision_recall
    from vidgan.evaluation.metrics.frames import best_of as best_of
    from vidgan.evaluation.metrics.frames import luma as luma
    from vidgan.evaluation.metrics.frames import mean_motion as mean_motion
    from vidgan.evaluation.metrics.frames import psnr as psnr
    from vidgan.evaluation.metrics.frames import radial_power as radial_power
    from vidgan.evaluation.metrics.frames import ssim as ssim
    from vidgan.evaluation.protocols import adjusted as adjusted
    from vidgan.evaluation.protocols import default_distance as default_distance
    from vidgan.evaluation.protocols import protocol as protocol
    from vidgan.evaluation.record import Result as Result
    from vidgan.evaluation.record import fvd as fvd

_HOMES = {
    "C3D": "features.c3d",
    "EfficientNetLite0": "features.efficientnet_lite",
    "I3D": "features.i3d",
    "R2Plus1D": "features.r2plus1d",
    "RandomConv3d": "features.network",
    "Result": "record",
    "adjusted": "protocols",
    "best_of": "metrics.frames",
    "default_distance": "protocols",
    "frechet_distance": "metrics.features",
    "fvd": "record",
    "inception_score": "metrics.features",
    "kernel_distance": "metrics.features",
    "load_c3d": "features.weights",
    "load_efficientnet_lite0": "features.weights",
    "load_i3d": "features.weights",
    "load_r2plus1d": "features.weights",
    "luma": "metrics.frames",
    "mean_motion": "metrics.frames",
    "precision_recall": "metrics.features",
    "protocol": "protocols",
    "psnr": "metrics.frames",
    "radial_power": "metrics.frames",
    "ssim": "metrics.frames",
}
"""Where each name stands; the imports above tell type checkers the same."""

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
