"""``import vidgan``: its names come when they are asked for, and type checkers see the same."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vidgan


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, vidgan; print([m for m in sys.modules if m.split('.')[0] in ('vidgan', 'torch', 'numpy')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['vidgan']"


def test_every_name_is_there() -> None:
    assert vidgan.__all__ == sorted(vidgan.__all__)
    for name in vidgan.__all__:
        value = getattr(vidgan, name)
        assert name in dir(vidgan)
        assert name.startswith("__") or value is not None
    with pytest.raises(AttributeError, match="no attribute 'presett'"):
        vidgan.presett  # noqa: B018


def test_type_checkers_see_the_names_where_they_stand() -> None:
    tree = ast.parse(Path(vidgan.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, "without `as` the name is not exported"
            seen[alias.name] = str(node.module).removeprefix("vidgan").removeprefix(".")
    assert seen == vidgan._HOMES | dict.fromkeys(vidgan._PACKAGES, "")
