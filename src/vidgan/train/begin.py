"""How a level begins: at its newest checkpoint, with another run's weights or at random; on all processes alike."""

from collections.abc import Callable, Sequence

from torch import nn

from vidgan.errors import UserError
from vidgan.run.checkpoints import latest, require_same_below
from vidgan.run.directory import InitFrom, RunDirectory
from vidgan.train.initial import start_from
from vidgan.train.state import TrainState


def begin(
    state: TrainState,
    run: RunDirectory | None,
    below: Sequence[nn.Module],
    origin: InitFrom | None,
    say: Callable[[str], None],
) -> bool:
    """Read a new level from its newest whole checkpoint, if there is one; whether it has ended.

    It has by its last step or its time, unless more steps are asked for since.

    Args:
        below: the generators under it.
        origin: what it starts from where it has no checkpoint; None: random weights.

    Raises:
        UserError: if processes see other checkpoints, or it was trained upon other levels.
    """
    experiment, index = state.experiment, state.index
    found = None if run is None else latest(run.checkpoints, index + 1)
    state.replicas.require_same({"newest checkpoint": "none" if found is None else found.path.name})
    finished = False
    if found is not None:
        require_same_below(found, below)
        facts = found.state.facts
        state.restore(found.state.tensors, facts["step"])
        finished = bool(facts.get("finished")) and facts.get("asked") == experiment.steps_of(index)
        for message in found.broken:
            say(f"skipped a broken checkpoint: {message}")
        name = "training" if experiment.joint else f"level {index + 1}"
        verb = "is finished at" if finished else "resumes at"
        say(f"{name} {verb} step {state.steps} ({found.path.name})")
    elif origin is not None:
        say(start_from(state, origin))
    # Unlike processors round initial weights, which are made orthogonal, and what follows from weights otherwise.
    state.replicas.copy_from_first(state.networks().values())
    return finished


def require_levels_below(state: TrainState, finished: bool, only: int | None) -> None:
    """Raise :class:`UserError` where ``only`` one level is to be trained, upon this one, which is not finished."""
    index = state.index
    if not finished and only is not None and index < only:
        raise UserError(
            f"level {only + 1} needs level {index + 1} finished, which stands at step {state.steps} of "
            f"{state.experiment.steps_of(index)}: train that first, with --level {index + 1}"
        )
