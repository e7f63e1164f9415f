"""What experiments cost: parameters and operations as Markdown tables, the memory of training as text."""

from collections.abc import Iterable, Sequence
from typing import Final

from vidgan.memory import GB
from vidgan.models.costs import Network, Part, Shape, networks
from vidgan.report.words import count
from vidgan.run.batch import Share
from vidgan.run.experiment import Experiment, level_in_words
from vidgan.train.network import REACHED, Prediction, Traffic
from vidgan.train.phases import STEP, Phase
from vidgan.train.plan import MARGIN, LevelPlan

PARTS = 8
"""parts of the activations that are listed"""
MB: Final = 1e6


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


def millions(parameters: int) -> str:
    """A number of parameters."""
    return f"{parameters / 1e6:.1f}"


def giga(flops: int) -> str:
    """Operations."""
    return f"{flops / 1e9:,.0f}" if flops >= 1e10 else f"{flops / 1e9:.2f}"


def level_plan(experiment: Experiment, index: int, plan: LevelPlan, share: Share, processes: int = 1) -> str:
    """Parameters, operations, and the memory of a process that does ``share`` of every batch."""
    level, training = experiment.levels[index], experiment.training
    generator, *discriminators = plan.networks
    name = "all levels together" if experiment.joint else level_in_words(index)
    updates = training.discriminator_updates
    peak = max(plan.updates, key=lambda update: update.peak(share.per_pass))
    whose = "generator's" if peak.name == "generator" else f"{peak.name}'"
    step = plan.flops.of(experiment.batch_of(index).global_batch, processes)
    fixed = plan.flops.fixed
    penalty = f", {fixed / 1e9:,.1f} per process for the orthogonal penalty" if fixed else ""
    held = share.clips - share.per_pass
    kept = [(f"lower videos for updates to come ({held})", held * plan.lower.kept)] if plan.lower.kept else []
    rows = [
        ("weights and buffers", plan.weights),
        ("moving average", plan.average),
        ("Adam", plan.adam),
        (f"real clips of an update ({share.clips})", share.clips * plan.clip),
        *kept,
        (f"the peak of the {whose} update, gradients included", peak.peak(share.per_pass)),
        ("all", plan.memory(share)),
    ]
    width = max(len(name) for name, _ in rows)
    memory = "\n".join(f"    {name:{width}}{size / GB:11.3f} GB" for name, size in rows)
    names = " + ".join(discriminator.name for discriminator in discriminators)
    return (
        f"{name}: {count(level.trained_frames, 'frame')} of {level.size}x{level.size}\n"
        f"  parameters   generator {millions(generator.parameters)} M; "
        f"discriminators ({names}) {' + '.join(millions(each.parameters) for each in discriminators)} M\n"
        f"  forward      generator {giga(generator.flops)} GFLOP per clip; "
        f"discriminators {' + '.join(giga(discriminator.flops) for discriminator in discriminators)}\n"
        f"  a step       {plan.flops.per_clip / 1e9:,.1f} GFLOP per clip "
        f"({count(updates, 'update')} of the discriminators, 1 of the generator){penalty}; "
        f"{step / 1e12:,.2f} TFLOP in all\n"
        f"{lower_videos(plan, updates)}"
        f"  memory with micro-batches of {share.per_pass}\n{memory}\n"
        f"{activations(plan)}"
    )


def lower_videos(plan: LevelPlan, updates: int) -> str:
    """What sharing the videos of the level below saves; nothing where none are shared."""
    lower = plan.lower
    if not lower.repeats:
        return ""
    saved, per_clip = lower.repeats * lower.flops, plan.flops.per_clip
    return (
        f"  lower videos {updates + 1 - lower.repeats} per step instead of {updates + 1}: "
        f"{100 * saved / (per_clip + saved):.0f} % of its operations are saved\n"
    )


def phases_text(found: Iterable[Phase], matmul: float | None = None) -> str:
    """What each phase takes, a line each.

    Args:
        matmul: operations per second of a matrix product, to tell seconds.
    """
    head = f"    {'':24}{'clips at once':>14}{'device':>14}{'host':>14}{'TFLOP':>12}"
    lines = [head if matmul is None else f"{head}{'seconds':>12}"]
    for phase in found:
        line = (
            f"    {phase.name:24}{phase.clips or '':>14}{phase.device / GB:11.3f} GB{phase.host / GB:11.3f} GB"
            f"{phase.flops / 1e12:12,.2f}"
        )
        if matmul is not None:
            line += f"{phase.longest / (REACHED * matmul):12,.2f}" if phase.flops else ""
        lines.append(line)
    return "  all phases (on a CPU, what is on the device and on the host adds up)\n" + "\n".join(lines)


def beyond(found: Iterable[Phase], memory: float) -> str | None:
    """What to say of phases that do not fit into ``memory`` bytes although a step does; None where all do, or it does
    not itself."""
    over = [phase for phase in found if phase.device > memory]
    if not over or any(phase.name == STEP for phase in over):
        return None
    named = " and ".join(f"{phase.name} ({phase.device / GB:.3g} GB)" for phase in over)
    return (
        f"  A step fits into {memory / GB:.4g} GB, but {named} would not: training would end there, "
        "with its step saved. That takes a larger device"
    )


def activations(plan: LevelPlan) -> str:
    """The parts that keep most for the backward pass."""
    total = sum(size for _, size in plan.saved)
    rows = [(name, size) for name, size in plan.saved[:PARTS]]
    if rest := plan.saved[PARTS:]:
        rows.append((f"{len(rest)} more", sum(size for _, size in rest)))
    width = max(len(name) for name, _ in rows)
    lines = "\n".join(
        f"    {name:{width}}{size / MB:10.2f} MB  {100 * size / total:3.0f} %" for name, size in rows
    )
    return f"  kept for the generator's backward pass: {total / MB:.1f} MB per clip of a micro-batch\n{lines}"


def fitting(experiment: Experiment, index: int, plan: LevelPlan, share: Share, memory: float) -> str:
    """The micro-batch, at most that of ``share``, that fits into ``memory`` bytes, and the accumulation it needs."""
    size = f"{memory / GB:.4g} GB"
    fits = plan.fitting(share, memory)
    if fits is None:
        smallest = share.smallest
        least = plan.memory(smallest) / (1 - MARGIN) / GB
        clips = "a single clip" if smallest.per_pass == 1 else count(smallest.per_pass, "clip")
        return (
            f"  with {size}: not even {clips} fits, which takes a device of {least:.3g} GB; try smaller widths, "
            f"a smaller global batch or --levels.{index}.generator.checkpointing True (of level {index + 1})"
        )
    needs = plan.memory(fits) / GB
    if fits.per_pass == fits.clips:
        return f"  with {size}: the whole batch of {count(fits.clips, 'clip')} fits ({needs:.3g} GB)"
    option = experiment.micro_batch_option(index)
    whose = f" (of level {index + 1})" if option.startswith("--levels") else ""
    most = plan.fitting(share._replace(per_pass=share.clips), memory)
    more = (
        f"; up to {most.per_pass} would fit too" if most is not None and most.per_pass > fits.per_pass else ""
    )
    return (
        f"  with {size}: {option} {fits.per_pass}{whose} fits ({needs:.3g} GB), in "
        f"{fits.passes} accumulated passes per update, which is not the same as one large batch: "
        f"batch statistics see a micro-batch{more}"
    )


def days(experiment: Experiment, index: int, rate: float) -> str:
    """How long all steps take at ``rate`` clips of a step per second."""
    clips, steps = experiment.batch_of(index).global_batch, experiment.steps_of(index)
    seconds = steps * clips / rate
    return (
        f"  at {rate:g} clips/s: {count(steps, 'step')} of {count(clips, 'clip')} take "
        f"{seconds / 86400:,.1f} days ({seconds / 3600:,.1f} hours)"
    )


def network(experiment: Experiment, index: int, sent: tuple[Traffic, Traffic], seconds: Prediction) -> str:
    """What a step sends and how long it takes, in words."""
    updates = experiment.training.discriminator_updates
    rows = [
        (f"an update of the {name} (of {count} in a step)", traffic)
        for name, count, traffic in zip(("discriminators", "generator"), (updates, 1), sent, strict=True)
    ]
    lines = [
        f"    {name}: {len(traffic.gradients)} sums of gradients, {sum(traffic.gradients) / MB:.4g} MB; "
        f"{len(traffic.statistics)} of statistics, {sum(traffic.statistics) / 1e3:.4g} KB"
        for name, traffic in rows
    ]
    clips = experiment.batch_of(index).global_batch / seconds.step
    return "\n".join(
        [
            "  sent by each process",
            *lines,
            f"  a step is predicted to take {1000 * seconds.step:.4g} ms ({clips:.4g} clips/s): computing "
            f"{1000 * (seconds.compute + seconds.overhead):.4g}, statistics {1000 * seconds.statistics:.4g}, gradients "
            f"{1000 * seconds.exposed:.4g} beside the backward pass (of {1000 * seconds.gradients:.4g}), agreeing "
            f"{1000 * seconds.flags:.3g}",
        ]
    )
