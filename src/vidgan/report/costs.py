"""Parameters and operations of experiments as Markdown tables."""

from collections.abc import Iterable, Sequence

from vidgan.models.costs import Network, Part, Shape, networks
from vidgan.run.experiment import Experiment


def level_networks(experiment: Experiment) -> list[tuple[Network, ...]]:
    """Generator and discriminators of every level."""
    return [networks(experiment.levels, i, experiment.classes) for i in range(len(experiment.levels))]


def overview(experiments: Iterable[Experiment]) -> str:
    """A row per level: parameters, and operations of one forward pass of one clip (on upper levels, a window)."""
    rows = []
    for experiment in experiments:
        for number, found in enumerate(level_networks(experiment), 1):
            level = experiment.levels[number - 1]
            generator, *discriminators = found
            name = f"`{experiment.name}`" + (f" level {number}" if len(experiment.levels) > 1 else "")
            rows.append(
                (
                    name,
                    f"{level.trained_frames}x{level.size}x{level.size}",
                    millions(generator.parameters),
                    " + ".join(millions(discriminator.parameters) for discriminator in discriminators)
                    or "none",
                    giga(generator.flops),
                    " + ".join(giga(discriminator.flops) for discriminator in discriminators) or "none",
                )
            )
    head = (
        "preset",
        "frames",
        "generator, M",
        "discriminators, M",
        "generator, GFLOP",
        "discriminators, GFLOP",
    )
    return table(head, rows)


def layers(experiment: Experiment) -> str:
    """A table per network of every level: shape of each part's output, parameters, operations."""
    return "\n".join(
        network_table(f"level {number}, " if len(experiment.levels) > 1 else "", network)
        for number, found in enumerate(level_networks(experiment), 1)
        for network in found
    )


def network_table(place: str, network: Network) -> str:
    """The parts of one network and their sum."""
    rows = [part_row(part) for part in network.parts]
    total = ("**all**", "", f"{network.parameters:,}", f"{network.flops / 1e9:,.3f}")
    head = (f"{place}{network.name}", "output", "parameters", "GFLOP per clip")
    return table(head, [*rows, total])


def part_row(part: Part) -> tuple[str, ...]:
    """A part's cells."""
    return (part.name, shape_text(part.shape), f"{part.parameters:,}", f"{part.flops / 1e9:,.3f}")


def shape_text(shape: Shape | None) -> str:
    """Sizes with crosses between them."""
    return "not used" if shape is None else "x".join(map(str, shape))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first two are numbers."""
    rule = ["---" if i < 2 else "---:" for i in range(len(head))]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rule, *rows))


def millions(count: int) -> str:
    """A number of parameters."""
    return f"{count / 1e6:.1f}"


def giga(flops: int) -> str:
    """Operations."""
    return f"{flops / 1e9:,.0f}" if flops >= 1e10 else f"{flops / 1e9:.2f}"
