"""How processes share the rows of an evaluation: each computes some parts, and gets from the others what it lacks.

They may be on nodes that have no disk in common, so parts travel between processes, and each node keeps them all.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, Self

from numpy.typing import NDArray

from vidgan.errors import UserError
from vidgan.run.distributed import Replicas

Part = dict[str, NDArray[Any]]
"""rows of a few clips by name, and their ``labels``"""


class Parts(Protocol):
    """Where a process keeps parts, by the numbers of their clips."""

    def load(self, numbers: range) -> Part | None:
        """The rows of these clips; None where they are missing."""

    def save(self, numbers: range, part: Part) -> None:
        """Keep the rows of these clips."""

    def missing(self, spans: Sequence[range]) -> list[range]:
        """Those of ``spans`` whose rows are missing."""


def alone(value: Any) -> list[Any]:
    """What a single process gathers."""
    return [value]


class Shares(NamedTuple):
    """This process among those that share an evaluation."""

    rank: int = 0
    size: int = 1
    wait: Callable[[], None] = lambda: None
    """returns when all processes have come here"""
    gather: Callable[[Any], list[Any]] = alone
    """called by all processes together, each with a value; the values of all, by rank"""

    @classmethod
    def of(cls, replicas: Replicas) -> Self:
        """Of processes that have met."""
        return cls(replicas.rank, replicas.size, replicas.wait, replicas.gather)

    @property
    def is_rank_zero(self) -> bool:
        """Whether this process writes results and talks."""
        return self.rank == 0

    def divide(self, kept: Parts, spans: Sequence[range]) -> tuple[list[range], list[range]]:
        """Those of ``spans`` that no process has, and those of them that this one computes."""
        lacked = self.gather(kept.missing(spans))
        new = sorted(set(lacked[0]).intersection(*lacked[1:]), key=lambda numbers: numbers.start)
        return new, new[self.rank :: self.size]

    def exchange(self, kept: Parts, spans: Sequence[range]) -> None:
        """Let each process keep all of ``spans``, each of which some process has.

        Raises:
            UserError: where none has one any more.
        """
        self.wait()  # in a folder of all processes each then finds what the others have computed
        lacked = [set(found) for found in self.gather(kept.missing(spans))]
        sent: list[list[range]] = [[] for _ in range(self.size)]
        for place, numbers in enumerate(spans):
            if any(numbers in lacks for lacks in lacked):
                holders = [rank for rank, lacks in enumerate(lacked) if numbers not in lacks]
                if not holders:
                    raise removed()
                sent[holders[place % len(holders)]].append(numbers)
        for turn in range(max(map(len, sent))):  # a part of each process at a time: all may be large
            own = sent[self.rank][turn : turn + 1]
            for found in self.gather([(numbers, kept.load(numbers)) for numbers in own]):
                for numbers, part in found:
                    if part is None:
                        raise removed()
                    if numbers in lacked[self.rank]:
                        kept.save(numbers, part)


def removed() -> UserError:
    """What to say where rows that were there are gone."""
    return UserError(
        "rows that were measured a moment ago have been removed, as another evaluation of the same clips does when it "
        "ends: give the same command again"
    )
