"""How many clips a pass without gradients takes at once: no more frames than a pass of a training step has.

Runs make their videos by this, and :mod:`vidgan.train.phases` plans by it.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from vidgan.models.level import LevelSpec
from vidgan.run.experiment import Experiment, StandingStatisticsSpec

MOST_AT_ONCE: Final = 16
"""clips per pass of generators with standing statistics, where training takes as many"""


class Trained(NamedTuple):
    """How a model was trained, or is, from which follows what fits where it was."""

    experiment: Experiment
    """as it was trained, even where longer videos are made"""
    processes: int
    """that shared every batch: the more there were, the fewer clips each had in memory"""


def at_once(trained: Trained, levels: Sequence[LevelSpec]) -> int:
    """Clips per pass whose whole videos take no more memory than a training step, at any of these levels.

    Args:
        levels: that make them, from the first; their videos may be longer than in training.
    """
    fitting = (clips_in_memory(trained, index, level.frames) for index, level in enumerate(levels))
    return min(MOST_AT_ONCE, *fitting)


def clips_in_memory(trained: Trained, index: int, frames: int) -> int:
    """Clips of ``frames`` frames that level ``index`` may make at once: as many frames as in a pass of a training step
    of one process, or one clip.

    A step keeps activations for its gradients besides, which outweigh float32 here and the activations of a level
    that is fed; ``vidgan plan`` tells both.
    """
    experiment, processes = trained
    asked = experiment.training.standing_statistics.at_once
    in_step = experiment.batch_of(index).largest_pass(processes) * experiment.levels[index].trained_frames
    fitting = max(1, in_step // frames)
    return fitting if asked is None else min(asked, fitting)


def brief_statistics(trained: Trained, index: int) -> StandingStatisticsSpec:
    """A tenth of the clips of a finished model's standing statistics, in passes no larger than those in which level
    ``index`` is trained, by all processes together.

    Our choice: a preview must fit wherever training fits, even if a finished model's passes would not.
    """
    experiment, processes = trained
    full, batch = experiment.training.standing_statistics, experiment.batch_of(index)
    clips = min(full.clips, batch.global_batch, processes * batch.largest_pass(processes))
    return full.replace(batches=max(2, -(-full.batches * full.clips // (10 * clips))), clips=clips)
