"""Operations of training, by what they grow with: every clip, or every update whatever its clips.

Convolutions and matrix products are counted, forward and backward, as the papers' layers do them; a multiply and an add
are two. What checkpointing recomputes is no progress, and what folding and Winograd's algorithm save is no loss.

Every clip adds the passes of all networks that see it and of the levels below, with their gradients. The orthogonal
penalty's products of weights with weights come once per update of the generator, in every process, whatever its share
of the batch and its micro-batches are.

Not counted is what reads each weight a few times in an update and multiplies no matrices: two products with a vector in
spectral normalisation's power iteration, Adam, the moving average, and kernels that are folded. That is some thirty
operations per weight, 0.3 % of a step of ``dvd-gan-k600-12x64`` with a single clip, and takes the time that memory
needs: see ``--overhead`` of ``vidgan plan``.
"""

from collections.abc import Callable
from typing import NamedTuple

from vidgan.models.known_shapes import operations


class Operations(NamedTuple):
    """Of an update, or of a step."""

    per_clip: int
    fixed: int = 0
    """whatever the clips are; every process does them"""

    def of(self, clips: int, processes: int = 1) -> int:
        """All of them, where ``processes`` share ``clips`` clips."""
        return self.per_clip * clips + self.fixed * processes


def counted(work: Callable[[int], object]) -> Operations:
    """The operations of ``work``, which is given a number of clips; on the meta device nothing is computed."""
    totals = []
    for clips in (1, 2):
        with operations() as counter:
            work(clips)
        totals.append(counter.get_total_flops())
    one, two = totals
    return Operations(two - one, 2 * one - two)
