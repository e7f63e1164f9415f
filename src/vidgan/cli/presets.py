"""``vidgan presets [NAME [OTHER]]``: what can be trained."""

import dataclasses
import json
from typing import Annotated

import tyro

from vidgan.cli.parse import Code, option_set, parse, wrapped
from vidgan.errors import UserError
from vidgan.names import printable, tell
from vidgan.presets import groups, preset, presets
from vidgan.report.costs import layers, overview
from vidgan.report.scores import scores_of
from vidgan.run.experiment import Experiment
from vidgan.spec import Spec, differences, to_json

SAID = ("name", "description", "source", "deviations")
"""Fields that are words about an experiment"""


@option_set
class Options(Code):
    """Lists the experiments, shows one of them in full, or what another changes against it."""

    name: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[NAME]")] = None
    """a preset (all are listed)"""
    other: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[OTHER]")] = None
    """a second one: only the values that it changes are shown"""
    json: bool = False
    """print as JSON: what `vidgan train FILE.json` reads, or a list"""
    costs: bool = False
    """print parameters and operations as Markdown tables"""


def run(args: list[str]) -> int:
    """Parse ``args`` and print."""
    options = parse(Options, "presets", args)
    if options.json and options.costs:
        raise UserError("--json and --costs exclude each other")
    if options.other is not None and (options.json or options.costs):
        raise UserError("--json and --costs show one preset: name one")
    if options.costs:
        print(overview(presets().values()) if options.name is None else layers(preset(options.name)), end="")
        return 0
    if options.name is not None and options.other is not None:
        for line in changes(preset(options.name), preset(options.other)).splitlines():
            tell(line)
        return 0
    if options.name is not None:
        experiment = preset(options.name)
        shown = json.dumps(to_json(experiment), indent=2) if options.json else in_words(experiment)
        for line in shown.splitlines():
            tell(line)
        return 0
    if options.json:
        print(json.dumps({name: each.description for name, each in presets().items()}, indent=2))
        return 0
    # Two columns, so that it can be read at 80 characters; the paper's section is shown for one preset.
    listed = groups()
    widest = max(len(experiment.name) for group in listed.values() for experiment in group)
    for number, (title, group) in enumerate(listed.items()):
        print(f"\n{title}" if number else title)
        for experiment in group:
            line = printable(f"{experiment.name:<{widest}} {experiment.description}")
            print(wrapped(line, " " * (widest + 1)))
    return 0


def changes(old: Experiment, new: Experiment) -> str:
    """The values in which two experiments differ, one per line."""
    lines = differences(to_json(old), to_json(new), whole=False)
    found = [line for line in lines if not line.startswith(SAID)]
    return "\n".join(found or [f"{old.name} and {new.name} have the same values"])


def in_words(experiment: Experiment) -> str:
    """All values of an experiment, one per line, indented by depth."""
    lines = [experiment.name, wrapped(experiment.description), wrapped(f"after: {experiment.source}"), ""]
    if experiment.deviations:
        lines.append("What it changes against its paper:")
        lines += [wrapped(f"  - {each}", "    ") for each in experiment.deviations]
    else:
        lines.append("What it changes against its paper: none listed")
    lines += ["Where the paper is silent, see docs/papers.md, Our choices.", ""]
    # A command stays on one line, so that it can be copied.
    lines += [
        each if each.startswith("    vidgan ") else wrapped(each, "      ") for each in scores_of(experiment)
    ]
    lines.append("")
    for field in dataclasses.fields(experiment):
        if field.name not in SAID:
            lines += _lines(field.name, getattr(experiment, field.name), 0)
    return "\n".join(lines)


def _lines(name: str, value: object, depth: int) -> list[str]:
    pad = "  " * depth
    if isinstance(value, Spec):
        fields = dataclasses.fields(value)  # type: ignore[arg-type]
        head = f"{pad}{name}: {type(value).__name__}"
        return [head, *(line for f in fields for line in _lines(f.name, getattr(value, f.name), depth + 1))]
    if isinstance(value, tuple) and any(isinstance(item, Spec) for item in value):
        return [line for i, item in enumerate(value) for line in _lines(f"{name}.{i}", item, depth)]
    if isinstance(value, tuple):
        return [f"{pad}{name}: {' '.join(map(str, value)) or '-'}"]
    return [f"{pad}{name}: {value}"]
