"""The settings of an experiment as a form: types, bounds and help from its specs; options from what is filled in."""

import ast
import dataclasses
import functools
import inspect
import itertools
import math
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from markupsafe import Markup

from vidgan.bounds import Bounds
from vidgan.cli.experiment import FIELDS, Values
from vidgan.errors import UserError, did_you_mean
from vidgan.run.experiment import Experiment

NONE: Final = "none"
LONGEST: Final = 200
"""letters of a value"""
OPEN: Final = ("", "training", "training.batch", "training.adam")
"""groups that are open at first"""


class Setting(NamedTuple):
    """A value of an experiment that can be changed."""

    name: str
    """of its option, without dashes"""
    text: str
    """the value as the option takes it"""
    kind: type
    """bool, int, float or str"""
    optional: bool
    """whether it may be none"""
    many: bool
    """whether it is several values with spaces between them"""
    bounds: Bounds | None
    help: str

    @property
    def group(self) -> str:
        """What it belongs to."""
        return self.name.rpartition(".")[0]


def settings_of(experiment: Experiment) -> list[Setting]:
    """All values that options can change, in the order of ``vidgan train PRESET --help``."""
    return list(_walk(Values(**{field: getattr(experiment, field) for field in FIELDS}), ""))


def _walk(spec: Any, place: str) -> Iterator[Setting]:
    own = spec.__class__
    hints, told = typing.get_type_hints(own, include_extras=True), helps(own)
    for field in dataclasses.fields(spec):
        value, name = getattr(spec, field.name), f"{place}{field.name.replace('_', '-')}"
        if dataclasses.is_dataclass(value):
            yield from _walk(value, f"{name}.")
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            for i, item in enumerate(value):
                yield from _walk(item, f"{name}.{i}.")
        elif (form := _form(hints[field.name])) is not None:
            kind, optional, many, bounds = form
            yield Setting(name, text_of(value), kind, optional, many, bounds, told.get(field.name, ""))


def _form(hint: Any) -> tuple[type, bool, bool, Bounds | None] | None:
    """Kind, whether it may be none, whether there are several, and bounds; None for what no option changes."""
    if typing.get_origin(hint) is typing.Annotated:
        bounds = next((each for each in hint.__metadata__ if isinstance(each, Bounds)), None)
        inner = _form(hint.__origin__)
        return inner and (*inner[:3], bounds)
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        rest = [each for each in choices if each is not types.NoneType]
        inner = _form(rest[0]) if len(rest) == 1 else None
        return inner and (inner[0], True, *inner[2:])
    if origin is tuple:
        inner = _form(choices[0])
        return inner and (*inner[:2], True, inner[3])
    return (hint, False, False, None) if hint in (bool, int, float, str) else None


def text_of(value: Any) -> str:
    """A value as an option takes it."""
    if isinstance(value, tuple):
        return " ".join(map(text_of, value))
    return NONE if value is None else str(value)


@functools.cache
def helps(kind: type[Any]) -> Mapping[str, str]:
    """What stands below the fields of a class, in its source and in those of its bases."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__[:-1]):
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
        except (OSError, TypeError, SyntaxError):
            continue
        lines = body.body if isinstance(body, ast.ClassDef) else []
        for field, below in itertools.pairwise(lines):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                text = below.value if isinstance(below, ast.Expr) else None
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    found[field.target.id] = " ".join(text.value.split())
    return found


def form_of(experiment: Experiment) -> str:
    """The form as HTML: a group of fields for every spec, each with its type, bounds and help."""
    groups: dict[str, list[Setting]] = {}
    for setting in settings_of(experiment):
        groups.setdefault(setting.group, []).append(setting)
    first = ["training", "training.batch", "training.adam"]
    order = sorted(groups, key=lambda name: first.index(name) if name in first else len(first))
    parts = [
        Markup(
            "<details{}><summary>{} <small>({})</small></summary><fieldset><legend>{}</legend>{}</fieldset></details>"
        ).format(
            Markup(" open") if name in OPEN[1:2] else "",
            name or "experiment",
            len(groups[name]),
            name or "experiment",
            Markup("").join(map(_field, groups[name])),
        )
        for name in order
    ]
    return Markup('<form class="settings-form">{}<button type="submit">Show the plan</button></form>').format(
        Markup("").join(parts)
    )


def _field(setting: Setting) -> Markup:
    name, short = f"set-{setting.name.replace('.', '-')}", setting.name.rpartition(".")[2].replace("-", " ")
    facts = Markup(' id="{}" data-name="{}" data-default="{}" aria-describedby="{}-help"').format(
        name, setting.name, setting.text, name
    )
    if setting.kind is bool and not setting.optional and not setting.many:
        choices = Markup("").join(
            Markup("<option{}>{}</option>").format(Markup(" selected") if word == setting.text else "", word)
            for word in ("True", "False")
        )
        control = Markup("<select{}>{}</select>").format(facts, choices)
    else:
        number = setting.kind in (int, float) and not setting.optional and not setting.many
        limits = (
            Markup(' type="number" step="{}"').format("1" if setting.kind is int else "any") if number else ""
        )
        for word, limit in (
            (("min", setting.bounds.least), ("max", setting.bounds.most)) if setting.bounds else ()
        ):
            if number and math.isfinite(limit):
                limits += Markup(' {}="{}"').format(Markup(word), f"{limit:.17g}")
        control = Markup('<input{}{} value="{}" maxlength="{}" autocomplete="off">').format(
            limits or Markup(' type="text"'), facts, setting.text, LONGEST
        )
    return Markup('<p><label for="{}">{}</label>{}<small id="{}-help">{}</small></p>').format(
        name, short, control, name, f"{setting.help}{'; ' if setting.help else ''}{in_words(setting)}"
    )


def in_words(setting: Setting) -> str:
    """The type and bounds of a value."""
    kind = {bool: "True or False", int: "whole number", float: "number", str: "text"}[setting.kind]
    if setting.many:
        kind = (
            f"{kind}s with spaces between them"
            if setting.kind is not str
            else "words with spaces between them"
        )
    if setting.bounds is not None:
        low, high = setting.bounds.least, setting.bounds.most
        kind += (
            f" above {low:g}" if setting.bounds.open_least else f" from {low:g}" if math.isfinite(low) else ""
        )
        kind += f" {'below' if setting.bounds.open_most else 'to'} {high:.10g}" if math.isfinite(high) else ""
    return kind + (" or none" if setting.optional else "")


def options_of(experiment: Experiment, changed: object) -> list[str]:
    """Options for what was changed in the form, as a page sends it: texts by names.

    Raises:
        UserError: for what is no setting of this experiment, or no text of a value.
    """
    if not isinstance(changed, Mapping):
        raise UserError("the form sent something else than settings")
    known = {setting.name: setting for setting in settings_of(experiment)}
    words: list[str] = []
    for name, text in changed.items():
        if name not in known:
            raise UserError(
                f"there is no setting {str(name)[:99]!r}{did_you_mean(str(name)[:99], list(known))}"
            )
        if not isinstance(text, str) or len(text) > LONGEST or not text.isprintable():
            raise UserError(f"{name}: {str(text)[:99]!r} is no value")
        words += _words(known[name], text.strip())
    return words


def _words(setting: Setting, text: str) -> Sequence[str]:
    """An option and its value; joined, so that no value is read as another option."""
    if text == setting.text:
        return ()
    if not setting.many:
        return (f"--{setting.name}={text}",)
    values = text.split()
    if any(value.startswith("--") for value in values):
        raise UserError(f"{setting.name}: {text!r} is no value")
    return (f"--{setting.name}", *values)
