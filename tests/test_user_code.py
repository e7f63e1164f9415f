"""A user's own Python files: imported once, in one line where they fail, and found by spawned processes."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vidgan.errors import UserError
from vidgan.spec import tag_of
from vidgan.user_code import code_hash, load_code, load_object

TEXT = """
from dataclasses import dataclass
from pathlib import Path

with Path(__file__).with_name("imports.txt").open("a") as file:
    file.write("x")

@dataclass
class Pair:
    left: int
    right: int

    def sum(self):
        return self.left + self.right

def make():
    return Pair(1, 2)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_code.v2-é_x.py"
    path.write_text(TEXT)
    return path


def test_a_file_is_imported_once_however_it_is_spelled(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_code(file)
    monkeypatch.chdir(file.parent)
    link = file.with_name("link")
    link.symlink_to(file.parent)
    for spelling in (
        str(file),
        file.name,
        f"./{file.name}",
        f"../{file.parent.name}/{file.name}",
        link / file.name,
    ):
        assert load_code(spelling) is first
    assert (file.parent / "imports.txt").read_text() == "x"
    assert tag_of(first.Pair) == f"{file.name}:Pair"
    assert not (file.parent / "__pycache__").exists()
    assert str(file.parent) not in sys.path


def test_two_files_of_one_name_are_two(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / file.name
    other.parent.mkdir()
    other.write_text("value = 3")
    assert load_code(other) is not load_code(file)
    assert load_object(f"{other}:value") == 3


def test_what_python_has_imported_is_not_imported_anew() -> None:
    assert load_code(__file__) is sys.modules[__name__]


def test_objects_are_found_by_name(file: Path) -> None:
    assert load_object(f"{file}:make")().sum() == 3
    with pytest.raises(UserError, match=r"has no 'mak' \(did you mean 'make'\?\)$"):
        load_object(f"{file}:mak")
    for name in ("make", ":make", f"{file}:"):
        with pytest.raises(UserError, match=r"write my_file\.py:name"):
            load_object(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\nx = 1 / 0\n", "line 2: ZeroDivisionError: division by zero"),
        ("def f(:\n", "line 1: SyntaxError: invalid syntax"),
        ("\nimport no_such_module\n", "line 2: ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys\nsys.exit(3)\n", "line 2: SystemExit: 3"),
        ("def f():\n    raise ValueError('a\\nb')\n\nf()\n", "line 2: ValueError: a b"),
        (
            "from vidgan.errors import UserError\nraise UserError('no frames')\n",
            "line 2: no frames",
        ),
    ],
)
def test_a_file_that_fails_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(UserError) as found:
        load_code(path)
    assert str(found.value) == f"{path} cannot be imported: {message}"
    path.write_text("good = True")
    assert load_code(path).good


def test_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("")
    for name in ("none.py", "text.txt", "."):
        with pytest.raises(UserError, match="there is no Python file"):
            load_code(tmp_path / name)
    with pytest.raises(UserError, match="there is no Python file"):
        code_hash(tmp_path / "none.py")


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"abc")
    # FIPS 180-2, B.1
    assert code_hash(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_spawned_processes_find_the_classes(file: Path, tmp_path: Path) -> None:
    """From a script that does not import vidgan in the child by itself, in another folder."""
    script = tmp_path / "elsewhere" / "start.py"
    script.parent.mkdir()
    script.write_text(
        "import multiprocessing, operator, sys\n"
        "if __name__ == '__main__':\n"
        "    from vidgan.user_code import load_code\n"
        "    module = load_code(sys.argv[1])\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.apply(operator.methodcaller('sum'), [module.Pair(3, 4)]))\n"
    )
    done = subprocess.run(
        [sys.executable, script.name, os.path.relpath(file, script.parent)],
        cwd=script.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("7\n", "")


def test_a_forked_child_has_what_its_parent_has(file: Path) -> None:
    module = load_code(file)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(module.Pair.sum, [module.Pair(3, 4)]) == 7
