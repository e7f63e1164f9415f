"""What a level costs before anything is run: parameters and operations of its parts, counted on the meta device."""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vidgan.models.cascade import below_of
from vidgan.models.discriminator import Body, Discriminator
from vidgan.models.generator import Below, Encoder, Generator, Stage
from vidgan.models.joint import joint_name
from vidgan.models.known_shapes import operations
from vidgan.models.level import AdversarialLevel, Level, LevelSpec
from vidgan.models.views import DiscriminatorInput
from vidgan.nn.layers import fold_resizing
from vidgan.nn.norm import BatchStatistics
from vidgan.seeds import stream

CONTAINERS = (Generator, Encoder, Stage, Discriminator, Body, nn.ModuleList, nn.ModuleDict)
"""Modules that are shown by their parts."""

Shape = tuple[int, ...]


class Part(NamedTuple):
    """A layer or block, and what it does in one forward pass of one clip."""

    name: str
    """path within its network"""
    shape: Shape | None
    """of its output: frames, channels, height and width for maps; None where it did not run"""
    parameters: int
    flops: int
    """floating-point operations of convolutions and matrix products; a multiply and an add are two"""


class Network(NamedTuple):
    """A generator or a discriminator by its parts, in the order in which they run."""

    name: str
    parts: tuple[Part, ...]

    @property
    def parameters(self) -> int:
        """All parameters."""
        return sum(part.parameters for part in self.parts)

    @property
    def flops(self) -> int:
        """Operations of a forward pass of one clip."""
        return sum(part.flops for part in self.parts)


def networks(levels: Sequence[LevelSpec], index: int, classes: int) -> tuple[Network, ...]:
    """The generator and then the discriminators of a level, counted in a forward pass on a clip that is generated.

    A level above the first makes one training window. Nothing is computed and no weights take memory.
    """
    return networks_of(levels[index], classes, below_of(levels, index))


def joint_networks(levels: Sequence[LevelSpec], classes: int) -> tuple[Network, ...]:
    """The generators of all levels as one, and then the discriminators of each."""
    each = [networks(levels, index, classes) for index in range(len(levels))]
    parts = (part for generator, *_ in each for part in generator.parts)
    discriminators = (
        discriminator._replace(name=joint_name(i, discriminator.name))
        for i, (_, *own) in enumerate(each)
        for discriminator in own
    )
    return (Network("generator", tuple(parts)), *discriminators)


@functools.cache
def networks_of(spec: LevelSpec, classes: int, below: Below | None) -> tuple[Network, ...]:
    """The same of a level whose input is known; presets share levels, so each is counted once."""
    with torch.device("meta"):
        level = Level(spec, classes, below)
    # What the papers' layers do is counted, not the less that is computed.
    fold_resizing(level, False)
    found = {name: dict(parts_of(module)) for name, module in named_networks(level)}
    with operations() as counter, torch.no_grad():
        seen = {name: watch(parts, counter.get_total_flops) for name, parts in found.items()}
        with seen["generator"] as made:
            fake = level.generate_fake(
                nothing(level, 1), meta(1, spec.generator.latent), below_video(level, 1), STATISTICS
            )
        tables = {"generator": made}
        draws = level.draws(1, stream(0, "costs"))
        for discriminator in level.discriminators:
            with seen[discriminator] as evaluated:
                level.discriminator(discriminator).scores([fake], [draws[discriminator]])
            tables[discriminator] = evaluated
    return tuple(Network(name, tuple(in_order(found[name], table))) for name, table in tables.items())


def in_order(parts: dict[str, nn.Module], table: dict[str, "Run"]) -> Iterator[Part]:
    """Those that did not run, then the others by their first calls."""
    for path in (*(path for path in parts if path not in table), *table):
        run = table.get(path, Run(None, 0))
        yield Part(path, run.shape, count(parts[path]), run.amount)


STATISTICS = BatchStatistics()


def named_networks(level: AdversarialLevel) -> Iterator[tuple[str, nn.Module]]:
    """``generator`` and each discriminator by its name."""
    yield "generator", level.generator
    yield from ((name, level.discriminator(name)) for name in level.discriminators)


def parts_of(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers and blocks of a network that have parameters, by their paths."""
    for name, child in module.named_children():
        inner = f"{path}.{name}" if path else name
        if isinstance(child, CONTAINERS):
            yield from parts_of(child, inner)
        elif count(child):
            yield inner, child


def count(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


class Run(NamedTuple):
    """What one call of a module did."""

    shape: Shape | None
    amount: int
    """by how much the meter rose"""


@contextmanager
def watch(parts: dict[str, nn.Module], meter: Callable[[], int]) -> Iterator[dict[str, Run]]:
    """While it holds, notes for the first call of each of ``parts`` its output's shape and the rise of ``meter``."""
    table: dict[str, Run] = {}
    before: dict[str, int] = {}
    hooks = []

    def began(path: str) -> None:
        before.setdefault(path, meter())

    def ended(path: str, output: Tensor) -> None:
        shape = tuple(output.shape)
        table.setdefault(path, Run(shape[1:] if len(shape) == 5 else shape, meter() - before[path]))

    for path, part in parts.items():
        hooks.append(part.register_forward_pre_hook(lambda module, args, path=path: began(path)))
        hooks.append(part.register_forward_hook(lambda module, args, made, path=path: ended(path, made)))
    try:
        yield table
    finally:
        for hook in hooks:
            hook.remove()


def meta(*shape: int) -> Tensor:
    """A tensor without content."""
    return torch.empty(shape, device="meta")


def nothing(level: Level, clips: int) -> DiscriminatorInput:
    """Real clips without content, as a level's training sees them."""
    spec = level.spec
    clip = meta(clips, spec.seen_frames, spec.size, spec.size, 3).permute(0, 1, 4, 2, 3)
    label = torch.zeros(clips, dtype=torch.int64, device="meta")
    return DiscriminatorInput(clip, below_video(level, clips), label)


def below_video(level: Level, clips: int) -> Tensor | None:
    """What the level below would make for a training window, without content."""
    if level.below is None:
        return None
    side = level.below.size
    video = meta(clips, level.spec.trained_frames // level.below.factor, side, side, 3)
    return video.permute(0, 1, 4, 2, 3)
