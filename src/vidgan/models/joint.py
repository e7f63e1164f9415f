"""The levels of a cascade as one adversarial level: they are trained together, end to end (SSW-GAN, H)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidgan.models.cascade import below_of
from vidgan.models.level import AdversarialLevel, Features, Level, LevelSpec, resize, take, view_below
from vidgan.models.views import DiscriminatorInput
from vidgan.nn.norm import Statistics
from vidgan.shapes import as_video


class JointLevels(AdversarialLevel):
    """Generators in a row, and the discriminators of every level that has any.

    The first level makes its whole video; each one above makes a window from a window of what the level below it made,
    and its gradients pass through it. Our choice, as the paper names no loss for discriminators on several levels: all
    outputs enter the objective of the top level together.
    """

    def __init__(self, specs: Sequence[LevelSpec], classes: int) -> None:
        super().__init__()
        levels = tuple(Level(spec, classes, below_of(specs, i)) for i, spec in enumerate(specs))
        self.levels = levels  # a tuple, so that what follows names every network once
        self.spec, self.below = specs[-1], None
        self.generator = nn.ModuleList(level.generator for level in levels)
        self.discriminators = nn.ModuleDict(
            {
                joint_name(i, name): level.discriminator(name)
                for i, level in enumerate(levels)
                for name in level.discriminators
            }
        )

    @property
    def latent(self) -> int:
        return sum(level.latent for level in self.levels)

    def real_input(self, clip: Tensor, label: Tensor, smooth: bool) -> DiscriminatorInput:
        """Whole videos of all levels; :meth:`at` cuts windows from them."""
        clips = [resize(clip, self.spec.size, smooth)]
        for level in reversed(self.levels[1:]):
            assert level.below is not None
            clips.insert(0, view_below(clips[0], level.below, smooth))
        return combined([DiscriminatorInput(video, None, label) for video in clips])

    def places(self, clips: int, rng: torch.Generator) -> Tensor:
        """Where each level above the first begins in what is made below it, in frames of that: (clips, levels - 1)."""
        table = [torch.zeros((clips, 0), dtype=torch.int64)]
        for low, high in zip(self.levels, self.levels[1:], strict=False):
            choices = low.spec.trained_frames - inputs_of(high) + 1
            table.append(torch.randint(0, choices, (clips, 1), generator=rng))
        return torch.cat(table, dim=1)

    def at(self, real: DiscriminatorInput, places: Tensor) -> DiscriminatorInput:
        whole = levels_of(real)
        seen = [whole[0]]
        first = torch.zeros(len(real.label), dtype=torch.int64, device=real.clip.device)
        for index, level in enumerate(self.levels[1:], 1):
            assert level.below is not None
            start = places[:, index - 1].to(first.device)
            first = (first + start) * level.below.factor
            clip = as_video(take(whole[index].clip, first, level.spec.trained_frames))
            below = as_video(take(seen[-1].clip, start, inputs_of(level)))
            seen.append(DiscriminatorInput(clip, below, real.label, start))
        return combined(seen)

    def draws(self, clips: int, rng: torch.Generator) -> dict[str, Tensor]:
        return {
            joint_name(i, name): draw
            for i, level in enumerate(self.levels)
            for name, draw in level.draws(clips, rng).items()
        }

    def views(self, batch: DiscriminatorInput, draws: dict[str, Tensor]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for index, (level, seen) in enumerate(zip(self.levels, levels_of(batch), strict=True)):
            own = {name: draws[joint_name(index, name)] for name in level.discriminators}
            found |= {joint_name(index, name): view for name, view in level.views(seen, own).items()}
        return found

    def generate_fake(
        self,
        real: DiscriminatorInput,
        z: Tensor,
        below: Tensor | None,
        statistics: Statistics,
        dtype: torch.dtype | None = None,
    ) -> DiscriminatorInput:
        made: list[DiscriminatorInput] = []
        parts = z.split([level.latent for level in self.levels], dim=1)
        for level, seen, noise in zip(self.levels, levels_of(real), parts, strict=True):
            given = None
            if made:
                assert seen.start is not None, "real clips are cut by `at` first"
                given = as_video(take(made[-1].clip, seen.start, inputs_of(level)))
            made.append(level.generate_fake(seen, noise, given, statistics, dtype))
        return combined(made)

    def features(
        self,
        batches: Sequence[DiscriminatorInput],
        draws: Sequence[dict[str, Tensor]],
        dtype: torch.dtype | None = None,
    ) -> list[Features]:
        table: list[Features] = [{} for _ in batches]
        by_level = zip(*map(levels_of, batches), strict=True)
        for index, (level, seen) in enumerate(zip(self.levels, by_level, strict=True)):
            own = [{name: draw[joint_name(index, name)] for name in level.discriminators} for draw in draws]
            for joined, of_level in zip(table, level.features(seen, own, dtype), strict=True):
                joined |= {joint_name(index, name): h for name, h in of_level.items()}
        return table


def joint_name(index: int, discriminator: str) -> str:
    """What logs call a discriminator of level ``index``."""
    return f"level{index + 1}_{discriminator}"


def inputs_of(level: Level) -> int:
    """Frames of the level below that a training window is made from."""
    assert level.below is not None
    return level.spec.trained_frames // level.below.factor


def combined(levels: Sequence[DiscriminatorInput]) -> DiscriminatorInput:
    """What the levels see, as one: the top level's, with those below in it."""
    return levels[-1]._replace(lower=tuple(levels[:-1]))


def levels_of(seen: DiscriminatorInput) -> list[DiscriminatorInput]:
    """Undo :func:`combined`."""
    return [*seen.lower, seen._replace(lower=())]
