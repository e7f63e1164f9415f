"""Checkpoints and standing statistics: a safetensors file each, whole or not at all, and hashes of what fed a level."""

import errno
import hashlib
import json
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from vidgan.errors import UserError
from vidgan.files import write_json
from vidgan.forms import WHOLE, Fields, fits
from vidgan.models.cascade import FrozenLevel
from vidgan.names import tell
from vidgan.nn.norm import StandingStatistics
from vidgan.run.directory import RunDirectory
from vidgan.run.experiment import Experiment, level_in_words
from vidgan.tensor_file import State, checksum, load_tensors, part, save_tensors

FORMAT: Final = "vidgan-checkpoint-2"
PLACE: Final = Fields({"level": WHOLE, "step": WHOLE})
"""where a line of the log belongs"""
FORMER: Final = "vidgan-checkpoint-1"
"""its checksum is over the tensors alone; it is still read"""
PATTERN: Final = re.compile(r"level(\d+)-step(\d{8})\.safetensors")


def checkpoint_path(folder: Path, level: int, step: int) -> Path:
    """The file of a level's checkpoint; levels count from 1 here."""
    return folder / f"level{level}-step{step:08d}.safetensors"


def save(path: Path, state: State) -> None:
    """Write ``state`` to ``path``, whole or not at all.

    Raises:
        UserError: if the disk is full; what was there before stays.
    """
    try:
        save_tensors(path, FORMAT, state)
    except (OSError, SafetensorError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
            raise UserError(
                f"the disk is full: {path.name} was not written, earlier checkpoints are intact; "
                "free some space and resume with --resume"
            ) from error
        raise


def load(path: Path) -> State:
    """The state in ``path``, its tensors on the CPU.

    Raises:
        UserError: if the file is missing, truncated, damaged or not one of ours.
    """
    if not path.exists():
        raise UserError(f"there is no checkpoint {path}")
    return load_tensors(path, FORMAT, FORMER)


def load_checkpoint(folder: Path, level: int, step: int) -> State:
    """The checkpoint of a level's step, which its facts tell too.

    Raises:
        UserError: as :func:`load`; if it is of another level or step than its name says.
    """
    path = checkpoint_path(folder, level, step)
    state = load(path)
    told = state.facts.get("level"), state.facts.get("step")
    if told != (level, step):
        raise UserError(f"{path} is of another level or step than its name says: {told[0]}, {told[1]}")
    return state


def labels_in(state: State, path: object) -> list[int]:
    """How often the data had each class, as a checkpoint says; raises :class:`UserError` where it says none."""
    counts = state.facts.get("labels")
    known = isinstance(counts, list) and all(type(count) is int and 0 <= count < 2**31 for count in counts)
    if not known or not counts or sum(counts) == 0:
        raise UserError(f"the checkpoints of {path} do not say how often the data have each class")
    return counts


class LoadedCheckpoint(NamedTuple):
    """The newest whole checkpoint of a level."""

    path: Path
    state: State
    broken: list[str]
    """messages about newer checkpoints that could not be read"""


def steps_of(folder: Path, level: int) -> list[int]:
    """Steps of a level's checkpoints, oldest first."""
    names = (PATTERN.fullmatch(path.name) for path in folder.glob("*.safetensors"))
    return sorted(int(match[2]) for match in names if match and int(match[1]) == level)


def begun_levels(run: RunDirectory) -> list[int]:
    """Levels in training that have a checkpoint."""
    return [index for index in run.experiment.rounds if steps_of(run.checkpoints, index + 1)]


def latest(folder: Path, level: int) -> LoadedCheckpoint | None:
    """The newest checkpoint of ``level`` that can be read; None where there are no files at all.

    Raises:
        UserError: if there are files but none can be read.
    """
    broken: list[str] = []
    for step in reversed(steps_of(folder, level)):
        path = checkpoint_path(folder, level, step)
        try:
            return LoadedCheckpoint(path, load_checkpoint(folder, level, step), broken)
        except UserError as error:
            broken.append(str(error))
    if broken:
        raise UserError(f"no checkpoint of level {level} can be read: {'; '.join(broken)}")
    return None


def prune(folder: Path, level: int, last: int, keep: Collection[int] = ()) -> None:
    """Remove all but the ``last`` newest checkpoints of ``level`` and those of steps in ``keep``."""
    for step in steps_of(folder, level)[:-last]:
        if step not in keep:
            checkpoint_path(folder, level, step).unlink(missing_ok=True)


def optimiser_state(prefix: str, optimiser: torch.optim.Optimizer, names: Iterable[str]) -> dict[str, Tensor]:
    """State of an optimiser with one parameter group, by parameter name."""
    table = {}
    for name, parameter in zip(names, optimiser.param_groups[0]["params"], strict=True):
        for key, value in optimiser.state.get(parameter, {}).items():
            table[f"{prefix}/{name}/{key}"] = torch.as_tensor(value)
    return table


def load_optimiser_state(
    prefix: str, optimiser: torch.optim.Optimizer, names: Iterable[str], tensors: dict[str, Tensor]
) -> None:
    """Undo :func:`optimiser_state`."""
    for name, parameter in zip(names, optimiser.param_groups[0]["params"], strict=True):
        entries = part(tensors, f"{prefix}/{name}/")
        if entries:
            optimiser.state[parameter] = {
                key: t.to(parameter.device, copy=True) for key, t in entries.items()
            }


def weights_hash(module: nn.Module) -> str:
    """A short hash of all weights and buffers of ``module``."""
    return _hash(module.state_dict())


def parameters_hash(module: nn.Module) -> str:
    """A short hash of the weights of ``module`` alone."""
    return _hash(dict(module.named_parameters()))


def statistics_hash(table: Mapping[str, Tensor]) -> str:
    """A short hash of standing statistics."""
    return _hash(table)


def _hash(table: Mapping[str, Tensor]) -> str:
    tensors = {name: t.detach().cpu().contiguous() for name, t in table.items()}
    digest = hashlib.blake2b(digest_size=10)
    for name in sorted(tensors):
        digest.update(f"{name}:{checksum({name: tensors[name]})};".encode())
    return digest.hexdigest()


def statistics_path(folder: Path, facts: dict[str, Any]) -> Path:
    """The file for statistics that depend on ``facts``: weights hash, average or raw, frames, sigma, passes."""
    text = json.dumps(facts, sort_keys=True)
    return folder / f"{hashlib.blake2b(text.encode(), digest_size=10).hexdigest()}.safetensors"


def save_statistics(folder: Path, facts: dict[str, Any], table: dict[str, Tensor]) -> Path:
    """Write a table of standing statistics; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = statistics_path(folder, facts)
    save(path, State(table, facts))
    return path


def load_statistics(folder: Path, facts: dict[str, Any]) -> dict[str, Tensor] | None:
    """The table of exactly these ``facts``; None where there is none, or a damaged one, of which a line tells."""
    path = statistics_path(folder, facts)
    if not path.exists():
        return None
    try:
        state = load(path)
    except UserError as error:
        tell(f"standing statistics are taken anew: {error}", sys.stderr)
        return None
    return state.tensors if state.facts == json.loads(json.dumps(facts)) else None


def parent_hashes(below: Sequence[nn.Module]) -> list[str]:
    """Hashes of the weights of the generators below, for a checkpoint's ``below``.

    Parameters alone: singular vectors follow from them, and round differently on another device.
    """
    return [parameters_hash(generator) for generator in below]


def changed_below(facts: Mapping[str, Any], below: Sequence[nn.Module]) -> int | None:
    """The lowest level (from 1) whose weights are not those that a checkpoint was trained upon; None if all are."""
    now, then = parent_hashes(below), facts.get("below", [])
    return next((i + 1 for i in range(len(now)) if now[i : i + 1] != then[i : i + 1]), None)


def require_same_below(found: LoadedCheckpoint, below: Sequence[nn.Module]) -> None:
    """Refuse to resume a level whose levels below have changed since its checkpoint.

    Raises:
        UserError: names the level that changed and what to remove.
    """
    changed, level = changed_below(found.state.facts, below), len(below) + 1
    if changed is not None:
        raise UserError(
            f"cannot resume level {level}: {found.path.name} was trained upon other weights of level {changed} than "
            f"the run has now; put those back, or remove the checkpoints of level {level} and above to train them anew"
        )


def require_fed_by(run: RunDirectory, facts: Mapping[str, Any], below: Sequence[nn.Module]) -> None:
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
                f"cannot resume {run.path} with {new} steps of {level_in_words(index)} instead of {old}: level {above} "
                f"was trained upon it as it is; resume with --levels.{index}.steps {old}, or remove the checkpoints of "
                f"level {above} and above to train them anew"
            )


def require_steps(run: RunDirectory, experiment: Experiment) -> None:
    """Raise :class:`UserError` where a level of ``run`` has made more steps than ``experiment`` asks for."""
    for index in experiment.rounds:
        asked, made = experiment.steps_of(index), steps_of(run.checkpoints, index + 1)
        if made and made[-1] > asked:
            level = f"level {index + 1} of {run.path}" if len(experiment.rounds) > 1 else f"{run.path}"
            raise UserError(
                f"{level} has made {made[-1]} steps already, and {asked} are asked for: ask for more"
            )


def cut_logs(run: RunDirectory) -> None:
    """Drop what was logged after each level's newest whole checkpoint: those steps will be made again.

    Evaluations up to the checkpoint of their level stay: training does not write them anew.
    """
    steps = [latest_step(run, index + 1) for index in range(len(run.experiment.levels))]
    made = dict(enumerate(steps, 1))
    run.log.cut(lambda line: not fits(line, PLACE) or line["step"] <= made.get(line["level"], 0))
    top = len(steps)  # whose results do not name a level
    run.metrics.cut(
        lambda line: type(line.get("step")) is not int or line["step"] <= made.get(line.get("level", top), 0)
    )


def latest_step(run: RunDirectory, level: int) -> int:
    """The step of the newest whole checkpoint of ``level``, whose tensors are not kept; 0 where there is none."""
    found = latest(run.checkpoints, level)
    return 0 if found is None else int(found.state.facts["step"])


def write_manifest(run: RunDirectory, levels: Sequence[FrozenLevel], fed: Sequence[int | None]) -> None:
    """Write by hash which weights and statistics stand for each finished level, and which fed it.

    Args:
        fed: steps of the checkpoints that they are from; None: the newest.
    """
    experiment = run.experiment
    held = []
    for index, step in enumerate(fed):
        number = experiment.round_of(index) + 1
        found = latest(run.checkpoints, number) if step is None else None
        path = found.path if found is not None else step and checkpoint_path(run.checkpoints, number, step)
        held.append(path.name if path else None)
    generators = [level.generator for level in levels]
    entries = []
    for index, (level, name) in enumerate(zip(levels, held, strict=True)):
        assert isinstance(level.statistics, StandingStatistics)
        feeds = index < len(experiment.levels) - 1 and not experiment.joint
        averaged = experiment.below_averaged if feeds else experiment.training.average is not None
        entries.append(
            {
                "level": index + 1,
                "checkpoint": name,
                "averaged": averaged,
                "weights": weights_hash(level.generator),
                "statistics": statistics_hash(level.statistics.table),
                "below": [] if experiment.joint else parent_hashes(generators[:index]),
            }
        )
    write_json(run.manifest, entries)
