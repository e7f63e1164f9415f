"""The encoder of conditioning frames: recurrent states and skip connections from C given frames."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vidgan.models.body import Body, BodySpec
from vidgan.models.conditioning import Conditioning
from vidgan.nn.layers import Conv2d
from vidgan.shapes import frames_into_channels
from vidgan.spec import Spec, require


class EncoderSpec(Spec):
    """The frame critic's trunk at full size, applied to each conditioning frame (Clark et al. 2019, A.4)."""

    body: BodySpec = BodySpec()
    kernel: int = 3
    """size of the convolution that compresses the joined features to a state: 1 in DVD-GAN-FP, 3 in TrIVD-GAN-FP"""
    rectify: bool = True
    """ReLU after that convolution (Luc et al. 2020, F.3)"""
    skips: bool = False
    """U-Net connections to the generator (Clark et al. 2019, A.4): one per stage, see :class:`Stage`"""

    def validate(self) -> None:
        require(self.kernel % 2 == 1, f"kernel must be odd, got {self.kernel}")
        require(self.body.volume_blocks == 0, "an encoder works on single frames: volume_blocks must be 0")
        require(not self.body.time_in_channels, "an encoder works on single frames: no time_in_channels")

    def build(self, frames: int, states: Mapping[int, int], size: int) -> "Encoder":
        """An encoder of ``frames`` frames of ``size`` pixels; ``states`` maps a map's side to its channels."""
        return Encoder(self, frames, states, size)


class Encoder(nn.Module):
    """Frames (B C 3 H W) -> :class:`Conditioning`."""

    def __init__(self, spec: EncoderSpec, frames: int, states: Mapping[int, int], size: int) -> None:
        super().__init__()
        self.spec = spec
        self.body = Body(spec.body, 3, steps=1)
        self.channels = feature_channels(spec.body, size)
        for side in states:
            require(side in self.channels, f"the encoder has no features of side {side} for {size} pixels")
        self.compress = nn.ModuleDict(
            {
                str(side): Conv2d(frames * self.channels[side], hidden, spec.kernel)
                for side, hidden in states.items()
            }
        )

    def forward(self, frames: Tensor) -> Conditioning:
        # Our choice: features are taken as blocks give them, not rectified, and of blocks that share a side the deepest
        # stands for it; Clark et al. 2019, A.4 is silent on both.
        joined = {h.shape[-1]: frames_into_channels(h) for h in self.body(frames)}
        states = {}
        for side, layer in self.compress.items():
            state = layer(joined[int(side)])
            states[int(side)] = torch.relu(state) if self.spec.rectify else state
        return Conditioning(states, joined if self.spec.skips else {}, None)


def feature_channels(body: BodySpec, size: int) -> dict[int, int]:
    """Channels of the body's features by the side of their map, for frames of ``size`` pixels."""
    table = {}
    for index, multiplier in enumerate(body.channels):
        side = size >> min(index + 1, len(body.channels) - 1)
        table[side] = multiplier * body.width
    return table
