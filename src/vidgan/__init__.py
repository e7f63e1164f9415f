"""Large-scale video GANs: DVD-GAN, TrIVD-GAN-FP, SSW-GAN and CVG as points of one design space.

Names are loaded when first used, so that importing this package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidgan import data as data
    from vidgan import evaluation as evaluation
    from vidgan import models as models
    from vidgan import nn as nn
    from vidgan.data.inspect import inspect as inspect
    from vidgan.data.open import open_dataset as open_dataset
    from vidgan.data.prepare import prepare as prepare
    from vidgan.errors import UserError as UserError
    from vidgan.evaluation.record import evaluate as evaluate
    from vidgan.presets import preset as preset
    from vidgan.presets import preset_names as preset_names
    from vidgan.run.experiment import Experiment as Experiment
    from vidgan.run.networks import build as build
    from vidgan.sample.load import load as load
    from vidgan.sample.model import Model as Model
    from vidgan.sample.video_io import save_video as save_video
    from vidgan.train.callbacks import Callback as Callback
    from vidgan.train.trainer import Trainer as Trainer

__version__: str
"""of the package as it was installed: that of the git tag, see CONTRIBUTING.md"""

_PACKAGES = ("data", "evaluation", "models", "nn")
_HOMES = {
    "Callback": "train.callbacks",
    "Experiment": "run.experiment",
    "Model": "sample.model",
    "Trainer": "train.trainer",
    "UserError": "errors",
    "build": "run.networks",
    "evaluate": "evaluation.record",
    "inspect": "data.inspect",
    "load": "sample.load",
    "open_dataset": "data.open",
    "prepare": "data.prepare",
    "preset": "presets",
    "preset_names": "presets",
    "save_video": "sample.video_io",
}
"""Where each name stands; the imports above tell type checkers the same."""

__all__ = sorted([*_PACKAGES, *_HOMES, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def _version() -> str:
    metadata = importlib.import_module("importlib.metadata")
    try:
        return str(metadata.version(__name__))
    except metadata.PackageNotFoundError:
        return "unknown"  # a source tree on PYTHONPATH that nobody has installed


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
