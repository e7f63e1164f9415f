"""From a run directory to settled generators: which checkpoint, which weights, which statistics."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import torch

from vidgan.data.dataset import Dataset
from vidgan.errors import UserError
from vidgan.models.cascade import FrozenLevel, below_of
from vidgan.models.generator import Generator
from vidgan.nn.norm import StandingStatistics
from vidgan.run.best import best_of_run
from vidgan.run.checkpoints import (
    State,
    checkpoint_path,
    latest,
    load,
    load_statistics,
    require_fed_by,
    save_statistics,
    steps_of,
    weights_hash,
)
from vidgan.run.directory import RunDirectory
from vidgan.run.ema import refresh_spectral_norm
from vidgan.run.experiment import Experiment
from vidgan.sample.sampler import Trained
from vidgan.sample.standing import statistics_of_level
from vidgan.spec import Spec, to_json


class Choice(Spec, ABC):
    """Which checkpoint of a run to use."""

    @abstractmethod
    def find(self, run: RunDirectory, level: int) -> State:
        """The checkpoint of ``level`` (from 1); raises :class:`UserError` if there is none."""


class Last(Choice):
    """The newest whole checkpoint."""

    def find(self, run: RunDirectory, level: int) -> State:
        found = latest(run.checkpoints, run.experiment.round_of(level - 1) + 1)
        if found is None:
            raise UserError(f"{run.path} has no checkpoint of level {level} yet; train it first")
        for message in found.broken:
            print(f"skipped a broken checkpoint: {message}", file=sys.stderr)
        return found.state


class AtStep(Choice):
    """The checkpoint of one step; on a cascade, of its top level."""

    step: int
    """generator updates"""

    def find(self, run: RunDirectory, level: int) -> State:
        if run.experiment.round_of(level - 1) < len(run.experiment.levels) - 1:
            return Last().find(run, level)
        top = len(run.experiment.levels)
        known = steps_of(run.checkpoints, top)
        if self.step not in known:
            there = ", ".join(map(str, known)) or "none"
            raise UserError(f"{run.path} has no checkpoint of step {self.step}; there are: {there}")
        return load(checkpoint_path(run.checkpoints, top, self.step))


class BestSoFar(Choice):
    """The best checkpoint by the protocol that the run evaluated while it trained; on a cascade, of its top level."""

    def find(self, run: RunDirectory, level: int) -> State:
        if run.experiment.round_of(level - 1) < len(run.experiment.levels) - 1:
            return Last().find(run, level)
        best = best_of_run(run)
        if best is None:
            raise UserError(
                f"{run.path} does not know its best checkpoint: it was trained without --reporting.best.protocol"
            )
        return AtStep(step=best.step).find(run, level)


class GivenFrames(NamedTuple):
    """The data whose frames a frame-conditional level is given while it settles; it settles apart for each."""

    fingerprint: str
    """of the data"""
    open: Callable[[], Dataset]
    """opens them; called only if the level has not settled on them yet"""

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Frames of data that are open already."""
        return cls(dataset.fingerprint, lambda: dataset)


def open_trained(
    run: RunDirectory,
    choice: Choice = Last(),
    averaged: bool = True,
    device: torch.device | None = None,
    data: GivenFrames | None = None,
    chunk: int | None = None,
) -> Trained:
    """The levels of ``run``, frozen and settled, ready to be sampled.

    Statistics that were settled before are read from the run; others are settled now and kept there.

    Args:
        averaged: use the moving average of the weights where the run has one; in a cascade, of the top level, since
            those below go on as they fed it.
        data: what a frame-conditional level settles on; others need none.
        chunk: frames that levels above the first make at a time while they settle; None: all of them.

    Raises:
        UserError: if a checkpoint is missing or cannot be read, or a level was fed by other weights.
    """
    device = device or torch.device("cpu")
    experiment = run.experiment
    levels: list[FrozenLevel] = []
    step = 0
    for index in range(len(experiment.levels)):
        state = choice.find(run, index + 1)
        if not experiment.joint:
            require_fed_by(run, state.facts, levels)
        feeds = index + 1 < len(experiment.levels) and not experiment.joint
        used = experiment.below_averaged if feeds else averaged
        generator = load_generator(experiment, index, state, used).to(device)
        labels = state.facts.get("labels", [1] * experiment.classes)  # old checkpoints keep none
        levels.append(with_statistics(run, index, generator, levels, labels, data, device, chunk))
        step = int(state.facts["step"])
    return Trained(experiment, tuple(levels), run.class_names, step, device)


def load_generator(experiment: Experiment, index: int, state: State, averaged: bool) -> Generator:
    """A level's generator with the weights of a checkpoint, ready to sample."""
    level = experiment.levels[index]
    below = below_of(experiment.levels, index)
    below_size = None if below is None else below.size
    raw = level.generator.build(experiment.classes, level.context_frames, below_size)
    own = f"{index}." if experiment.joint else ""
    raw.load_state_dict(_part(state, f"level/generator.{own}"))
    raw.requires_grad_(False)
    if not averaged or experiment.training.average is None:
        return raw
    average = level.generator.build(experiment.classes, level.context_frames, below_size)
    average.load_state_dict(_part(state, f"average/{own}"))
    return refresh_spectral_norm(average.requires_grad_(False), raw)


def _part(state: State, prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): t for name, t in state.tensors.items() if name.startswith(prefix)}


def all_with_statistics(
    run: RunDirectory,
    generators: Sequence[Generator],
    below: Sequence[FrozenLevel],
    labels: Sequence[int],
    data: GivenFrames | None,
    device: torch.device,
) -> list[FrozenLevel]:
    """The levels ``below``, and upon them ``generators`` one after another; see :func:`settled`."""
    levels = list(below)
    for generator in generators:
        levels.append(with_statistics(run, len(levels), generator, levels, labels, data, device))
    return levels


def with_statistics(
    run: RunDirectory,
    index: int,
    generator: Generator,
    below: Sequence[FrozenLevel],
    labels: Sequence[int],
    data: GivenFrames | None,
    device: torch.device,
    chunk: int | None = None,
) -> FrozenLevel:
    """``generator`` with the statistics that the run keeps for these weights, settled now if it keeps none.

    Args:
        labels: how often the run's data have each class; see :func:`vidgan.run.experiment.label_counts`.
        data: what a frame-conditional level settles on; others need none.
        chunk: as :func:`open_trained`.
    """
    level = run.experiment.levels[index]
    spec = run.experiment.training.standing_statistics
    facts: dict[str, Any] = {
        "weights": [weights_hash(generator), *(weights_hash(lower.generator) for lower in below)],
        "frames": level.frames,
        "standing_statistics": to_json(spec),
        "seed": run.experiment.training.seed,
        "labels": list(labels),
    }
    if level.context_frames:
        assert data is not None, "a frame-conditional level settles on frames of data"
        facts["data"] = data.fingerprint
    table = load_statistics(run.statistics, facts)
    if table is None:
        dataset = data.open() if data is not None and level.context_frames else None
        table = statistics_of_level(
            run.experiment, index, generator, below, labels, dataset, spec, device, chunk
        )
        save_statistics(run.statistics, facts, table)
    return FrozenLevel(level, generator, StandingStatistics(table))
