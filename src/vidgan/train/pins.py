"""A cascade pins which weights fed which level: a level goes on only upon those it was trained on."""

from collections.abc import Sequence

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


def require_same_below(found: Found, below: Sequence[Settled]) -> None:
    """Refuse to go on with a level whose levels below have changed since its checkpoint.

    Raises:
        UserError: names the level that changed and what to remove.
    """
    now, then = pins_of(below), found.state.facts.get("below", [])
    if now == then:
        return
    level, changed = len(below) + 1, next(i for i in range(len(now)) if now[i : i + 1] != then[i : i + 1]) + 1
    raise UserError(
        f"cannot resume level {level}: {found.path.name} was trained upon other weights of level {changed} than "
        f"the run has now; put those back, or remove the checkpoints of level {level} and above to train them anew"
    )


def require_below_stays(run: RunDirectory, experiment: Experiment) -> None:
    """Refuse another number of steps where it would train on a level that has fed another.

    Raises:
        UserError: says what to give instead.
    """
    old, new = run.experiment.training.steps, experiment.training.steps
    begun = [level for level in range(2, len(experiment.levels) + 1) if steps_of(run.checkpoints, level)]
    if old != new and begun:
        raise UserError(
            f"cannot resume {run.path} with {new} steps instead of {old}: level {begun[0]} was trained upon the "
            f"levels below it as they are; go on with --steps {old}, or remove the checkpoints of level {begun[0]} "
            "and above to train them anew"
        )
