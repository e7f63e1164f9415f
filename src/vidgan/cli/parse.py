"""Parsing a verb's options: what help says, and one line that names the nearest option where there is a typo."""

import contextlib
import dataclasses
import io
import itertools
import re
import shutil
import sys
import textwrap
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from vidgan.errors import UserError, did_you_mean
from vidgan.spec import SpecError
from vidgan.user_code import load_files

T = TypeVar("T")

UNNAMED = "values"
"""a field of options whose own fields are options without a prefix"""
HELP: Final = ("-h", "--help")
CONFIG: Final = (tyro.conf.AvoidSubcommands, tyro.conf.FlagCreatePairsOff)
NONE: Final = "none"
"""what stands for None"""


def default_of(label: str) -> str:
    """What help says of an option's value where it is not given; nothing where that is nothing."""
    return "" if label in ("", "False", NONE) else f"(default: {label})"


@typing.dataclass_transform(frozen_default=True, kw_only_default=True)
def option_set(kind: type[T]) -> type[T]:
    """A class of options: a frozen dataclass whose own options stand before those that it inherits."""
    quiet = tyro.conf.arg(help_behavior_hint=default_of)
    own = kind.__annotations__
    kind.__annotations__ = {name: typing.Annotated[said, quiet] for name, said in own.items()}
    made = dataclasses.dataclass(frozen=True, kw_only=True)(kind)
    fields: dict[str, Any] = made.__dataclass_fields__  # type: ignore[attr-defined]
    for name, field in list(fields.items()):
        if name not in own and tyro.conf.Positional not in typing.get_args(field.type):
            fields[name] = fields.pop(name)
    return made


@option_set
class Code:
    """A verb that reads runs or experiments, which may have classes of the user's own."""

    code: typing.Annotated[tuple[str, ...], tyro.conf.arg(metavar="FILE.py ...")] = ()
    """Python files with classes of your own"""


def parse(kind: type[T], verb: str, args: list[str], default: T | None = None) -> T:
    """Options of class ``kind`` from ``args``; ``default`` gives values that differ from the class's own.

    Files that ``--code`` names are imported.

    Raises:
        UserError: for an unknown option or a value that does not fit, in one line; if a file cannot be imported.
        SystemExit: with status 0 after ``--help``.
    """
    given: dict[str, Any] = {} if default is None else {"default": default}
    said, helped = io.StringIO(), Screen()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(helped):
            found, unknown = tyro.cli(
                kind,
                prog=f"vidgan {verb}",
                args=args,
                config=CONFIG,
                registry=readers(),
                return_unknown_args=True,
                **given,
            )
    except SystemExit as end:
        if end.code in (0, None):
            print(helped.fitted())
            raise
        box = lines_of(said.getvalue())
        word = unrecognized(box)
        known = [field.name.replace("_", "-") for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
        names = known if default is None else list(flags(default))
        said_of = f": {in_one_line(box)}" if word is None else not_understood(word, args, names)
        raise UserError(f"vidgan {verb}{said_of}") from None
    except SpecError as error:
        raise UserError(with_option(str(error), args)) from None
    if unknown:
        raise UserError(f"vidgan {verb}{not_understood(unknown[0], args, list(flags(found)))}")
    if isinstance(found, Code):
        load_files(found.code)
    return found


def with_option(fault: str, args: list[str]) -> str:
    """What is wrong with a value, after the whole name of its option where one of ``args`` is meant by it."""
    name = fault.split(" ")[0].replace("_", "-")
    flags = {arg.split("=")[0] for arg in args if arg.startswith("--")}
    meant = [flag for flag in flags if "." in flag and flag.split(".")[-1].replace("_", "-") == name]
    return f"{meant[0]}: {fault}" if len(meant) == 1 else fault


def peek(kind: type[T], args: list[str]) -> T:
    """Options of class ``kind`` among others, before those are known."""
    without_help = [arg for arg in args if arg not in HELP]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            found, _ = tyro.cli(
                kind, args=without_help, config=CONFIG, registry=readers(), return_unknown_args=True
            )
    except SystemExit:
        raise UserError(in_one_line(lines_of(said.getvalue()))) from None
    return found


class Screen(io.StringIO):
    """What is printed in the colours of the terminal."""

    def isatty(self) -> bool:
        return sys.__stdout__ is not None and sys.__stdout__.isatty()

    def fitted(self) -> str:
        """All that was printed, no line longer than the terminal is wide."""
        lines = self.getvalue().rstrip().splitlines()
        return "\n".join(line if "│" in line or "─" in line else wrapped(line) for line in lines)


def wrapped(text: str, indent: str = "") -> str:
    """A paragraph no wider than the terminal; ``indent`` stands before all lines but the first."""
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, subsequent_indent=indent, break_on_hyphens=False)


OTHER_WORDS: Final = {"--replicas": "--processes", "--chunk": "--sample-chunk"}
"""options by words that mean the same, where a verb does not have those"""


def not_understood(word: str, args: list[str], names: list[str]) -> str:
    """What is wrong with a word that no option took, after the name of the verb; ``names`` are the options'."""
    known = [f"--{name}" for name in names]
    if word.startswith("-"):
        flag = word.split("=")[0]
        meant = [name for name in known if name == OTHER_WORDS.get(flag)]
        return f" has no option {flag}{did_you_mean(meant[0] if meant else flag, known)}"
    joined = [arg.split("=")[0] for arg in args if arg.startswith("--") and arg.endswith(f"={word}")]
    # tyro breaks words that are longer than its lines.
    places = [place for place, arg in enumerate(args) if arg.startswith(word)]
    before = joined or (args[: places[0]][-1:] if places else [])
    if before and before[0] in known:
        return f": {before[0]} takes no value, got {word!r}"
    return f": {word!r} belongs to no option"


def flags(options: object, place: str = "") -> Iterator[str]:
    """Every option's name without dashes, from an instance of the options."""
    for field in dataclasses.fields(options):  # type: ignore[arg-type]
        value = getattr(options, field.name)
        inner = place if field.name == UNNAMED else f"{place}{field.name.replace('_', '-')}"
        nested = [value] if dataclasses.is_dataclass(value) else []
        if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            for i, item in enumerate(value):
                yield from flags(item, f"{inner}.{i}.")
        elif nested:
            yield from flags(value, f"{inner}." if inner else "")
        else:
            yield inner


def lines_of(box: str) -> list[str]:
    """What one of tyro's boxes says, without its frame and its title; drawn in ASCII, a rule follows the title."""
    inside = [line.strip("│╭╰╮╯").rstrip() for line in box.splitlines()[1:]]
    written = list(itertools.dropwhile(is_rule, inside))
    # What is left of a frame below is not indented and would keep dedent from its work.
    return textwrap.dedent("\n".join(line for line in written if line.startswith(" "))).splitlines()


def is_rule(line: str) -> bool:
    """Whether a line is drawn, not written."""
    return bool(line.strip()) and set(line.strip()) <= {"─", "-"}


def unrecognized(lines: list[str]) -> str | None:
    """The first word that a box calls unrecognized."""
    heads = [i for i, line in enumerate(lines) if line.startswith("Unrecognized options")]
    return lines[heads[0] + 1].strip() if heads else None


def in_one_line(lines: list[str]) -> str:
    """The first message in a box: what stands before its first rule."""
    message = list(itertools.takewhile(lambda line: not is_rule(line), lines))
    if message and message[0].startswith("Missing from"):
        # An option is indented by four, what it means by more.
        return "missing " + ", ".join(line.strip() for line in message if re.match(r" {4}\S", line))
    words = re.sub(r"\s+", " ", " ".join(message)).strip()
    return words.removeprefix("Error parsing ") or "the options do not fit"


Primitive = PrimitiveConstructorSpec[Any]


def whole(text: str) -> int:
    """An integer; ``ValueError`` says that ``text`` is none."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def number(text: str) -> float:
    """A number; ``ValueError`` says that ``text`` is none."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


READERS: Final[dict[type, tuple[str, Callable[[str], Any]]]] = {
    int: ("INT", whole),
    float: ("FLOAT", number),
    str: ("STR", str),
    Path: ("PATH", Path),
}
"""Placeholder in help and function that reads a value, by type."""


def readers() -> ConstructorRegistry:
    """Rules for tyro: plain values, values that may be ``none``, and any number of names."""
    registry = ConstructorRegistry()
    for rule in (plain, optional, names):
        registry.primitive_rule(rule)
    return registry


def plain(info: PrimitiveTypeInfo) -> Primitive | None:
    """An integer or a number."""
    if info.type not in (int, float):
        return None
    metavar, read = READERS[info.type]
    return one_word(metavar, read, lambda value: str(value))


def plain_type(kind: Any) -> Any:
    """A type without the bounds that stand beside it."""
    return kind.__origin__ if typing.get_origin(kind) is typing.Annotated else kind


def optional(info: PrimitiveTypeInfo) -> Primitive | None:
    """A value or ``none``."""
    kinds = {plain_type(kind) for kind in typing.get_args(info.type)}
    if info.type_origin not in (typing.Union, types.UnionType) or type(None) not in kinds:
        return None
    rest = kinds - {type(None)}
    kind = next(iter(rest))
    if len(rest) != 1 or kind not in READERS:
        return None
    metavar, read = READERS[kind]
    return one_word(
        metavar,
        lambda text: None if text.lower() == NONE else read(text),
        lambda value: NONE if value is None else str(value),
    )


def names(info: PrimitiveTypeInfo) -> Primitive | None:
    """Any number of words."""
    if info.type != tuple[str, ...]:
        return None
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar="NAME ...",
        instance_from_str=tuple,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=list,
    )


def one_word(metavar: str, read: Callable[[str], Any], show: Callable[[Any], str]) -> Primitive:
    """A value that is one word."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        # argparse gives an empty list where a word that may be left out is, and others are not understood.
        instance_from_str=lambda words: read(words[0] if isinstance(words[0], str) else NONE),
        is_instance=lambda value: value is None or isinstance(value, int | float | str | Path),
        str_from_instance=lambda value: [show(value)],
    )
