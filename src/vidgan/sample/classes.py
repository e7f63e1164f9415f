"""Classes of the videos that a model makes, by name or number."""

from collections.abc import Sequence

from vidgan.errors import UserError, did_you_mean, some
from vidgan.names import canonical

Classes = str | Sequence[str | int] | None
"""Classes by name or number (from 0), or one name: clip i has class i, beginning again after the last. None: all."""


def class_numbers(names: Sequence[str], classes: Classes) -> list[int]:
    """The numbers of classes given by name or number; None: all.

    Raises:
        UserError: if there is no such class; names the nearest.
    """
    if classes is None:
        return list(range(len(names)))
    return [class_number(names, each) for each in ([classes] if isinstance(classes, str) else classes)]


def class_number(names: Sequence[str], given: str | int) -> int:
    """The number of a class given by name or number; raises as :func:`class_numbers`."""
    if given in names:
        return names.index(str(given))
    if str(given).isdecimal() and int(given) < len(names):
        return int(given)
    shown = [canonical(name) for name in names]
    if canonical(str(given)) in shown:
        return shown.index(canonical(str(given)))
    raise UserError(
        f"there is no class {given!r}{did_you_mean(str(given), list(names))}; "
        f"there are {len(names)}, by name or by number from 0: {some(names, 20)}"
    )
