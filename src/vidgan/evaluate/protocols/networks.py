"""The feature networks of the papers and the ones that need no weights, with their preparation of clips."""

from collections.abc import Mapping

import torch
from torch import Tensor

from vidgan.errors import UserError
from vidgan.evaluate.features import resize
from vidgan.evaluate.features.c3d import tgan_input, tganv2_input
from vidgan.evaluate.features.formula import i3d_state
from vidgan.evaluate.features.i3d import I3D
from vidgan.evaluate.features.r2plus1d import r2plus1d_input
from vidgan.evaluate.features.random_conv3d import RandomConv3d
from vidgan.evaluate.features.torchscript import TorchScriptI3D
from vidgan.evaluate.features.weights import is_torchscript, load_c3d, load_c3d_mean, load_i3d, load_r2plus1d
from vidgan.evaluate.protocols.extractors import (
    Extractor,
    Features,
    Means,
    in_parts,
    named_weights,
    weights_facts,
)
from vidgan.spec import Spec, require

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

    def open(self, means: Means) -> Extractor:
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

    def open(self, means: Means) -> Extractor:
        path = named_weights(means, self.weights_of)
        program = TorchScriptI3D(path, run_foreign_code=means.run_foreign_code).to(means.device)

        def network(x: Tensor) -> Mapping[str, Tensor]:
            return {"logits": program.logits(x)}

        return Extractor(in_parts(network, means.device, 4), weights_facts(program.weights), self)


class RandomI3D(I3DInput):
    """I3D-400 with weights made by a formula: a fixed random network, never to be called FVD."""

    def open(self, means: Means) -> Extractor:
        network = I3D()
        network.load_state_dict(i3d_state(network))
        network.to(means.device)
        return Extractor(in_parts(lambda x: network(self.prepared(x))._asdict(), means.device, 4), {}, self)


class RandomFeatures(Features):
    """:class:`~vidgan.evaluate.features.random_conv3d.RandomConv3d`: 128 ``features`` at the clips' own size."""

    def open(self, means: Means) -> Extractor:
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

    def open(self, means: Means) -> Extractor:
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

    def open(self, means: Means) -> Extractor:
        network, weights = load_r2plus1d(named_weights(means, self.weights_of), 400)
        network.to(means.device)

        def outputs(x: Tensor) -> Mapping[str, Tensor]:
            return network(r2plus1d_input(2 * x.float() / 255 - 1))._asdict()

        return Extractor(in_parts(outputs, means.device, 4), weights_facts(weights), self)
