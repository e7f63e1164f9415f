"""The structure of the package: imports point one way, files stay small, nothing is unpickled, types hold."""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vidgan

SOURCE = Path(vidgan.__file__).parent
TESTS = Path(__file__).parent

LAYERS = (
    ("__init__", "errors"),
    ("bounds", "spec", "shapes", "seeds", "files", "forms", "memory", "names", "tensor_file", "user_code"),
    ("nn",),
    ("models",),
    ("data",),
    ("run",),
    ("sample",),
    ("evaluation",),
    ("train",),
    ("presets",),
    ("report",),
    ("cli", "studio"),
    ("__main__",),
)
"""From the bottom up: a part may import parts above its place in this list, and itself."""

PLACE = {part: place for place, parts in enumerate(LAYERS) for part in parts}

APART = {"data": {"nn", "models"}, "presets": {"train", "sample", "evaluation"}, "evaluation": {"train"}}
"""What a part may not know although it stands higher."""


@functools.cache
def files() -> tuple[Path, ...]:
    return tuple(sorted(SOURCE.rglob("*.py")))


def module_name(path: Path) -> str:
    parts = ("vidgan", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """The part of the package a module stands in."""
    names = module.split(".")
    return names[1] if len(names) > 1 else "__init__"


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@functools.cache
def imports(path: Path) -> tuple[tuple[int, str], ...]:
    """Line and full name of everything of the package that a file imports, wherever in the file."""
    return tuple(read_imports(path))


def read_imports(path: Path) -> Iterator[tuple[int, str]]:
    known = {module_name(other) for other in files()}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide where arrows point"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield node.lineno, inner if inner in known else str(node.module)


def arrows() -> Iterator[tuple[str, str, str]]:
    """(place, importing module, imported module) within the package.

    The package's own names come from everywhere, when they are first used: that file is left out.
    """
    for path in files():
        if path == SOURCE / "__init__.py":
            continue
        for line, name in imports(path):
            if name.split(".")[0] == "vidgan":
                yield f"{path.relative_to(SOURCE)}:{line}", module_name(path), name


def test_every_part_has_a_place() -> None:
    assert {part_of(module_name(path)) for path in files()} == set(PLACE)


def test_no_name_of_a_package_hides_a_module_of_it() -> None:
    """``package.name`` is one thing, for those who import it and in the reference."""
    packages = [path for path in files() if path.name == "__init__.py" and path.parent != SOURCE]
    hidden = [
        f"{module_name(package)}.{name}"
        for package in packages
        for name in names_in(package) & {path.stem for path in package.parent.iterdir()}
    ]
    assert len(packages) > 8
    assert hidden == []


def names_in(path: Path) -> set[str]:
    """What a package defines at its top, or imports from modules."""
    found = set()
    for node in tree_of(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.ImportFrom) and node.module != module_name(path):
            found |= {alias.asname or alias.name for alias in node.names}
    return found


@pytest.mark.slow
def test_imports_point_one_way() -> None:
    found = list(arrows())
    assert len(found) > 200, "the walk finds too few imports to prove anything"
    back = [
        f"{place}: {importer} imports {imported}"
        for place, importer, imported in found
        if PLACE[part_of(imported)] > PLACE[part_of(importer)]
    ]
    assert back == []


@pytest.mark.slow
def test_parts_that_need_not_know_each_other_do_not() -> None:
    wrong = [
        f"{place}: {importer} imports {imported}"
        for place, importer, imported in arrows()
        if part_of(imported) in APART.get(part_of(importer), set())
    ]
    assert wrong == []


@pytest.mark.slow
def test_modules_have_no_cycles() -> None:
    graph: dict[str, set[str]] = {}
    for _, importer, imported in arrows():
        if imported != importer:
            graph.setdefault(importer, set()).add(imported)
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module not in done:
            for other in sorted(graph.get(module, ())):
                visit(other, (*trail, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


def test_the_command_line_is_light() -> None:
    """``vidgan --help`` answers before torch is loaded: nothing heavy at module level on its way."""
    light = {"__init__.py", "__main__.py", "cli/__init__.py", "cli/process.py", "errors.py"}
    standard = {"collections", "ctypes", "difflib", "errno", "importlib", "io", "os", "sys", "typing"}
    for name in light:
        for node in tree_of(SOURCE / name).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else [str(node.module)]
                for imported in names:
                    assert imported.split(".")[0] in standard | {"vidgan"}, f"{name} imports {imported}"
                    heavy = imported.startswith("vidgan.") and imported not in (
                        "vidgan.errors",
                        "vidgan.cli",
                        "vidgan.cli.process",
                    )
                    assert not heavy, f"{name} imports {imported}"


def test_files_stay_small() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files()}
    assert {path.name: length for path, length in lengths.items() if length > 500} == {}


def test_only_one_file_mixes_batch_and_time() -> None:
    """Elsewhere, folding and unfolding go through its functions: no view or reshape joins a video's first axes."""
    fold = re.compile(r"\.(?:view|reshape)\(\s*(?:b|batch|B|clips)\s*\*\s*(?:t|steps|T|frames)\b")
    wrong = [
        f"{path.relative_to(SOURCE)}:{number}"
        for path in files()
        if path.name != "shapes.py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if fold.search(line)
    ]
    assert wrong == []


def test_every_ignored_type_error_says_which() -> None:
    bare = [
        f"{path}:{number}"
        for folder in (SOURCE, TESTS)
        for path in sorted(folder.rglob("*.py"))
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"# type: ignore(?!\[)", line)
    ]
    assert bare == []


def called(node: ast.Call) -> str:
    """Name of what is called, with its last owner: ``torch.load``, ``hasattr``."""
    function = node.func
    if isinstance(function, ast.Attribute):
        owner = function.value.id if isinstance(function.value, ast.Name) else "?"
        return f"{owner}.{function.attr}"
    return function.id if isinstance(function, ast.Name) else "?"


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    for path in files():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call):
                yield f"{path.relative_to(SOURCE)}:{node.lineno}", called(node), node


def keywords(node: ast.Call) -> dict[str | None, object]:
    return {
        keyword.arg: keyword.value.value if isinstance(keyword.value, ast.Constant) else None
        for keyword in node.keywords
    }


def test_nothing_asks_an_object_what_it_is_by_its_attributes() -> None:
    assert [place for place, name, _ in calls() if name in ("hasattr", "eval", "exec")] == []


def test_nothing_is_unpickled() -> None:
    modules = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
    imported = [
        f"{path.relative_to(SOURCE)}:{line}"
        for path in files()
        for line, name in imports(path)
        if name.split(".")[0] in modules
    ]
    assert imported == []
    loose = [
        place
        for place, name, node in calls()
        if (name == "torch.load" and keywords(node).get("weights_only") is not True)
        or (name in ("np.load", "numpy.load") and keywords(node).get("allow_pickle", False) is not False)
    ]
    assert loose == []


def test_nothing_draws_from_a_global_generator() -> None:
    """Randomness is an argument: no draw without a generator, no global seed.

    A generator may be None where someone else calls without one, as torch's own layers are constructed; and layers that
    are not ours are constructed under a seed that is taken back.
    """
    torch_draws = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"}
    seeds = {"torch.manual_seed", "np.random.seed", "random.seed", "torch.seed"}
    wrong = []
    for place, name, node in calls():
        owner, _, function = name.rpartition(".")
        if owner == "torch" and function in torch_draws and "generator" not in keywords(node):
            wrong.append(f"{place}: {name}")
        if name in seeds or owner in ("random",):
            wrong.append(f"{place}: {name}")
        if "default_generator" in ast.unparse(node.func) and not place.startswith("run/networks.py"):
            wrong.append(f"{place}: {name}")
    assert wrong == []


def test_file_parsing_finds_what_it_looks_for() -> None:
    """The walks above would pass on an empty tree; here is what they must have seen."""
    names = {name for _, name, _ in calls()}
    assert {"torch.randn", "torch.rand", "torch.load", "np.load", "isinstance"} <= names
    found = {(part_of(importer), part_of(imported)) for _, importer, imported in arrows()}
    assert {("cli", "train"), ("models", "nn"), ("train", "sample"), ("nn", "spec")} <= found


@pytest.mark.slow
def test_what_is_long_is_slow() -> None:
    """``make check`` leaves it out, whose ``-m`` takes the place of pyproject.toml's."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-m", "long and not slow", "tests"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 5, done.stdout  # nothing to run
