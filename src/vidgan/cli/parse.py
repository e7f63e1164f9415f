"""Parsing a verb's options: a typo ends in one line that names the nearest option."""

import contextlib
import dataclasses
import io
import itertools
import re
import textwrap
from collections.abc import Iterator
from typing import Any, TypeVar

import tyro

from vidgan.cli.values import readers
from vidgan.errors import UserError, did_you_mean

T = TypeVar("T")

UNNAMED = "values"
"""a field of options whose own fields are options without a prefix"""


def parse(kind: type[T], verb: str, args: list[str], default: T | None = None) -> T:
    """Options of class ``kind`` from ``args``; ``default`` gives values that differ from the class's own.

    Raises:
        UserError: for an unknown option or a value that does not fit, in one line.
        SystemExit: with status 0 after ``--help``.
    """
    config = (tyro.conf.AvoidSubcommands, tyro.conf.FlagCreatePairsOff)
    given: dict[str, Any] = {} if default is None else {"default": default}
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options, unknown = tyro.cli(
                kind,
                prog=f"vidgan {verb}",
                args=args,
                config=config,
                registry=readers(),
                return_unknown_args=True,
                **given,
            )
    except SystemExit as end:
        if end.code in (0, None):
            raise
        box = lines_of(said.getvalue())
        word = unrecognized(box)
        known = [field.name.replace("_", "-") for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
        names = known if default is None else list(flags(default))
        said_of = f": {in_one_line(box)}" if word is None else not_understood(word, args, names)
        raise UserError(f"vidgan {verb}{said_of}") from None
    if unknown:
        raise UserError(f"vidgan {verb}{not_understood(unknown[0], args, list(flags(options)))}")
    return options


def not_understood(word: str, args: list[str], names: list[str]) -> str:
    """What is wrong with a word that no option took, after the name of the verb; ``names`` are the options'."""
    known = [f"--{name}" for name in names]
    if word.startswith("-"):
        flag = word.split("=")[0]
        return f" has no option {flag}{did_you_mean(flag, known)}"
    joined = [arg.split("=")[0] for arg in args if arg.startswith("--") and arg.endswith(f"={word}")]
    before = joined or args[: args.index(word)][-1:]
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
