"""The widely copied TorchScript I3D (``i3d_torchscript.pt``): it brings its own code."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidgan.errors import UserError
from vidgan.evaluate.features.network import exact_float32
from vidgan.evaluate.features.weights import StrPath, Weights, describe, is_torchscript


class TorchScriptI3D:
    """I3D-400 as a foreign program: its resize, its range and its graph are what the file says.

    Args:
        path: the TorchScript file.
        run_foreign_code: must be True: the file's own code runs on this machine.

    Raises:
        UserError: if the flag is not given, or the file is missing or no TorchScript.
    """

    def __init__(self, path: StrPath | None, *, run_foreign_code: bool = False) -> None:
        self.weights: Weights = describe(path, "the TorchScript I3D")
        if not is_torchscript(Path(self.weights.path)):
            raise UserError(f"{self.weights.path} is not TorchScript")
        if not run_foreign_code:
            raise UserError(
                f"{self.weights.path} is TorchScript and runs the code inside it: allow that explicitly"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # The format is old; so is the file.
            load: Any = torch.jit.load
            self._module = load(str(self.weights.path), map_location="cpu").eval()

    def to(self, device: torch.device | str) -> "TorchScriptI3D":
        """Move the program to ``device``."""
        self._module.to(device)
        return self

    def logits(self, clips: Tensor) -> Tensor:
        """Logits (B, 400), averaged over time, of uint8 ``clips`` (B T 3 H W), resized by the program."""
        with exact_float32():
            clip = clips.transpose(1, 2).float()
            out: Tensor = self._module(clip, rescale=True, resize=True, return_features=True)
        return out
