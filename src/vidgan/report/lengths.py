"""Memory and operations over the length of videos, as a table and as a figure (CVG, Figure 3)."""

from collections.abc import Mapping, Sequence

from vidgan.memory import GB
from vidgan.report.figures import Curve, Plot, Point
from vidgan.train.lengths import LevelCost

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
            f"{cost.memory / GB:.4g}",
            f"{cost.more / GB:.4g}",
            f"{cost.plan.flops.per_clip / 1e12:.4g}",
            *(() if memory is None else (str(cost.fitting(memory)),)),
        )
        for frames, found in costs.items()
        for place, cost in enumerate(found)
    ]
    head = ("frames", "level", "GB of one clip", "GB per clip more", "TFLOP per clip")
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
        "memory of a training step of one clip": ("GB", lambda cost: cost.memory / GB),
        "operations of a training step per clip": ("TFLOP", lambda cost: cost.plan.flops.per_clip / 1e12),
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
