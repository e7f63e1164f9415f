"""From a run's checkpoint to a generator: which checkpoint, and which of its weights."""

import sys

from torch import Tensor

from vidgan.errors import UserError
from vidgan.models.cascade import below_of
from vidgan.models.generator import Generator
from vidgan.nn.layers import undrawn_weights
from vidgan.run.best import best_of_run
from vidgan.run.checkpoints import State, checkpoint_path, latest, load, require_fed_by, steps_of
from vidgan.run.directory import RunDirectory
from vidgan.run.ema import refresh_spectral_norm
from vidgan.run.experiment import Experiment


def find_checkpoint(run: RunDirectory, index: int, checkpoint: str | int = "last") -> State:
    """A checkpoint of level ``index`` (from 0).

    Args:
        checkpoint: ``last``, the newest that can be read; ``best`` by what the run evaluated while it trained; or the
            step of one. In a cascade the last two are of the top level, and the levels below it are as they fed it.

    Raises:
        UserError: if there is no such checkpoint.
    """
    step = _step_of(run, checkpoint)
    if step is None or run.experiment.round_of(index) < len(run.experiment.levels) - 1:
        found = latest(run.checkpoints, run.experiment.round_of(index) + 1)
        if found is None:
            raise UserError(f"{run.path} has no checkpoint of level {index + 1} yet; train it first")
        for message in found.broken:
            print(f"skipped a broken checkpoint: {message}", file=sys.stderr)
        return found.state
    top = len(run.experiment.levels)
    known = steps_of(run.checkpoints, top)
    if step not in known:
        there = ", ".join(map(str, known)) or "none"
        raise UserError(f"{run.path} has no checkpoint of step {step}; there are: {there}")
    return load(checkpoint_path(run.checkpoints, top, step))


def _step_of(run: RunDirectory, checkpoint: str | int) -> int | None:
    """The step of a checkpoint; None for the last."""
    if checkpoint == "last":
        return None
    if checkpoint == "best":
        best = best_of_run(run)
        if best is None:
            raise UserError(
                f"{run.path} does not know its best checkpoint: it was trained without --reporting.best.protocol"
            )
        return best.step
    if not str(checkpoint).isdecimal():
        raise UserError(f"a checkpoint is best, last or a number of steps, not {checkpoint!r}")
    return int(checkpoint)


def load_generators(
    run: RunDirectory, checkpoint: str | int = "last", raw: bool = False
) -> tuple[list[Generator], State]:
    """The generators of all levels, frozen, on the CPU, and the state of the top level's checkpoint.

    Args:
        raw: the top level's raw weights instead of their moving average. Those below it are as they fed it.

    Raises:
        UserError: if a checkpoint is missing or cannot be read, or a level was fed by other weights.
    """
    experiment = run.experiment
    generators: list[Generator] = []
    for index in range(len(experiment.levels)):
        state = find_checkpoint(run, index, checkpoint)
        if not experiment.joint:
            require_fed_by(run, state.facts, generators)
        feeds = index + 1 < len(experiment.levels) and not experiment.joint
        averaged = experiment.below_averaged if feeds else not raw
        generators.append(load_generator(experiment, index, state, averaged))
    return generators, state


def load_generator(experiment: Experiment, index: int, state: State, averaged: bool) -> Generator:
    """A level's generator with the weights of a checkpoint, frozen."""
    own = f"{index}." if experiment.joint else ""
    raw = build_generator(experiment, index)
    raw.load_state_dict(_part(state, f"level/generator.{own}"))
    if not averaged or experiment.training.average is None:
        return raw
    average = build_generator(experiment, index)
    average.load_state_dict(_part(state, f"average/{own}"))
    return refresh_spectral_norm(average, raw)


def build_generator(experiment: Experiment, index: int) -> Generator:
    """A level's generator, frozen, whose weights are yet to be loaded."""
    with undrawn_weights():
        generator = experiment.levels[index].build_generator(
            experiment.classes, below_of(experiment.levels, index)
        )
    return generator.requires_grad_(False)


def _part(state: State, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in state.tensors.items() if name.startswith(prefix)}
