"""Errors that a user can mend: the command line shows them as one line and exits with status 2."""

from collections.abc import Sequence


class UserError(Exception):
    """Something the user gave cannot be used; the message says what is wrong and what to do."""


def some(names: Sequence[str], most: int, between: str = ", ") -> str:
    """``a, b and 3 more``: up to ``most`` of ``names``, for a message of one line."""
    more = len(names) - most
    return between.join(names[:most]) + (f"{between.rstrip(', ')} and {more} more" if more > 0 else "")


def did_you_mean(word: str, choices: list[str]) -> str:
    """A hint `` (did you mean 'x'?)`` naming the choice closest to ``word``, or an empty string.

    A name that was begun and not finished is closer than any misspelling.
    """
    import difflib

    begun = [choice for choice in choices if len(word) > 2 and choice.startswith(word)]
    close = begun[:1] or difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
