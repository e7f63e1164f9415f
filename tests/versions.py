"""Constraints for pip: ``oldest``, the lowest versions that pyproject.toml allows, or ``newest``, none.

torch stays as constraints.txt has it: another version of it comes with gigabytes of libraries for GPUs. So do the tools
for tests among the oldest.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = ("log", "fast", "plot", "features")
"""whose packages are asked for at their lowest versions too"""
TOOLS = ("torch", "pytest", "pytest-timeout", "pytest-xdist", "hypothesis")


def lowest() -> dict[str, str]:
    """The lowest version of every package that vidgan asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [
        *project["dependencies"],
        *(line for e in EXTRAS for line in project["optional-dependencies"][e]),
    ]
    found = [re.match(r"([\w-]+)>=([\d.]+)", line) for line in asked]
    return {match[1].lower(): match[2] for match in found if match}


def pinned(*names: str) -> list[str]:
    """The lines of constraints.txt about these packages."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line.split("==")[0].lower() in names]


def constraints(which: str) -> list[str]:
    """Lines for pip; the versions of packages that others ask for follow from these."""
    if which == "newest":
        return pinned("torch")
    return [
        *(f"{name}=={version}" for name, version in lowest().items() if name not in TOOLS),
        *pinned(*TOOLS),
    ]


if __name__ == "__main__":
    print("\n".join(constraints(sys.argv[1])))
