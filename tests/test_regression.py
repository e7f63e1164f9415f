"""Dead wiring: each generator reproduces four fixed clips, told apart by one of its inputs alone.

Two adversarial steps move every weight and prove little. Here the mean square error alone trains a generator,
and noise, label, conditioning frames or the lower level's video is all that differs between the clips: an
input that is lost on its way, a state that is not carried or a skip that leads nowhere cannot get there.
"""

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

import catalog
from vidgan.models.cascade import below_of
from vidgan.models.generator import NOTHING, Conditioning, Generator, from_below
from vidgan.models.level import view_below
from vidgan.nn.layers import OrthogonalSpec, initialise, power_iterate
from vidgan.nn.norm import BatchStatistics
from vidgan.seeds import stream

CLIPS, LATENT = 4, 8
GOOD = 0.05
"""error, as a part of the variance between the clips, at which they count as reproduced"""


class Case(NamedTuple):
    """A generator, made small enough to learn in seconds, and what tells the clips apart."""

    preset: str
    level: int
    apart: str
    side: int
    width: int
    rate: float
    steps: int

    @property
    def name(self) -> str:
        return f"{self.preset} {self.level + 1} by {self.apart}"


DEMO_BY_NOISE = Case("demo", 0, "noise", side=2, width=4, rate=2e-2, steps=300)
CASES = (
    DEMO_BY_NOISE,
    DEMO_BY_NOISE._replace(apart="label"),
    Case("dvd-gan-fp-k600-16x64", 0, "frames", side=2, width=2, rate=2e-2, steps=250),
    Case("trivd-gan-fp-k600-16x64", 0, "frames", side=2, width=2, rate=2e-2, steps=250),
    Case("ssw-gan-k600-48x128", 0, "noise", side=2, width=4, rate=1e-2, steps=250),
    Case("ssw-gan-k600-48x128", 1, "video below", side=1, width=4, rate=1e-2, steps=150),
)


def waves(frames: int, size: int) -> Tensor:
    """Four clips (4 T 3 H W): waves of colour that run in four directions at four speeds."""
    t = torch.linspace(0, 1, frames)[:, None, None, None]
    c = torch.arange(3)[:, None, None] / 3
    y, x = torch.linspace(0, 1, size)[:, None], torch.linspace(0, 1, size)[None]
    each = ((1, 0, 0.7, 0.1), (0, 1, -0.7, 0.3), (0.5, 0.5, 1, 0.6), (-0.7, 0.7, -1, 0.8))
    return torch.stack(
        [0.8 * torch.sin(2 * math.pi * (a * x + b * y + v * t + c + p)) for a, b, v, p in each]
    )


class Lesson:
    """A generator, its four targets and its inputs, which are the same for all clips but in one respect."""

    def __init__(self, case: Case, apart: str) -> None:
        experiment = catalog.experiments()[case.preset]
        spec = experiment.levels[case.level]
        whole = spec.generator
        self.given, self.steps = spec.context_frames, spec.trained_frames
        small = whole.replace(width=case.width, side=case.side, latent=LATENT, embedding=LATENT)
        below = below_of(experiment.levels, case.level)
        if below is not None:
            below = below._replace(size=below.size * small.size // whole.size)
        self.generator: Generator = small.build(CLIPS, self.steps, self.given, below)
        initialise(self.generator, OrthogonalSpec(), stream(0, "weights"))
        clips = waves(spec.seen_frames, small.size)
        self.target = clips[:, self.given :]
        self.frames = one(clips[:, : self.given], apart == "frames")
        self.below = None if below is None else one(view_below(clips, below, False), apart == "video below")
        self.z = one(torch.randn((CLIPS, LATENT), generator=stream(0, "noise")), apart == "noise")
        self.label = one(torch.arange(CLIPS), apart == "label")

    def conditioning(self) -> Conditioning:
        if self.given:
            return self.generator.encode(self.frames)
        return NOTHING if self.below is None else from_below(self.below)

    def error(self) -> Tensor:
        """Mean square error over the variance between the clips: 1 for their mean, shown four times."""
        made = self.generator.generate(
            self.z, self.generator.embed_label(self.label), self.steps, BatchStatistics(), self.conditioning()
        )
        variance = (self.target - self.target.mean(0, keepdim=True)).square().mean()
        return (made - self.target).square().mean() / variance

    def learn(self, rate: float, steps: int) -> list[float]:
        """The error before each step, until it is good."""
        adam = torch.optim.Adam(self.generator.parameters(), lr=rate, betas=(0.9, 0.99))
        errors: list[float] = []
        for _ in range(steps):
            error = self.error()
            errors.append(error.item())
            if errors[-1] < GOOD:
                break
            adam.zero_grad()
            error.backward()
            adam.step()
            power_iterate(self.generator)
        return errors


def one(x: Tensor, apart: bool) -> Tensor:
    """``x`` as it is if clips differ in it, else its first row for every clip."""
    return x if apart else x[:1].expand_as(x).contiguous()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_generators_reproduce_four_clips(case: Case) -> None:
    errors = Lesson(case, case.apart).learn(case.rate, case.steps)
    assert errors[0] > 0.5
    assert errors[-1] < GOOD, f"after {len(errors)} steps: {errors[::20]}"


@pytest.mark.slow
def test_clips_that_nothing_tells_apart_cannot_be_learnt() -> None:
    """The error of equal outputs is never below one: what is learnt above came through the input named."""
    errors = Lesson(DEMO_BY_NOISE, "nothing").learn(DEMO_BY_NOISE.rate, 10)
    assert len(errors) == 10
    assert min(errors) > 0.999


def test_the_clips_move() -> None:
    """A generator that repeats one frame stays above the bar: the clips' own movement is larger than that."""
    clips = waves(4, 16)
    still = (clips - clips.mean(1, keepdim=True)).square().mean()
    between = (clips - clips.mean(0, keepdim=True)).square().mean()
    assert still / between > 10 * GOOD
