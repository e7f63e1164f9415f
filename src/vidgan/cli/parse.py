"""Parsing a verb's options: a typo ends in one line that names the nearest option."""

import contextlib
import dataclasses
import io
import re
from collections.abc import Iterator
from typing import Any, TypeVar

import tyro

from vidgan.errors import UserError, nearest

T = TypeVar("T")


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
                kind, prog=f"vidgan {verb}", args=args, config=config, return_unknown_args=True, **given
            )
    except SystemExit as end:
        if end.code in (0, None):
            raise
        raise UserError(f"vidgan {verb}: {in_one_line(said.getvalue())}") from None
    if unknown:
        flag = unknown[0]
        if not flag.startswith("-"):
            raise UserError(f"vidgan {verb}: {flag!r} belongs to no option")
        known = [f"--{name}" for name in flags(options)]
        raise UserError(f"vidgan {verb} has no option {flag}{nearest(flag.split('=')[0], known)}")
    return options


def flags(options: object, place: str = "") -> Iterator[str]:
    """Every option's name without dashes, from an instance of the options."""
    for field in dataclasses.fields(options):  # type: ignore[arg-type]
        value = getattr(options, field.name)
        inner = place if field.name == "experiment" else f"{place}{field.name.replace('_', '-')}"
        nested = [value] if dataclasses.is_dataclass(value) else []
        if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            for i, item in enumerate(value):
                yield from flags(item, f"{inner}.{i}.")
        elif nested:
            yield from flags(value, f"{inner}." if inner else "")
        else:
            yield inner


def in_one_line(box: str) -> str:
    """The first message in one of tyro's boxes, without its frame."""
    lines = [line.strip(" │╭╰╮╯─") for line in box.splitlines()]
    words = [line for line in lines if line and "full helptext" not in line]
    return re.sub(r"\s+", " ", " ".join(words[1:] or words)) or "the options do not fit"
