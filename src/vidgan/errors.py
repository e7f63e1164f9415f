"""Errors that a user can mend: the command line shows them as one line and exits with status 2."""


class UserError(Exception):
    """Something the user gave cannot be used; the message says what is wrong and what to do."""


def nearest(word: str, choices: list[str]) -> str:
    """A hint `` (did you mean 'x'?)`` naming the choice closest to ``word``, or an empty string.

    A name that was begun and not finished is closer than any misspelling.
    """
    import difflib

    begun = [choice for choice in choices if len(word) > 2 and choice.startswith(word)]
    close = begun[:1] or difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
