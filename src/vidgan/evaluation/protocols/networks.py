"""Features of networks: published ones with weights from files, fixed random ones, a classifier of one's own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from vidgan.bounds import Count, Length, Positive
from vidgan.errors import UserError
from vidgan.evaluation.classifier import load_in_domain
from vidgan.evaluation.features import resize
from vidgan.evaluation.features.c3d import tgan_input, tganv2_input
from vidgan.evaluation.features.i3d import I3D
from vidgan.evaluation.features.network import (
    FeatureNetwork,
    FrozenBatchNorm,
    RandomConv3d,
    exact_float32,
    i3d_state,
)
from vidgan.evaluation.features.r2plus1d import r2plus1d_input
from vidgan.evaluation.features.weights import (
    Weights,
    is_torchscript,
    load_c3d,
    load_c3d_mean,
    load_i3d,
    load_r2plus1d,
    load_torchscript,
)
from vidgan.evaluation.protocols.base import EvaluationBatch, Extractor, Features, Resources, Rows
from vidgan.sample.memory import short_of_memory
from vidgan.sample.video_io import Videos
from vidgan.spec import Spec, require

LARGE_PASS, SMALL_PASS = 4, 16
"""clips that a large network, and a small one, takes at a time"""


def in_passes(
    network: Callable[[Tensor], Mapping[str, Tensor]], resources: Resources, most: int
) -> Callable[[EvaluationBatch], Rows]:
    """``network`` of bytes (N T 3 H W) in exact float32; its outputs as float32 arrays.

    It takes ``most`` clips at a time, or fewer where ``resources`` say so.
    """
    most = min(most, resources.micro_batch or most)

    def rows(batch: EvaluationBatch) -> Rows:
        parts = []
        with exact_float32():
            for start in range(0, len(batch.videos), most):
                videos = batch.videos[start : start + most]
                what = (
                    f"{len(videos)} clips of {videos.shape[1]} frames at a time in the network that measures"
                )
                with short_of_memory(
                    len(videos), what, "ask for fewer --frames, or choose another --device (cpu)"
                ):
                    found = network(to_video(videos, resources.device))
                    parts.append({name: value.float().cpu().numpy() for name, value in found.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return rows


def to_video(videos: Videos, device: torch.device) -> Tensor:
    """Clips as bytes (N T 3 H W), of type uint8."""
    return torch.from_numpy(np.ascontiguousarray(videos)).to(device).permute(0, 1, 4, 2, 3)


def outputs_of(
    network: FeatureNetwork, prepare: Callable[[Tensor], Tensor], resources: Resources
) -> Callable[[EvaluationBatch], Rows]:
    """``logits`` and ``features`` of a large network, of clips that are prepared from bytes (N T 3 H W)."""
    network.to(resources.device)
    return in_passes(lambda x: network(prepare(x))._asdict(), resources, LARGE_PASS)


def named_weights(resources: Resources, network: str) -> Path:
    """The weights' file; raises :class:`UserError` that names the option where there is none."""
    if resources.weights is None:
        raise UserError(
            f"the weights of {network} are needed: name their file by --weights PATH "
            "(docs/evaluation.md says which files there are)"
        )
    return resources.weights


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

    frames: Length = I3D_FRAMES
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
    every: Count = 1
    """of a clip's frames, from its first on, each of this number is seen"""

    @property
    def squashes(self) -> bool:
        return True

    def check_form(self, frames: int, size: int) -> None:
        seen = -(-frames // self.every)
        if self.short is None and seen < I3D_FRAMES:
            raise UserError(
                f"I3D needs {I3D_FRAMES} frames and the clips have {seen}: this protocol does not lengthen them; "
                "is-k400 and fid-k600-avgpool do, and say how"
            )

    def for_frames(self, frames: int | None) -> Self:
        long = self.short is not None and frames is not None and -(-frames // self.every) >= self.short.frames
        return self.replace(short=None) if long else self

    def prepared(self, frames: Tensor) -> Tensor:
        """Bytes (B T 3 H W) as the network takes them."""
        self.check_form(frames.shape[1], frames.shape[-1])
        frames = frames[:, :: self.every]
        if self.short is not None:
            frames = self.short.apply(frames)
        return 2 * self.resize.apply(frames, 224) / 255 - 1


class I3DFeatures(I3DInput):
    """I3D with weights from a file: ``logits`` averaged over time, ``features`` the average pool (1024)."""

    classes: Count = 400
    """400 or 600: Kinetics-400 or -600"""
    epsilon: Positive = 1e-3
    """of batch normalisation: what it was trained with, or PyTorch's 1e-5, which some ports take"""

    def validate(self) -> None:
        require(self.classes in (400, 600), f"I3D has 400 or 600 classes, not {self.classes}")

    @property
    def weights_of(self) -> str:
        return f"I3D (Kinetics-{self.classes})"

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        path = named_weights(resources, self.weights_of)
        if is_torchscript(path):
            require(self.classes == 400, f"TorchScript I3D has 400 classes; {self.classes} are needed here")
            return ForeignI3D(every=self.every).open(resources, classes)
        network, weights = load_i3d(path, self.classes)
        for module in network.modules():
            if isinstance(module, FrozenBatchNorm):
                module.eps = self.epsilon
        return Extractor(outputs_of(network, self.prepared, resources), weights_facts(weights), self)


class ForeignI3D(Features):
    """The TorchScript I3D-400: its resizing, range and graph are the program's own."""

    every: Count = 1
    """of a clip's frames, from its first on, each of this number is seen"""

    @property
    def squashes(self) -> bool:
        return True

    @property
    def weights_of(self) -> str:
        return "the TorchScript I3D"

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        path = named_weights(resources, self.weights_of)
        program, weights = load_torchscript(path, run_foreign_code=resources.run_foreign_code)
        program.to(resources.device)

        def logits(x: Tensor) -> Mapping[str, Tensor]:
            clip = x[:, :: self.every].transpose(1, 2).float()
            return {"logits": program(clip, rescale=True, resize=True, return_features=True)}

        return Extractor(in_passes(logits, resources, LARGE_PASS), weights_facts(weights), self)


class RandomI3D(I3DInput):
    """I3D-400 with weights made by a formula: a fixed random network, never to be called FVD."""

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        network = I3D()
        network.load_state_dict(i3d_state(network))
        return Extractor(outputs_of(network, self.prepared, resources), {}, self)


class RandomFeatures(Features):
    """:class:`~vidgan.evaluation.features.network.RandomConv3d`: 128 ``features`` at the clips' own size."""

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        network = RandomConv3d().to(resources.device)

        def features(x: Tensor) -> Mapping[str, Tensor]:
            return {"features": network(x.float() / 127.5 - 1)}

        return Extractor(in_passes(features, resources, SMALL_PASS), {}, self)


class TganInput(Spec):
    """TGAN's: bicubic to 128x128, BGR, middle columns of the mean clip taken off, rows and columns 8 to 120."""


class Tganv2Input(Spec):
    """TGANv2's: BGR, bilinear with aligned corners to 112x112, the mean clip's rows and columns 8 to 120 off."""


C3D_FRAMES = 16
"""that C3D takes"""


class C3DFeatures(Features):
    """C3D fine-tuned on UCF-101: ``logits`` (101), ``features`` fc7; clips of exactly 16 frames."""

    input: TganInput | Tganv2Input = TganInput()
    """preparation"""

    def check_form(self, frames: int, size: int) -> None:
        if frames != C3D_FRAMES:
            raise UserError(f"C3D takes exactly {C3D_FRAMES} frames, not {frames}: leave out --frames")

    @property
    def squashes(self) -> bool:
        return True

    @property
    def weights_of(self) -> str:
        return "C3D (UCF-101)"

    @property
    def needs_mean_clip(self) -> bool:
        return True

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        network, weights = load_c3d(named_weights(resources, self.weights_of), 101)
        if resources.mean_clip is None:
            raise UserError(
                "C3D's mean clip is needed beside its weights: name its file (mean2.npz) by --mean-clip PATH"
            )
        mean, mean_weights = load_c3d_mean(resources.mean_clip)
        prepare = tgan_input if isinstance(self.input, TganInput) else tganv2_input
        rows = outputs_of(network, lambda x: prepare(2 * x.float() / 255 - 1, mean), resources)
        return Extractor(rows, {**weights_facts(weights), "mean_sha256": mean_weights.sha256}, self)


class R2Plus1DFeatures(Features):
    """R(2+1)D-18 trained on Kinetics-400: ``logits`` (400), ``features`` the average pool (512).

    Frames are resized to 128x171 (bilinear, half-pixel), the middle 112x112 is normalised per channel.
    """

    @property
    def weights_of(self) -> str:
        return "R(2+1)D-18 (Kinetics-400)"

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        network, weights = load_r2plus1d(named_weights(resources, self.weights_of), 400)
        rows = outputs_of(network, lambda x: r2plus1d_input(2 * x.float() / 255 - 1), resources)
        return Extractor(rows, weights_facts(weights), self)


class InDomainFeatures(Features):
    """A classifier of ``vidgan evaluate --train-classifier``: ``logits``, and 128 ``features`` before its last layer.

    Clips are taken at their own size, as 2 x / 255 - 1. Its held-out accuracy stands beside every number.
    """

    @property
    def weights_of(self) -> str:
        return "the classifier (vidgan evaluate --train-classifier)"

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        in_domain = load_in_domain(named_weights(resources, self.weights_of))
        network = in_domain.network.to(resources.device)

        def outputs(x: Tensor) -> Mapping[str, Tensor]:
            return network(x.float() / 127.5 - 1)._asdict()

        facts = {
            **weights_facts(in_domain.weights),
            "classes": list(in_domain.classes),
            "held_out_accuracy": in_domain.facts["held_out_accuracy"],
            "classifier": in_domain.facts,
        }
        return Extractor(in_passes(outputs, resources, SMALL_PASS), facts, self)


class InDomainLabels(InDomainFeatures):
    """The same, and ``seen``: the number, among the evaluated clips' classes, of the class that it sees.

    A class of the classifier that the evaluated clips do not have counts as none of them.
    """

    def open(self, resources: Resources, classes: tuple[str, ...]) -> Extractor:
        opened = super().open(resources, classes)
        known = tuple(opened.facts["classes"])
        if strange := [name for name in classes if name not in known]:
            raise UserError(
                f"the classifier does not know {', '.join(strange[:5])}; it knows {', '.join(known[:8])}: train one "
                "on data with these classes, or put the videos in folders named by class"
            )
        place = np.array([classes.index(name) if name in classes else len(classes) for name in known])

        def rows(batch: EvaluationBatch) -> Rows:
            found = opened.rows(batch)
            return {**found, "seen": place[found["logits"].argmax(1)][:, None]}

        return opened._replace(rows=rows)
