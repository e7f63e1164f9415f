"""Scripts beside the package, most of which no other test runs."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = [path for folder in ("benchmarks", "experiments") for path in sorted((ROOT / folder).glob("*.py"))]
EXTRAS = ("onnxruntime", "matplotlib")
"""what only an extra installs; without it a script is imported up to there"""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_scripts_find_what_they_import(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing one runs nothing."""
    monkeypatch.syspath_prepend(str(script.parent))
    before = set(sys.modules)
    spec = importlib.util.spec_from_file_location(f"script_{script.stem}", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up there
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
    finally:
        for name in set(sys.modules) - before:  # of this folder: another may have a file of the same name
            if str(getattr(sys.modules[name], "__file__", None)).startswith(str(script.parent)):
                del sys.modules[name]
    assert module.__doc__
