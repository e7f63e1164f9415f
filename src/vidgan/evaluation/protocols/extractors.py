"""What a protocol extracts from clips: features of named networks, of a classifier of one's own."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidgan.data.dataset import Dataset
from vidgan.errors import UserError
from vidgan.evaluation.classifier import load_in_domain
from vidgan.evaluation.features import resize
from vidgan.evaluation.features.c3d import tgan_input, tganv2_input
from vidgan.evaluation.features.i3d import I3D
from vidgan.evaluation.features.network import RandomConv3d, exact_float32, i3d_state
from vidgan.evaluation.features.r2plus1d import r2plus1d_input
from vidgan.evaluation.features.weights import (
    TorchScriptI3D,
    Weights,
    is_torchscript,
    load_c3d,
    load_c3d_mean,
    load_i3d,
    load_r2plus1d,
)
from vidgan.spec import Spec, require

Videos = NDArray[np.uint8]
"""Clips (N, T, H, W, 3)."""


class EvaluationBatch(NamedTuple):
    """Clips, and what is known of them."""

    videos: Videos
    """the clips"""
    labels: NDArray[np.int64]
    """(N,), index into the classes of the set"""
    truth: Videos | None = None
    """where the clips are continuations: what really followed, beside each"""
    given: Videos | None = None
    """where it is known: the frames that were continued, beside each"""
    pairs: tuple[tuple[Videos, Videos], ...] = ()
    """of a cascade, if asked for: per level above the first its input, and its output brought down to that"""


Rows = Mapping[str, NDArray[Any]]
"""Arrays by name, a row per clip."""


class Resources(NamedTuple):
    """What an extractor is opened with."""

    weights: Path | None
    """the file that the user names"""
    mean: Path | None
    """C3D's mean clip"""
    run_foreign_code: bool
    """whether TorchScript may be run"""
    device: torch.device
    """where networks run"""
    classes: tuple[str, ...]
    """of the clips that are evaluated"""


class Subject(NamedTuple):
    """What is evaluated, as far as a protocol may refuse it."""

    classes: tuple[str, ...]
    """that can be asked for, or that the files are sorted by"""
    generated: bool
    """by a run; else files"""
    conditional: bool
    """a class can be asked for"""
    context: int
    """conditioning frames"""
    real: Dataset | None
    """what it is compared with"""
    levels: int = 1
    """of the model"""


class Extractor(NamedTuple):
    """An open extractor."""

    rows: Callable[[EvaluationBatch], Rows]
    """what is computed of some clips"""
    facts: Mapping[str, Any]
    """what its rows depend on beside the spec: hash of the weights, accuracy of the classifier, ..."""
    spec: "Features"
    """the spec as it came out: another one where the weights' file brings its own preparation"""


class Features(Spec, ABC):
    """A function of clips, described in full."""

    @property
    def weights_of(self) -> str | None:
        """Whose weights have to be named, in words; None where none are needed."""
        return None

    def check(self, subject: Subject) -> None:
        """Raise :class:`UserError` if it does not apply to what is evaluated."""

    @abstractmethod
    def open(self, means: Resources) -> Extractor:
        """Load what it needs.

        Raises:
            UserError: if weights are missing or do not fit.
        """


def to_video(videos: Videos, device: torch.device) -> Tensor:
    """Clips as bytes (N T 3 H W), of type uint8."""
    return torch.from_numpy(np.ascontiguousarray(videos)).to(device).permute(0, 1, 4, 2, 3)


def in_parts(
    network: Callable[[Tensor], Mapping[str, Tensor]], device: torch.device, most: int
) -> Callable[[EvaluationBatch], Rows]:
    """``network`` on ``most`` clips at a time, in exact float32; its outputs as float32 arrays."""

    def rows(batch: EvaluationBatch) -> Rows:
        parts = []
        with exact_float32():
            for start in range(0, len(batch.videos), most):
                found = network(to_video(batch.videos[start : start + most], device))
                parts.append({name: value.float().cpu().numpy() for name, value in found.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return rows


def named_weights(means: Resources, network: str) -> Path:
    """The weights' file; raises :class:`UserError` that names the option where there is none."""
    if means.weights is None:
        raise UserError(
            f"the weights of {network} are needed: name their file by --weights PATH "
            "(docs/evaluation.md says which files there are)"
        )
    return means.weights


def weights_facts(weights: Weights) -> dict[str, Any]:
    """A weights' file as results record it."""
    return {"file": str(weights.path), "sha256": weights.sha256, "known_as": weights.known_as}


I3D_FRAMES = 9
"""fewest frames that leave a step for I3D's last pool"""


class LegacyBilinear(Spec):
    """TensorFlow 1's ``resize_bilinear``: no half-pixel centres, no antialiasing."""

    def apply(self, frames: Tensor, side: int) -> Tensor:
        return resize.bilinear_legacy(frames, side, side)


class HalfPixelBilinear(Spec):
    """PyTorch's and TensorFlow 2's bilinear resizing, no antialiasing."""

    def apply(self, frames: Tensor, side: int) -> Tensor:
        return resize.bilinear_half_pixel(frames, side, side)


class RepeatLast(Spec):
    """A clip that is too short for the network is made longer by repeating its last frame."""

    frames: int = I3D_FRAMES
    """the least number of frames"""

    def apply(self, frames: Tensor) -> Tensor:
        missing = self.frames - frames.shape[1]
        return frames if missing <= 0 else torch.cat([frames, *[frames[:, -1:]] * missing], dim=1)


class I3DInput(Features):
    """What is done to clips before an I3D: frames squashed to 224x224 without a crop, then 2 x / 255 - 1."""

    resize: LegacyBilinear | HalfPixelBilinear = LegacyBilinear()
    """to 224x224"""
    short: RepeatLast | None = None
    """what becomes of clips of fewer than nine frames; None refuses them"""

    def prepared(self, frames: Tensor) -> Tensor:
        """Bytes (B T 3 H W) as the network takes them."""
        if self.short is not None:
            frames = self.short.apply(frames)
        elif frames.shape[1] < I3D_FRAMES:
            raise UserError(
                f"I3D needs {I3D_FRAMES} frames and the clips have {frames.shape[1]}: this protocol does not "
                "lengthen them; is-k400 and fid-k600-avgpool do, and say how"
            )
        return 2 * self.resize.apply(frames, 224) / 255 - 1


class I3DFeatures(I3DInput):
    """I3D with weights from a file: ``logits`` averaged over time, ``features`` the average pool (1024)."""

    classes: int = 400
    """400 or 600: Kinetics-400 or -600"""

    def validate(self) -> None:
        require(self.classes in (400, 600), f"I3D has 400 or 600 classes, not {self.classes}")

    @property
    def weights_of(self) -> str:
        return f"I3D (Kinetics-{self.classes})"

    def open(self, means: Resources) -> Extractor:
        path = named_weights(means, self.weights_of)
        if path.is_file() and is_torchscript(path):
            if not means.run_foreign_code:
                raise UserError(
                    f"{path} is TorchScript and runs the code inside it: allow that by --run-foreign-code, "
                    "or use weights in another format"
                )
            require(self.classes == 400, f"TorchScript I3D has 400 classes; {self.classes} are needed here")
            return ForeignI3D().open(means)
        network, weights = load_i3d(path, self.classes)
        network.to(means.device)
        return Extractor(
            in_parts(lambda x: network(self.prepared(x))._asdict(), means.device, 4),
            weights_facts(weights),
            self,
        )


class ForeignI3D(Features):
    """The TorchScript I3D-400: its resizing, range and graph are the program's own."""

    @property
    def weights_of(self) -> str:
        return "the TorchScript I3D"

    def open(self, means: Resources) -> Extractor:
        path = named_weights(means, self.weights_of)
        program = TorchScriptI3D(path, run_foreign_code=means.run_foreign_code).to(means.device)

        def network(x: Tensor) -> Mapping[str, Tensor]:
            return {"logits": program.logits(x)}

        return Extractor(in_parts(network, means.device, 4), weights_facts(program.weights), self)


class RandomI3D(I3DInput):
    """I3D-400 with weights made by a formula: a fixed random network, never to be called FVD."""

    def open(self, means: Resources) -> Extractor:
        network = I3D()
        network.load_state_dict(i3d_state(network))
        network.to(means.device)
        return Extractor(in_parts(lambda x: network(self.prepared(x))._asdict(), means.device, 4), {}, self)


class RandomFeatures(Features):
    """:class:`~vidgan.evaluation.features.network.RandomConv3d`: 128 ``features`` at the clips' own size."""

    def open(self, means: Resources) -> Extractor:
        network = RandomConv3d().to(means.device)

        def features(x: Tensor) -> Mapping[str, Tensor]:
            return {"features": network(x.float() / 127.5 - 1)}

        return Extractor(in_parts(features, means.device, 16), {}, self)


class TganInput(Spec):
    """TGAN's: bicubic to 128x128, BGR, middle columns of the mean clip taken off, rows and columns 8 to 120."""


class Tganv2Input(Spec):
    """TGANv2's: BGR, bilinear with aligned corners to 112x112, the mean clip's rows and columns 8 to 120 off."""


class C3DFeatures(Features):
    """C3D fine-tuned on UCF-101: ``logits`` (101), ``features`` fc7; clips of exactly 16 frames."""

    input: TganInput | Tganv2Input = TganInput()
    """preparation"""

    @property
    def weights_of(self) -> str:
        return "C3D (UCF-101)"

    def open(self, means: Resources) -> Extractor:
        network, weights = load_c3d(named_weights(means, self.weights_of), 101)
        if means.mean is None:
            raise UserError(
                "C3D's mean clip is needed beside its weights: name its file (mean2.npz) by --mean-clip PATH"
            )
        mean, mean_weights = load_c3d_mean(means.mean)
        network.to(means.device)
        prepare = tgan_input if isinstance(self.input, TganInput) else tganv2_input

        def outputs(x: Tensor) -> Mapping[str, Tensor]:
            return network(prepare(2 * x.float() / 255 - 1, mean))._asdict()

        facts = {**weights_facts(weights), "mean_sha256": mean_weights.sha256}
        return Extractor(in_parts(outputs, means.device, 4), facts, self)


class R2Plus1DFeatures(Features):
    """R(2+1)D-18 trained on Kinetics-400: ``logits`` (400), ``features`` the average pool (512).

    Frames are resized to 128x171 (bilinear, half-pixel), the middle 112x112 is normalised per channel.
    """

    @property
    def weights_of(self) -> str:
        return "R(2+1)D-18 (Kinetics-400)"

    def open(self, means: Resources) -> Extractor:
        network, weights = load_r2plus1d(named_weights(means, self.weights_of), 400)
        network.to(means.device)

        def outputs(x: Tensor) -> Mapping[str, Tensor]:
            return network(r2plus1d_input(2 * x.float() / 255 - 1))._asdict()

        return Extractor(in_parts(outputs, means.device, 4), weights_facts(weights), self)


class InDomainFeatures(Features):
    """A classifier of ``vidgan train-classifier``: ``logits``, and 128 ``features`` before its last layer.

    Clips are taken at their own size, as 2 x / 255 - 1. Its held-out accuracy stands beside every number.
    """

    @property
    def weights_of(self) -> str:
        return "the classifier (vidgan train-classifier)"

    def open(self, means: Resources) -> Extractor:
        in_domain = load_in_domain(named_weights(means, self.weights_of))
        network = in_domain.network.to(means.device)

        def outputs(x: Tensor) -> Mapping[str, Tensor]:
            return network(x.float() / 127.5 - 1)._asdict()

        facts = {
            **weights_facts(in_domain.weights),
            "classes": list(in_domain.classes),
            "held_out_accuracy": in_domain.facts["held_out_accuracy"],
            "classifier": in_domain.facts,
        }
        return Extractor(in_parts(outputs, means.device, 16), facts, self)


class InDomainLabels(InDomainFeatures):
    """The same, and ``seen``: the number, among the evaluated clips' classes, of the class that it sees.

    A class of the classifier that the evaluated clips do not have counts as none of them.
    """

    def open(self, means: Resources) -> Extractor:
        opened = super().open(means)
        known = tuple(opened.facts["classes"])
        if strange := [name for name in means.classes if name not in known]:
            raise UserError(
                f"the classifier does not know {', '.join(strange[:5])}; it knows {', '.join(known[:8])}: train one "
                "on data with these classes, or put the videos in folders named by class"
            )
        place = np.array(
            [means.classes.index(name) if name in means.classes else len(means.classes) for name in known]
        )

        def rows(batch: EvaluationBatch) -> Rows:
            found = opened.rows(batch)
            return {**found, "seen": place[found["logits"].argmax(1)][:, None]}

        return opened._replace(rows=rows)
