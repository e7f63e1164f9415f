"""Names that others chose: shown on one line, made into names of files, and opened as what they are.

A file's name may hold anything but ``/`` and NUL: bytes that are no UTF-8, line breaks, escapes that command a
terminal, a colon that FFmpeg takes for a protocol. A class's name may hold a ``/``, too.
"""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

LONGEST: Final = 100
"""bytes of a name of :func:`file_name`: two of them and a number fit into one file's name"""
JOINERS: Final = "\u200c\u200d"
"""not printable by themselves, but parts of emoji and of words in several scripts"""
RESERVED: Final = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(10))}
"""names of devices on Windows, whatever the suffix"""


def printable(text: str) -> str:
    r"""``text`` on one line and harmless to a terminal: what cannot be shown becomes an escape such as ``\n``.

    That are control characters, marks that turn the direction of writing, and bytes that are no UTF-8 (``\xe9``).
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable() or character in JOINERS or unicodedata.category(character) == "Zs":
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python spells a byte of a file's name that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def canonical(text: str) -> str:
    """:func:`printable`, and the same however its accents are spelled: é is one character, or an e and its accent."""
    return unicodedata.normalize("NFC", printable(text))


def tell(line: str, to: TextIO | None = None, flush: bool = False) -> None:
    """Print one line that holds names, :func:`printable`, to standard output or ``to``."""
    print(printable(line), file=to, flush=flush)


def file_name(name: str) -> str:
    """``name`` as the name of a file or folder on any system: no path, never empty, hidden or too long.

    What may stand in a file's name everywhere is kept, so most names stay as they are.
    """
    text = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    text = "".join("_" if c in '<>:"/\\|?*' or _shown(c) != c else c for c in text).strip(" .")
    text = text.encode()[:LONGEST].decode(errors="ignore").rstrip(" .")
    odd = not text or text[0] == "-" or text.split(".")[0].upper() in RESERVED
    return f"_{text}" if odd else text


def file_names(names: Sequence[str]) -> list[str]:
    """:func:`file_name` of each, all different, also where a file system takes ``a`` and ``A`` for the same.

    Names that need no change keep theirs; of others that would be the same, the later ones get a number.
    """
    made = [file_name(name) for name in names]
    taken: set[str] = set()
    for number in sorted(range(len(names)), key=lambda number: made[number] != names[number]):
        own, count = made[number], 1
        while made[number].casefold() in taken:
            count += 1
            made[number] = f"{own}-{count}"
        taken.add(made[number].casefold())
    return made


def ffmpeg_file(path: Path) -> str:
    """What makes FFmpeg open the file at ``path``, whatever its name: ``a:b.mp4`` alone would be a protocol."""
    return f"file:{path}"
