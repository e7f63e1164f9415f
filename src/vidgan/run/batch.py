"""A batch: how many clips, in which passes, and what each of several processes does of it."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple, Self

from vidgan.bounds import Count
from vidgan.spec import Spec, require


def evenly(count: int, parts: int) -> list[range]:
    """The numbers below ``count`` cut into ``parts`` ranges, the first of which are longer by one where need be."""
    size, rest = divmod(count, parts)
    ends = [size * part + min(part, rest) for part in range(parts + 1)]
    return [range(*pair) for pair in itertools.pairwise(ends)]


class Share(NamedTuple):
    """What each of the processes that train together does of a batch."""

    clips: int
    """clips per update"""
    per_pass: int
    """clips per forward pass"""
    uneven: bool = False
    """whether some processes have a clip less"""

    @property
    def passes(self) -> int:
        """Forward passes of an update."""
        return -(-self.clips // self.per_pass)

    def smaller(self) -> Iterator[Self]:
        """The same in more passes, one more at a time as far as they become smaller, down to one clip; to two where
        processes that have a clip less would have none in the last pass (:meth:`BatchSpec.share` refuses that)."""
        fewest = self.clips - self.uneven
        sizes = sorted({-(-self.clips // passes) for passes in range(1, fewest + 1)}, reverse=True)
        return (self._replace(per_pass=size) for size in sizes if size < self.per_pass)

    @property
    def smallest(self) -> Self:
        """The same in the smallest passes."""
        *_, last = (self, *self.smaller())
        return last


class BatchSpec(Spec):
    """How a batch is put together. Over how many processes it is shared is a matter of the launch."""

    global_batch: Count = 512
    """clips per update, over all processes that train together"""
    micro_batch: Count = 512
    """most clips per forward pass of one process; fewer than its share means accumulated gradients, which is not the
    same as a big batch: batch statistics and mixed projection see one micro-batch"""
    sync_batch_norm: bool = False
    """batch statistics are taken over all processes, as in TrIVD-GAN and CVG. Our choice, where papers do not say: in
    DVD-GAN's and SSW-GAN's presets each process has those of its own clips, though BigGAN, on whose training DVD-GAN's
    is modelled (4), shares them; in the Guide's they are shared, so that its eight GPUs train as one"""

    def largest_pass(self, processes: int = 1) -> int:
        """Clips of the largest forward pass of one of ``processes`` processes, which need not share all batches: each
        has one clip at least."""
        clips = -(-self.global_batch // processes)
        return -(-clips // -(-clips // self.micro_batch))

    def share(self, processes: int = 1) -> Share:
        """The most that each of ``processes`` processes does of a batch: where the batch cannot be cut evenly, some
        have a clip less.

        Raises:
            UserError: if there are not clips enough for all processes.
        """
        require(
            processes <= self.global_batch,
            f"a batch of {self.global_batch} clips cannot be shared by {processes} processes: start at most "
            f"{self.global_batch}, or change --training.batch.global-batch",
        )
        clips = -(-self.global_batch // processes)
        passes = -(-clips // self.micro_batch)
        # All make as many passes, since they meet in each for its statistics.
        require(
            self.global_batch // processes >= passes,
            f"a batch of {self.global_batch} clips leaves some of {processes} processes without a clip in the last of "
            f"{passes} passes: take a --training.batch.micro-batch of 2 or more, or another number of processes",
        )
        return Share(clips, self.largest_pass(processes), self.global_batch % processes > 0)

    def passes(self, processes: int = 1, rank: int = 0) -> list[range]:
        """Which clips of the batch process ``rank`` of ``processes`` works on in each pass; the same number of passes
        on all, of as equal a size as can be."""
        share = self.share(processes)
        own = evenly(self.global_batch, processes)[rank]
        return [own[part.start : part.stop] for part in evenly(len(own), -(-share.clips // self.micro_batch))]
