"""What went wrong, on the page: one line, never a traceback."""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

from vidgan.errors import UserError
from vidgan.names import tell
from vidgan.studio.clips import message

P = ParamSpec("P")


def told(answer: Callable[P, str]) -> Callable[P, str]:
    """``answer``, whose errors become a line of HTML; what is no user's fault stands on standard error, too."""

    @functools.wraps(answer)
    def answered(*args: P.args, **kwargs: P.kwargs) -> str:
        try:
            return answer(*args, **kwargs)
        except UserError as fault:
            return message(str(fault), "fault")
        except Exception as fault:  # a page goes on, whatever happens
            brief = f"{type(fault).__name__}: {(str(fault).splitlines() or [''])[0][:200]}"
            tell(f"vidgan studio: {brief}", to=sys.stderr)
            return message(f"unexpected, and a fault of vidgan: {brief}", "fault")

    return answered
