"""What a training step keeps for its backward passes, by layer: the largest first.

    python benchmarks/step_memory.py --preset dvd-gan-k600-12x64 --batch 2

Counted on the meta device, where nothing is computed. A tensor belongs to the innermost module that kept it first; one
that several layers keep is counted once. Weights are left out, what is made of them is not.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from interleaved import mib
from training import Trainee, with_batch, with_width
from vidgan.presets import preset


class Settings(argparse.Namespace):
    """What the command line gives."""

    preset: str
    level: int
    width: int
    batch: int
    most: int


class Kept(NamedTuple):
    """What the updates of a step keep, together."""

    by_layer: Counter[str]
    """bytes"""
    by_kind: Counter[str]
    """the same by class of layer"""


@contextmanager
def counting(module: nn.Module) -> Iterator[Kept]:
    """Count what layers of ``module`` keep for a backward pass."""
    kept, stack = Kept(Counter(), Counter()), ["(step)"]
    seen: set[int] = set()
    kinds = {name: type(layer).__name__ for name, layer in module.named_modules()}
    weights = {p.untyped_storage()._cdata for p in module.parameters()}
    alive: list[Any] = []  # a freed storage's address would be another's later

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in seen | weights:
            seen.add(storage._cdata)
            alive.append(storage)
            kept.by_layer[stack[-1]] += storage.nbytes()
            kept.by_kind[kinds.get(stack[-1], stack[-1])] += storage.nbytes()
        return tensor

    def entering(name: str) -> Any:
        return lambda *_: stack.append(name)

    def leaving(*_: Any) -> None:
        stack.pop()

    hooks = [layer.register_forward_pre_hook(entering(name)) for name, layer in module.named_modules()]
    hooks += [layer.register_forward_hook(leaving) for layer in module.modules()]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept
    for hook in hooks:
        hook.remove()


def show(title: str, bytes_of: Counter[str], most: int) -> None:
    total = bytes_of.total()
    print(f"\n{title}: {mib(total)}")
    for name, size in bytes_of.most_common(most):
        print(f"  {100 * size / total:5.1f} %  {mib(size):>12}  {name}")


def main(settings: Settings) -> None:
    experiment = with_batch(preset(settings.preset), settings.batch)
    experiment = with_width(experiment, settings.width) if settings.width else experiment
    trainee = Trainee(experiment, settings.level - 1, torch.device("meta"))
    with counting(trainee.state.level) as kept:
        trainee.step()
    updates = experiment.training.discriminator_updates + 1
    print(f"{settings.preset}, {settings.batch} clips, {updates} updates, one after the other")
    show("by layer", kept.by_layer, settings.most)
    show("by kind of layer", kept.by_kind, settings.most)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--preset", default="dvd-gan-k600-12x64", help="whose step (%(default)s)")
    parser.add_argument("--level", type=int, default=1, help="of a cascade (1)")
    parser.add_argument("--width", type=int, default=0, help="another width than the preset's")
    parser.add_argument("--batch", type=int, default=2, help="clips per update (2)")
    parser.add_argument("--most", type=int, default=15, help="rows of each table (15)")
    main(parser.parse_args(namespace=Settings()))
