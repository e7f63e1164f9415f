"""Starting a level from another run's weights: what fits is taken, and what does not is said in words.

A finished level, too, is given the weights of its best checkpoint before it feeds another.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from vidgan.errors import UserError, some
from vidgan.run.best import fed_by
from vidgan.run.checkpoints import checkpoint_path, latest, load, load_checkpoint
from vidgan.run.directory import InitFrom, RunDirectory
from vidgan.sample.load import find_checkpoint, saved_record
from vidgan.sample.model import RECORD, WEIGHTS
from vidgan.tensor_file import State, part
from vidgan.train.state import TrainState

NAMED = 4
"""tensors of each kind that are named"""


class Transfer(NamedTuple):
    """What became of the tensors of a level's networks."""

    tensors: int
    """how many the level has"""
    taken: tuple[str, ...]
    other_shape: tuple[str, ...]
    """with both shapes"""
    new: tuple[str, ...]
    """there are none of these names in the other run"""
    unused: tuple[str, ...]
    """of the other run"""
    share: float
    """part of all numbers that was taken"""

    def words(self) -> str:
        """One line."""
        said = [
            f"{len(self.taken)} of {self.tensors} tensors match ({100 * self.share:.1f} % of the numbers)"
        ]
        for what, names in (
            ("of another shape, so new", self.other_shape),
            ("not there, so new", self.new),
            ("not used", self.unused),
        ):
            if names:
                said.append(f"{what}: {some(names, NAMED)}")
        return "; ".join(said)


def origin_of(path: Path, checkpoint: str | int | None = None) -> InitFrom:
    """The chosen checkpoint of every level of the run at ``path``; without one the newest of those that it has. A saved
    model has one set of weights, its generators'.

    Raises:
        UserError: where there is no run, or no such checkpoint; or no whole model.
    """
    if (path / RECORD).is_file():
        if checkpoint is not None:
            raise UserError(
                f"{path} is a saved model, which has one set of weights: leave out --init-checkpoint"
            )
        levels = len(saved_record(path)["experiment"]["levels"])
        return InitFrom(str(path.resolve()), (WEIGHTS,) * levels)
    run = RunDirectory.open(path)
    experiment = run.experiment
    rounds = [experiment.round_of(index) + 1 for index in range(len(experiment.levels))]
    if checkpoint is None:
        found = [(number, latest(run.checkpoints, number)) for number in rounds]
        states = [(number, newest.state) for number, newest in found if newest is not None]
    else:
        states = [(number, find_checkpoint(run, index, checkpoint)) for index, number in enumerate(rounds)]
    if not states:
        raise UserError(f"--init-from {path}: this run has no checkpoints yet")
    names = tuple(checkpoint_path(path, number, int(state.facts["step"])).name for number, state in states)
    return InitFrom(str(path.resolve()), names)


def start_from(state: TrainState, origin: InitFrom) -> str:
    """Take the weights of the same level of another run, or of a saved model; Adam starts anew. What was taken, in a
    line.

    Raises:
        UserError: where the checkpoint is gone, or nothing of it fits.
    """
    number = state.index + 1
    if len(origin.checkpoints) <= state.index:
        return f"level {number} starts at random: {origin.run} has no such level"
    run, name = Path(origin.run), origin.checkpoints[state.index]
    if name == WEIGHTS:
        saved = part(load(run / name).tensors, f"level{number}/")
        other = State({f"level/generator.{tensor}": value for tensor, value in saved.items()}, {})
    else:
        other = load(run / "checkpoints" / name)
    transfer = take(state, other)
    if not transfer.taken:
        raise UserError(f"--init-from {origin.run}: nothing of it fits level {number}; {transfer.words()}")
    return f"level {number} starts from {name} of {origin.run}: {transfer.words()}"


def take(state: TrainState, other: State) -> Transfer:
    """Copy every layer of the same name and shapes into the networks of ``state``, and into their average."""
    theirs, own = part(other.tensors, "level/"), state.level.state_dict()
    taken = copy_matching(own, theirs)
    state.level.load_state_dict(own)
    if state.average is not None:
        table = state.average.module.state_dict()
        copy_matching(table, part(own, "generator."))
        copy_matching(table, part(other.tensors, "average/"))
        state.average.module.load_state_dict(table)
    other_shape = [
        f"{name} ({shape(own[name])}, there {shape(theirs[name])})"
        for name in own
        if name in theirs and own[name].shape != theirs[name].shape
    ]
    return Transfer(
        len(own),
        tuple(taken),
        tuple(other_shape),
        tuple(name for name in own if name not in theirs),
        tuple(name for name in theirs if name not in own),
        sum(own[name].numel() for name in taken) / sum(tensor.numel() for tensor in own.values()),
    )


def copy_matching(own: dict[str, Tensor], theirs: dict[str, Tensor]) -> Sequence[str]:
    """Put the layers of ``theirs`` into ``own`` that fit; names of their tensors.

    A layer is taken whole or not at all: singular vectors of other weights would make a wrong norm.
    """
    misfits = {layer_of(name) for name in own if name not in theirs or own[name].shape != theirs[name].shape}
    taken = [name for name in own if layer_of(name) not in misfits]
    own.update({name: theirs[name].to(own[name].device) for name in taken})
    return taken


def layer_of(name: str) -> str:
    """The module that a tensor belongs to."""
    return name.rpartition(".")[0]


def shape(tensor: Tensor) -> str:
    """Sizes with crosses between them."""
    return "x".join(map(str, tensor.shape)) or "a number"


def take_best(run: RunDirectory | None, state: TrainState, say: Callable[[str], None]) -> None:
    """Give a finished level the weights that feed the levels above it (:func:`vidgan.run.best.fed_by`); says which."""
    if run is None:
        return
    state.replicas.wait()  # the first process has written the results
    level = state.index + 1
    step = fed_by(run, level)
    if step is not None and step != state.steps:
        state.restore(load_checkpoint(run.checkpoints, level, step).tensors, step)
        say(f"level {level} feeds the levels above it as it was at step {step}, its best")
