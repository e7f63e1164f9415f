"""Dependence matrices of whole generators, discriminators and levels: no clip, label or window leaks into another."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

import catalog
import dependence
from catalog import filled, random
from dependence import everything, of_clip, whole
from vidgan.models.cascade import below_of
from vidgan.models.discriminator import BodySpec, DiscriminatorSpec, MixedProjectionSpec
from vidgan.models.generator import NOTHING, Below, Conditioning, Generator, from_below
from vidgan.models.level import Level, LevelSpec, view_below
from vidgan.models.views import ClipShape, DiscriminatorInput, FramesSpec, MatchingPairSpec
from vidgan.nn.blocks import Plain3dBlocksSpec
from vidgan.nn.norm import (
    BatchNormAllFramesSpec,
    BatchNormSpec,
    BatchStatistics,
    RecordedStatistics,
    StandingStatistics,
    Statistics,
)
from vidgan.shapes import as_video

B, CLASSES = 3, 3
BELOW = 8
"""side of the clips of a level below (pixels)"""
LEVELS = {f"{name} level {index + 1}": (name, index) for name, index, _ in catalog.each_level()}
EACH_LEVEL = catalog.few_first(LEVELS)
EACH_DISCRIMINATOR = [
    pytest.param(name, marks=() if name.startswith("demo") else pytest.mark.slow, id=name)
    for name in catalog.discriminators()
]


class Made(NamedTuple):
    """A level with random weights and something to run it on."""

    level: Level
    real: DiscriminatorInput
    z: Tensor
    standing: Statistics

    def given(self, frames: Tensor | None = None) -> Conditioning:
        """Conditioning from other conditioning frames, or other frames of the level below."""
        if self.level.spec.context_frames:
            own = self.real.clip[:, : self.level.spec.context_frames]
            return self.level.generator.encode(own if frames is None else frames)
        if self.real.below is None:
            return NOTHING
        return from_below(self.real.below if frames is None else frames)

    def video(
        self,
        statistics: Statistics,
        z: Tensor | None = None,
        embedded: Tensor | None = None,
        frames: Tensor | None = None,
    ) -> Tensor:
        """The generator's video with some of its inputs exchanged, before the tanh could saturate it."""
        generator = self.level.generator
        e = generator.embed_label(self.real.label) if embedded is None else embedded
        made = generator.generate(
            self.z if z is None else z, e, self.level.spec.trained_frames, statistics, self.given(frames)
        )
        return made


def make(name: str) -> Made:
    """The level of that name."""
    preset, index = LEVELS[name]
    experiment = catalog.experiments()[preset]
    spec = experiment.levels[index]
    below = below_of(experiment.levels, index)
    level = Level(spec, CLASSES, below)
    filled(level)
    quieten(level.generator)
    clip = as_video(random(B, spec.seen_frames, 3, spec.size, spec.size, seed=6).clamp(-1, 1))
    real = DiscriminatorInput(
        clip, None if below is None else view_below(clip, below, False), torch.arange(B)
    )
    z = random(B, spec.generator.latent, seed=7)
    recorded = RecordedStatistics()
    made = Made(level, real, z, recorded)
    with torch.no_grad():
        made.video(recorded, z=z.flip(0) * 1.5)
    return made._replace(standing=StandingStatistics(recorded.averages()))


def quieten(generator: Generator) -> None:
    """Keep pixels out of the flat parts of tanh and of the ReLU before it, where a change would be lost."""
    with torch.no_grad():
        generator.final_norm.gain.mul_(0.1)
        generator.final_norm.bias.abs_()


@pytest.mark.parametrize("name", EACH_LEVEL)
def test_generators_with_standing_statistics_make_clips_apart(name: str) -> None:
    made = make(name)
    embedded = made.level.generator.embed_label(made.real.label).detach()
    for function, x in (
        (lambda z: made.video(made.standing, z=z), made.z),
        (lambda e: made.video(made.standing, embedded=e), embedded),
    ):
        found = dependence.moved(function, x, 2, 1)
        assert torch.equal(found, dependence.declared(of_clip, tuple(found.shape)))
        assert torch.equal(dependence.reached(function, x, 1, 1), torch.eye(B, dtype=torch.bool))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LEVELS if "-fp-" in name])
def test_conditioning_frames_reach_all_frames_of_their_clip(name: str) -> None:
    made = make(name)
    frames = made.real.clip[:, : made.level.spec.context_frames].detach()
    assert frames.shape[1] >= 2
    dependence.require(lambda x: made.video(made.standing, frames=x), frames, whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LEVELS if "-fp-" in name])
def test_every_state_and_every_skip_carries_the_conditioning_frames(name: str) -> None:
    """One path at a time: the others keep what they had from the original frames."""
    made = make(name)
    generator, frames = made.level.generator, made.real.clip[:, : made.level.spec.context_frames]
    embedded = generator.embed_label(made.real.label)
    steps = made.level.spec.trained_frames
    sides = [stage.output_side for stage in generator.stages]
    with torch.no_grad():
        old, new = made.given(), made.given(frames.flip(0))
        before = generator.generate(made.z, embedded, steps, made.standing, old)
        changes = [old._replace(states={**old.states, side: state}) for side, state in new.states.items()] + [
            old._replace(skips={**old.skips, side: x}) for side, x in new.skips.items() if side in sides
        ]
        assert len(changes) >= 3
        for change in changes:
            after = generator.generate(made.z, embedded, steps, made.standing, change)
            moved = (after - before).abs().flatten(2).amax(2) > 1e-10
            # Flipping the batch exchanges the first and the last clip; the one in the middle stays.
            assert torch.equal(moved, torch.tensor([True, False, True])[:, None].expand(B, steps))


@pytest.mark.parametrize("name", EACH_LEVEL)
def test_clips_meet_in_training_through_batch_statistics_alone(name: str) -> None:
    made = make(name)
    found = dependence.moved(lambda z: made.video(BatchStatistics(), z=z), made.z, 2, 1)
    spec = made.level.spec.generator
    over_batch = any(
        isinstance(norm, BatchNormSpec | BatchNormAllFramesSpec) for norm in (spec.norm, spec.final_norm)
    )
    assert torch.equal(found, dependence.declared(everything if over_batch else of_clip, tuple(found.shape)))


@pytest.mark.slow
def test_an_upper_level_sees_windows_of_the_level_below() -> None:
    """Four separable blocks of two frames either side come after the first addition of the lower video."""
    levels = catalog.experiments()["ssw-gan-k600-48x128"].levels
    spec = levels[1].generator.replace(side=1)
    assert len(spec.stages) == 5
    generator = spec.build(CLASSES, 24, below=Below(4, 2))
    filled(generator)
    quieten(generator)
    steps, clips = 24, 2
    z, below = random(clips, spec.latent), random(clips, steps // 2, 3, 4, 4)
    embedded = generator.embed_label(torch.arange(clips)).detach()
    recorded = RecordedStatistics()
    generator.generate(z.flip(0), embedded, steps, recorded, from_below(below.flip(0)))
    standing = StandingStatistics(recorded.averages())

    def video(frames: Tensor) -> Tensor:
        return generator.generate(z, embedded, steps, standing, from_below(frames))

    def window(b2: int, t2: int, b: int, t: int) -> bool:
        """Frame t of the lower video is shown at 2t and 2t + 1."""
        return b2 == b and 2 * t - 8 <= t2 <= 2 * t + 1 + 8

    dependence.require(video, below, window)
    assert generator.spec.context is not None
    assert generator.spec.context >= 8


def discriminator_of(name: str) -> tuple[LevelSpec, DiscriminatorSpec, int | None]:
    level, discriminator = catalog.discriminators()[name]
    return level, discriminator, BELOW if isinstance(discriminator.view, MatchingPairSpec) else None


def reach(body: BodySpec, steps: int) -> list[range]:
    """The steps that each score of a body sees, from its last 3-D block back to the first."""
    lengths = [steps]
    for _ in range(body.blocks_3d):
        lengths.append(max(1, lengths[-1] // 2) if body.halve_time else lengths[-1])
    convolutions = 1 if isinstance(body.residual, Plain3dBlocksSpec) else 2
    scores = 1 if body.time_in_channels else lengths[-1]
    seen = []
    for score in range(scores):
        first, last = (0, lengths[-1] - 1) if body.time_in_channels else (score, score)
        for length in reversed(lengths[:-1]):
            if body.halve_time and length > 1:
                first, last = 2 * first, 2 * last + 1
            first, last = max(0, first - convolutions), min(length - 1, last + convolutions)
        seen.append(range(first, last + 1))
    return seen


@pytest.mark.parametrize("name", EACH_DISCRIMINATOR)
def test_discriminators(name: str) -> None:
    level, spec, below_size = discriminator_of(name)
    frames = level.seen_frames if below_size is None else 2 * 6
    every = 1 if below_size is None else 2
    discriminator = spec.build(CLASSES, spec.view.steps(frames, every))
    filled(discriminator)
    side = level.size // 2 if isinstance(spec.view, MatchingPairSpec) else level.size
    clip, label = random(B, frames, 3, side, side), torch.arange(B)
    below = None if below_size is None else random(B, frames // 2, 3, BELOW, BELOW, seed=8)
    draw = spec.view.draw(B, ClipShape(frames, side, side), torch.Generator().manual_seed(9))
    mixed, k_frames = isinstance(spec.head, MixedProjectionSpec), isinstance(spec.view, FramesSpec)
    reached = reach(spec.body, frames // every)

    def own(b2: int, t2: int, b: int, t: int) -> bool:
        if k_frames:
            return b2 == b and t == int(draw[b2, t2])
        return b2 == b and t % every == 0 and t // every in reached[t2]

    def scores_of(seen: DiscriminatorInput) -> Tensor:
        (scores,) = discriminator.scores([seen], [draw])
        return scores

    def joined(b2: int, other: int, t2: int, b: int, t: int) -> bool:
        """The class term is that of clip ``other``, summed over what the discriminator saw of it."""
        seen_of_other = range(draw.shape[1]) if k_frames else range(frames // every)
        return own(b2, t2, b, t) or (b == other and any(own(other, s, b, t) for s in seen_of_other))

    pattern, outer = (joined, 3) if mixed else (own, 2)
    dependence.require(lambda x: scores_of(DiscriminatorInput(x, below, label)), clip, pattern, outer=outer)
    if below is not None:
        dependence.require(
            lambda x: scores_of(DiscriminatorInput(clip, x, label)),
            below,
            lambda b2, t2, b, t: b2 == b and t in reached[t2],
        )


@pytest.mark.parametrize("name", EACH_DISCRIMINATOR)
def test_real_and_fake_never_meet_in_a_discriminator(name: str) -> None:
    """One pass of the body serves both; what is said of the one does not depend on the other."""
    level, spec, below_size = discriminator_of(name)
    frames, side = level.seen_frames, level.size
    discriminator = spec.build(CLASSES, spec.view.steps(frames, 1 if below_size is None else 2))
    filled(discriminator)
    below = None if below_size is None else random(B, frames // 2, 3, BELOW, BELOW, seed=8)
    rng = torch.Generator().manual_seed(9)
    one, two = (
        DiscriminatorInput(random(B, frames, 3, side, side, seed=s), below, torch.arange(B)) for s in (1, 2)
    )
    first, second = (spec.view.draw(B, ClipShape(frames, side, side), rng) for _ in range(2))
    with torch.no_grad():
        together = discriminator.scores([one, two], [first, second])
        alone = [
            discriminator.scores([one], [first])[0],
            discriminator.scores([two], [second])[0],
        ]
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", EACH_LEVEL)
def test_levels_keep_noise_label_and_conditioning_of_a_clip_together(name: str) -> None:
    """With standing statistics, what is drawn for clip b moves the scores of clip b and no other's."""
    made = make(name)
    level, label = made.level, made.real.label
    draws = level.draws(B, torch.Generator().manual_seed(10))

    def scores(real: DiscriminatorInput, z: Tensor) -> list[Tensor]:
        with torch.no_grad():
            fake = level.generate_fake(real, z, real.below, made.standing)
            return level.discriminate([fake], [draws])[0]

    before = scores(made.real, made.z)
    for b in range(B):
        clips = torch.arange(B) == b
        other_z = torch.where(clips[:, None], made.z + 1, made.z)
        other_label = torch.where(clips, (label + 1) % CLASSES, label)
        # A clip with an offset in all of its frames, so in those that the generator is given too.
        other_clip = as_video(torch.where(clips[:, None, None, None, None], -made.real.clip, made.real.clip))
        changes = [
            scores(made.real, other_z),
            scores(made.real._replace(label=other_label), made.z),
        ]
        if level.spec.context_frames:
            changes.append(scores(made.real._replace(clip=other_clip), made.z))
        for after in changes:
            for discriminator, old, new in zip(level.spec.discriminators, before, after, strict=True):
                moved = (new - old).abs() > 1e-10
                if isinstance(discriminator.head, MixedProjectionSpec):
                    # Given frames keep their class-free score, so not all of a clip's scores move.
                    assert torch.equal(moved.any(2), clips[:, None] | clips[None, :]), discriminator.name
                else:
                    assert torch.equal(moved.any(1), clips), discriminator.name
