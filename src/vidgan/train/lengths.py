"""What training takes as videos get longer: an experiment at several numbers of frames (CVG, Figure 3)."""

from typing import NamedTuple

from vidgan.errors import UserError
from vidgan.run.batch import Share
from vidgan.run.experiment import Experiment
from vidgan.train.plan import MARGIN, LevelPlan, plan_level

# Our choice: CVG does not print how many clips its Figure 3 is of.
ONE = Share(1, 1)
"""memory is told for one clip, and what each more of a micro-batch takes"""


class LevelCost(NamedTuple):
    """What training a level takes, those below it included."""

    name: str
    plan: LevelPlan

    @property
    def memory(self) -> float:
        """Bytes at the peak of a step of one clip."""
        return self.plan.memory(ONE)

    @property
    def more(self) -> float:
        """Bytes that one clip more in the same pass takes, beyond a few."""
        return self.plan.clip + max(line.per_clip for update in self.plan.updates for line in update.lines)

    def fitting(self, memory: float) -> int:
        """Clips that fit into ``memory`` bytes at once, with :data:`MARGIN` to spare; 0 if none does."""
        room = (1 - MARGIN) * memory - self.plan.state
        lines = [line for update in self.plan.updates for line in update.lines]
        return max(0, int(min((room - line.fixed) // (line.per_clip + self.plan.clip) for line in lines)))


def lengthened(experiment: Experiment, frames: int) -> Experiment:
    """``experiment`` with videos of ``frames`` generated frames; levels below make their part of them, windows stay,
    unless they are longer than the video.

    Raises:
        UserError: if a level would have a part of a frame, or a discriminator draws more frames than there are.
    """
    top, levels = experiment.levels[-1].frames, []
    for index, level in enumerate(experiment.levels):
        factor = top // level.frames
        if frames % factor:
            raise UserError(
                f"{frames} frames: level {index + 1} of {experiment.name} makes every {factor}th of them, so take a "
                f"multiple of {factor}"
            )
        own = frames // factor
        levels.append(level.replace(frames=own, window=level.window and min(level.window, own)))
    return experiment.replace(levels=tuple(levels))


def costs_of_length(experiment: Experiment) -> tuple[LevelCost, ...]:
    """What each level takes, in the order of training; where levels are trained together, all at once."""
    if experiment.joint:
        return (LevelCost("all levels together", plan_level(experiment, experiment.rounds[0])),)
    return tuple(
        LevelCost(f"level {index + 1}", plan_level(experiment, index)) for index in experiment.rounds
    )
