"""Frechet Video Distance as Unterthiner et al. (2018) compute it, from arrays to a number."""

import numpy as np
import numpy.typing as npt
import torch

from vidgan.errors import UserError
from vidgan.evaluation.features.i3d import I3D
from vidgan.evaluation.features.network import exact_float32
from vidgan.evaluation.features.resize import bilinear_legacy
from vidgan.evaluation.features.weights import StrPath, load_i3d
from vidgan.evaluation.metrics.arrays import Floats, Numbers
from vidgan.evaluation.metrics.features import frechet_distance


def fvd(
    real: Numbers,
    fake: Numbers,
    weights: StrPath | None = None,
    *,
    batch: int = 4,
    device: torch.device | str = "cpu",
) -> float:
    """Frechet Video Distance by the reference protocol.

    Frames are resized to 224x224 as TensorFlow 1 does, without a crop; features are the logits of I3D trained
    on Kinetics-400; covariances are divided by n - 1.

    Args:
        real: uint8 clips (N T H W 3), T >= 9.
        fake: uint8 clips (M T H W 3), of the same length; scores of unlike lengths mean nothing.
        weights: the file of I3D's weights (see :func:`~vidgan.evaluation.features.weights.load_i3d`).
        batch: clips per pass; changes speed and memory only.
        device: where the network runs.

    Raises:
        UserError: if the weights are missing or no 400-class I3D, or the clips do not fit.
    """
    _check(real, "real")
    _check(fake, "fake")
    if real.shape[1] != fake.shape[1]:
        raise UserError(
            f"real clips have {real.shape[1]} frames, fake ones {fake.shape[1]}: they cannot be compared"
        )
    network, _ = load_i3d(weights, classes=400)
    network.to(device)
    return frechet_distance(*(reference_logits(network, clips, batch=batch) for clips in (real, fake)))


def reference_logits(network: I3D, clips: Numbers, *, batch: int = 4) -> Floats:
    """Logits (N, classes) of uint8 ``clips`` (N T H W 3) under the reference preparation."""
    device = next(network.parameters()).device
    rows = []
    with exact_float32():
        for start in range(0, len(clips), batch):
            video = torch.from_numpy(np.ascontiguousarray(clips[start : start + batch])).to(device)
            frames = bilinear_legacy(video.permute(0, 1, 4, 2, 3), 224, 224)
            rows.append(network(2 * frames / 255 - 1).logits.double().cpu().numpy())
    logits: npt.NDArray[np.float64] = np.concatenate(rows)
    return logits


def _check(clips: Numbers, name: str) -> None:
    if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[-1] != 3 or len(clips) < 2:
        raise UserError(
            f"{name} must be at least 2 uint8 clips (N, T, H, W, 3), not {clips.dtype} {clips.shape}"
        )
