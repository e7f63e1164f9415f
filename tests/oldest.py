"""The lowest versions that pyproject.toml allows, as constraints for pip; tools for tests as constraints.txt has them.

torch stays as constraints.txt has it: its lowest version comes with gigabytes of libraries for GPUs.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = ("log", "fast", "plot")
"""whose packages are asked for at their lowest versions too"""
APART = ("torch",)


def lowest() -> dict[str, str]:
    """Version by package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [
        *project["dependencies"],
        *(line for e in EXTRAS for line in project["optional-dependencies"][e]),
    ]
    found = [re.match(r"([\w-]+)>=([\d.]+)", line) for line in asked]
    assert all(found), asked
    return {match[1].lower(): match[2] for match in found if match and match[1] not in APART}


def constraints() -> list[str]:
    """Lines for pip; what is not asked for by name follows from those."""
    names = lowest()
    tools = {"torch", "pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "setuptools"}
    pinned = [line.strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    kept = [line for line in pinned if line.split("==")[0].lower() in tools]
    return [*(f"{name}=={version}" for name, version in names.items()), *kept]


if __name__ == "__main__":
    print("\n".join(constraints()))
