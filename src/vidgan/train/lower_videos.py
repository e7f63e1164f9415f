"""Videos of the levels below that serve several updates of a training step (``lower_video_uses`` of a level).

A step of ``u`` discriminator updates makes a lower video u + 1 times per clip, which is up to half of all operations
of a third level. Sharing saves all but one of them. It ends with the step, so there is nothing to save or to restore.
"""

from typing import Self

from torch import Tensor

from vidgan.train.levels_below import BelowSource
from vidgan.train.state import TrainState


class LowerVideos:
    """The lower videos of one step: each made once, kept while updates to come use it, and no longer.

    Our choice: the updates of a step share them and no two steps do, so that whatever is shared, an update has as many
    different videos as clips, drawn as the papers draw them; only updates of one step are no longer independent. The
    window is shared, with its class, since a whole video of a level above the first may cost more than its window.
    Classes are those of the real clips of the first update that uses them, so as frequent as in the data.

    Args:
        source: makes them.
        step: the number of the step.
        updates: of the step, the generator's included; after the last one nothing is kept.
        uses: updates in a row that share one.
    """

    def __init__(self, source: BelowSource, step: int, updates: int, uses: int = 1) -> None:
        self._source, self._step, self._updates, self._uses = source, step, updates, uses
        self._label: Tensor | None = None
        self._kept: dict[int, Tensor] = {}

    @classmethod
    def of_step(cls, state: TrainState, source: BelowSource) -> Self:
        """Those of the next step of a level in training."""
        uses = state.experiment.levels[state.index].lower_video_uses
        return cls(source, state.steps, state.experiment.training.discriminator_updates + 1, uses)

    def labels(self, update: int, label: Tensor) -> Tensor:
        """The classes (B,) of the fakes of an update, which are asked for in the order of updates.

        Args:
            label: of the update's real clips.
        """
        if update % self._uses == 0 or self._label is None:
            self._label = label
        return self._label

    def video(self, update: int, first: int, label: Tensor) -> Tensor:
        """The lower video (B T' 3 h w) for the micro-batch of an update that begins with clip ``first`` of the batch.

        Args:
            label: its rows of :meth:`labels`.
        """
        begun = update - update % self._uses
        if update == begun:
            video = self._source(label, self._step, update, first)
        else:
            video = self._kept.pop(first)
        if update + 1 < min(begun + self._uses, self._updates):
            self._kept[first] = video
        return video


def repeats(uses: int, updates: int) -> int:
    """How many of ``updates`` updates find their lower video made already, where ``uses`` in a row share it."""
    return updates - -(-updates // uses)
