"""Python files of the user's own: imported once each, found again by the processes that this one starts.

A file becomes a module below this one, whose name spells the file's path. Whoever unpickles an object of such a class
imports its module by name, so a spawned process needs nothing but the object: it reads the same file. The file's folder
is not put where Python looks for modules, where its name could hide another's.
"""

import hashlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from vidgan.errors import UserError, did_you_mean

__path__: list[str] = []  # Lets Python look for modules below this one.
PREFIX = f"{__name__}."

Files = str | Path | Sequence[str | Path] | None
"""The user's Python file or files."""


def load_code(path: str | Path) -> ModuleType:
    """The module that a Python file makes; imported once, however its path is spelled.

    A file that Python has imported already, the running script too, is not imported anew. The name of an installed
    module, ``package.module``, is taken too.

    Raises:
        UserError: if there is no such file, or it cannot be imported; one line that says where it fails.
    """
    file = Path(path).resolve()
    if file.suffix != ".py" and all(part.isidentifier() for part in str(path).split(".")):
        return _import(str(path), str(path), file)
    if not file.is_file() or file.suffix != ".py":
        raise UserError(f"there is no Python file {path}")
    for module in list(sys.modules.values()):
        if _is_made_of(module, file):
            return module
    return _import(PREFIX + _spell(file), str(path), file)


def load_files(files: Files) -> None:
    """Import the user's file or files; raises as :func:`load_code`."""
    for file in [files] if isinstance(files, str | Path) else files or ():
        load_code(file)


def load_object(name: str) -> Any:
    """What ``file.py:name`` names in a user's file.

    Raises:
        UserError: as :func:`load_code`; if the file has no such name, one line with the nearest.
    """
    path, _, attribute = name.rpartition(":")
    if not path or not attribute:
        raise UserError(f"{name!r} does not name an object of a Python file: write my_file.py:name")
    members = vars(load_code(path))
    if attribute not in members:
        public = [member for member in members if not member.startswith("_")]
        raise UserError(f"{path} has no {attribute!r}{did_you_mean(attribute, public)}")
    return members[attribute]


def loaded_file(name: str) -> ModuleType | None:
    """The module of a user's file of this name that :func:`load_code` has imported; None where it has not."""
    files = (module for known, module in list(sys.modules.items()) if known.startswith(PREFIX))
    return next((module for module in files if Path(str(module.__file__)).name == name), None)


def code_hash(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, as hexadecimal digits.

    Raises:
        UserError: if there is no such file.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"there is no Python file {path}") from error


def place_in(error: BaseException) -> str | None:
    """Where in a user's file an error came up, and what it is, in one line; None where it passed no such file."""
    passed = [
        f"{frame.f_code.co_filename}, line {line}: "
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).startswith(PREFIX)
    ]
    return f"{passed[-1]}{_brief(error)}" if passed else None


def _import(module: str, said: str, file: Path) -> ModuleType:
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(f"{said} cannot be imported: {_where(error, file)}{_brief(error)}") from error


def _is_made_of(module: Any, file: Path) -> bool:
    known = vars(module).get("__file__") if isinstance(module, ModuleType) else None
    return isinstance(known, str) and Path(known).name == file.name and Path(known).resolve() == file


def _where(error: BaseException, file: Path) -> str:
    """``line 3: ``: the last line of ``file`` that the error passed; nothing where it passed none."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return f"line {error.lineno}: "
    passed = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in passed if frame.f_code.co_filename == str(file)]
    return f"line {lines[-1]}: " if lines else ""


def _brief(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def _spell(file: Path) -> str:
    """A path as a module's name: letters and digits stay, other bytes become ``_`` and two hexadecimal digits."""
    return re.sub(rb"[^A-Za-z0-9]", lambda found: b"_%02x" % found[0][0], str(file).encode()).decode()


def _unspell(name: str) -> str:
    """Undo :func:`_spell`."""
    return re.sub(rb"_([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), name.encode()).decode()


class _Loader(SourceFileLoader):
    """Compiles the source each time: what runs is what is hashed, and nothing is written beside the user's file."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


class _Finder(MetaPathFinder):
    """Finds the modules that :func:`load_code` makes, in this process and in those that it starts."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(PREFIX):
            return None
        file = _unspell(fullname.removeprefix(PREFIX))
        return importlib.util.spec_from_file_location(fullname, file, loader=_Loader(fullname, file))


sys.meta_path.append(_Finder())
