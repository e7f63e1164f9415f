"""A cascade pins which weights fed which level: a level goes on, and is sampled, only upon those it was trained on."""

from collections.abc import Mapping, Sequence
from typing import Any

from vidgan.errors import UserError
from vidgan.models.cascade import Settled
from vidgan.run.checkpoints import Found, steps_of
from vidgan.run.directory import RunDirectory
from vidgan.run.experiment import Experiment
from vidgan.run.statistics_file import parameters_hash


def pins_of(below: Sequence[Settled]) -> list[str]:
    """Hashes of the weights of the levels below, for a checkpoint's ``below``.

    Parameters alone: singular vectors follow from them, and round differently on another device.
    """
    return [parameters_hash(level.generator) for level in below]


def changed_below(facts: Mapping[str, Any], below: Sequence[Settled]) -> int | None:
    """The lowest level (from 1) whose weights are not those that a checkpoint was trained upon; None if all are."""
    now, then = pins_of(below), facts.get("below", [])
    return next((i + 1 for i in range(len(now)) if now[i : i + 1] != then[i : i + 1]), None)


def require_same_below(found: Found, below: Sequence[Settled]) -> None:
    """Refuse to go on with a level whose levels below have changed since its checkpoint.

    Raises:
        UserError: names the level that changed and what to remove.
    """
    changed, level = changed_below(found.state.facts, below), len(below) + 1
    if changed is not None:
        raise UserError(
            f"cannot resume level {level}: {found.path.name} was trained upon other weights of level {changed} than "
            f"the run has now; put those back, or remove the checkpoints of level {level} and above to train them anew"
        )


def require_fed_by(run: RunDirectory, facts: Mapping[str, Any], below: Sequence[Settled]) -> None:
    """Refuse to sample a level upon others than those that fed it; checkpoints without hashes are taken as they are.

    Raises:
        UserError: names the level that changed.
    """
    if "below" in facts and (changed := changed_below(facts, below)) is not None:
        raise UserError(
            f"{run.path} cannot be sampled: level {len(below) + 1} was trained upon other weights of level {changed} "
            "than the run has now; put those back, or train the upper levels anew"
        )


def require_below_stays(run: RunDirectory, experiment: Experiment) -> None:
    """Refuse another number of steps for a level that has fed another.

    Raises:
        UserError: says what to give instead.
    """
    if experiment.joint:
        return
    begun = [level for level in range(2, len(experiment.levels) + 1) if steps_of(run.checkpoints, level)]
    for index in range(max(begun, default=1) - 1):
        old, new = run.experiment.steps_of(index), experiment.steps_of(index)
        if old != new:
            above = min(level for level in begun if level > index + 1)
            raise UserError(
                f"cannot resume {run.path} with {new} steps of level {index + 1} instead of {old}: level {above} was "
                f"trained upon it as it is; go on with --levels.{index}.steps {old}, or remove the checkpoints of "
                f"level {above} and above to train them anew"
            )
