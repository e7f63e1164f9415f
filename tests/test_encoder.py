"""The encoder of given frames: what its states are made of (Clark et al. 2019, A.4; Luc et al. 2020, A and F.3)."""

import pytest
import torch

from vidgan.models.discriminator import BodySpec
from vidgan.models.generator import EncoderSpec, GeneratorSpec, StageSpec
from vidgan.nn.layers import Conv2d
from vidgan.nn.norm import BatchStatistics
from vidgan.nn.recurrent import ConvGRUSpec
from vidgan.nn.temporal import RecurrentSpec


@torch.no_grad()
@pytest.mark.parametrize("trunk_relu", [True, False])
def test_the_last_block_ends_in_relu_and_the_others_do_not(trunk_relu: bool) -> None:
    """ "identical to D_S", whose "final block is followed by a ReLU activation"; a state of the deepest map and of one
    before it, of two frames whose features are joined in the order of frames."""
    torch.manual_seed(0)
    spec = EncoderSpec(
        body=BodySpec(width=2, channels=(1, 2, 3)), kernel=1, relu=False, skips=True, trunk_relu=trunk_relu
    )
    encoder = spec.build(frames=2, states={4: 5, 8: 5}, size=16).double()
    video = torch.randn(3, 2, 3, 16, 16, dtype=torch.float64)
    given = encoder(video)
    # The blocks one by one, a frame at a time.
    maps: dict[int, list[torch.Tensor]] = {8: [], 4: []}
    for t in range(2):
        h = video[:, t : t + 1]
        for index, block in enumerate(encoder.body.blocks):
            h = block(h)
            if index == 0:
                maps[8].append(h[:, 0])
        maps[4].append(h[:, 0].clamp(min=0) if trunk_relu else h[:, 0])
    assert min(float(h.min()) for h in maps[8]) < 0  # else the test could not tell
    for side, frames in maps.items():
        joined = torch.cat(frames, dim=1)
        layer = encoder.compress[str(side)]
        assert isinstance(layer, Conv2d)
        expected = torch.einsum("oc,bchw->bohw", (layer.weight / layer.sigma()).flatten(1), joined)
        assert layer.bias is not None
        expected += layer.bias[None, :, None, None]
        assert torch.allclose(given.states[side].reshape(expected.shape), expected, rtol=0, atol=1e-10)
        assert torch.allclose(given.skips[side].reshape(joined.shape), joined, rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("skips", [True, False])
def test_states_of_a_wider_dtype_are_those_cast_before(skips: bool) -> None:
    """A generator in bfloat16 behind an encoder in float32: what is given may be wider, says `generate`."""
    torch.manual_seed(0)
    encoder = EncoderSpec(body=BodySpec(width=2, channels=(1, 2)), kernel=1, relu=False, skips=skips)
    stages = (StageSpec(channels=2, temporal=(RecurrentSpec(unit=ConvGRUSpec()),)),)
    spec = GeneratorSpec(latent=2, embedding=2, width=2, channels=2, side=4, stages=stages, encoder=encoder)
    generator = spec.build(classes=2, frames=2, context_frames=2)
    given = generator.encode(torch.randn(3, 2, 3, 8, 8))
    assert {state.dtype for state in given.states.values()} == {torch.float32}
    cast = given._replace(
        states={side: state.bfloat16() for side, state in given.states.items()},
        skips={side: skip.bfloat16() for side, skip in given.skips.items()},
    )
    z, embedded = torch.randn(3, 2), generator.embed_label(torch.tensor([0, 1, 0]))
    wide, narrow = (
        generator.generate(z, embedded, 2, BatchStatistics(), each, dtype=torch.bfloat16)
        for each in (given, cast)
    )
    assert torch.equal(wide, narrow)
