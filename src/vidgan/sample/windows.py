"""Windows at random places of a cascade's videos, made as in training: a cascade's 6 or 12 frames.

The levels below the top one make whole videos; the top level makes a window of its input alone.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from vidgan.errors import UserError
from vidgan.models.cascade import FrozenLevel, by_label, sample_window, whole
from vidgan.models.generator import Conditioning, Generator, from_below
from vidgan.nn.norm import StandingStatistics
from vidgan.run.checkpoints import weights_hash
from vidgan.run.distributed import Replicas
from vidgan.run.experiment import Experiment, StandingStatisticsSpec
from vidgan.sample.noise import Scaled, latents
from vidgan.sample.passes import Trained, at_once, clips_in_memory
from vidgan.sample.sampler import device_of, parts_of, window_starts
from vidgan.sample.standing import Given, StatisticsStore, facts_of, frozen_levels, standing_statistics
from vidgan.seeds import derive


def window_frames(experiment: Experiment, frames: int | None) -> int:
    """Frames of the windows of a cascade's top level; None: as many as in training.

    Raises:
        UserError: if the model is no cascade, or its top level cannot make windows of so many frames.
    """
    if len(experiment.levels) == 1:
        raise UserError("a random window is of what the level below makes, and this model has one level")
    low, top = experiment.levels[-2:]
    factor = top.frames // low.frames
    found = top.trained_frames if frames is None else frames
    if found % factor or not factor <= found <= top.frames:
        raise UserError(
            f"a random window has {factor} to {top.frames} frames, a multiple of {factor}, got {found}"
        )
    return found


def window_levels(
    experiment: Experiment,
    generators: Sequence[Generator],
    labels: Sequence[int],
    store: StatisticsStore,
    frames: int,
    statistics: StandingStatisticsSpec,
    replicas: Replicas = Replicas(),
    at_once: int | None = None,
    trained: Trained | None = None,
) -> tuple[FrozenLevel, ...]:
    """As :func:`vidgan.sample.standing.frozen_levels`; the top level's statistics are of windows of ``frames`` frames.

    Such statistics are per step of a window, wherever it lies, as those of a training batch are.
    """
    trained = trained or Trained(experiment, replicas.size)
    below = frozen_levels(
        experiment, generators[:-1], labels, None, store, None, statistics, replicas, at_once, trained
    )
    spec, top, generator = statistics.at(1.0), experiment.levels[-1], generators[-1]
    hashes = [weights_hash(each) for each in generators]
    facts = facts_of(experiment, hashes, frames, spec, labels) | {"window_of": top.frames}
    table = store.load(facts)
    if any(replicas.agree(table is None)):
        seed = derive(experiment.training.seed, "level", len(below))
        given = _windows_of(experiment, below, spec.deviation, frames, trained)
        table = standing_statistics(
            generator,
            [whole(frames)],
            labels,
            spec,
            seed,
            given,
            at_once=at_once or clips_in_memory(trained, len(below), frames),
            dtype=experiment.training.dtype,
            replicas=replicas,
        )
        store.save(facts, table, replicas.is_rank_zero)
    assert table is not None
    return (*below, FrozenLevel(top, generator, StandingStatistics(table, device_of(generator))))


def _windows_of(
    experiment: Experiment, below: Sequence[FrozenLevel], deviation: float, frames: int, trained: Trained
) -> Given:
    """What the top level is conditioned on in passes for its statistics: windows at random places."""
    seed = derive(experiment.training.seed, "settle windows")
    most = at_once(trained, [level.spec for level in below])
    low = frames * below[-1].spec.frames // experiment.levels[-1].frames

    def made(numbers: range, label: Tensor) -> Tensor:
        def noise(level: int, dimension: int) -> Tensor:
            return latents(seed, level, numbers, dimension, Scaled(sigma=deviation)).to(label.device)

        start = window_starts(seed, numbers, below[-1].spec.frames - low + 1)
        return sample_window(below, noise, by_label(label), start, low, experiment.training.dtype)

    def given(numbers: range, label: Tensor) -> Iterator[Conditioning]:
        parts = parts_of(len(numbers), most)
        yield from_below(torch.cat([made(numbers[rows], label[rows]) for rows in parts]))

    return given
