"""Memory and operations over the length of videos, as a table and as a figure (CVG, Figure 3)."""

from collections.abc import Mapping, Sequence

from vidgan.report.figures import Curve, Plot, Point
from vidgan.train.lengths import LevelCost

GIB = 2**30
Costs = Mapping[int, Sequence[LevelCost]]
"""of every number of frames, those of each level"""


def length_table(costs: Costs, memory: float | None) -> str:
    """A line per number of frames and level.

    Args:
        memory: bytes of a device, to be told how many clips fit into it at once.
    """
    rows = [
        (
            str(frames) if place == 0 else "",
            cost.name,
            f"{cost.memory / GIB:.4g}",
            f"{cost.more / GIB:.4g}",
            f"{cost.plan.flops / 1e12:.4g}",
            *(() if memory is None else (str(cost.fitting(memory)),)),
        )
        for frames, found in costs.items()
        for place, cost in enumerate(found)
    ]
    head = ("frames", "level", "GiB of one clip", "GiB per clip more", "TFLOP per clip")
    lines = [head + (() if memory is None else ("clips that fit",)), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 1 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def length_plots(experiments: Mapping[str, Costs]) -> list[Plot]:
    """Memory and operations against frames: a curve per experiment, called by the keys, and level."""
    quantities = {
        "memory of a training step of one clip": ("GiB", lambda cost: cost.memory / GIB),
        "operations of a training step per clip": ("TFLOP", lambda cost: cost.plan.flops / 1e12),
    }
    return [
        Plot(
            title,
            "output frames",
            unit,
            [
                Curve(
                    f"{name}, {first.name}",
                    [Point(frames, value(found[place]), None) for frames, found in costs.items()],
                )
                for name, costs in experiments.items()
                for place, first in enumerate(next(iter(costs.values())))
            ],
        )
        for title, (unit, value) in quantities.items()
    ]
