"""What a release holds: the wheel every file of the package and nothing else, the sdist that and what builds it.

``.ci/wheel`` runs it as a script over the folder of the two files; "every file" is what git knows of src/vidgan.
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILT_FROM = {"CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml"}
"""files of the repository, beside the package, that an sdist holds"""
WRITTEN = {"PKG-INFO", "setup.cfg"}
"""files that building adds"""


def of_package() -> set[str]:
    """Files of src/vidgan that git knows, as a wheel names them."""
    command = ["git", "ls-files", "src/vidgan"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {line.removeprefix("src/") for line in listed.stdout.splitlines() if (ROOT / line).exists()}


def in_wheel(path: Path) -> set[str]:
    """Files of a wheel but those of its metadata."""
    with zipfile.ZipFile(path) as wheel:
        return {name for name in wheel.namelist() if ".dist-info/" not in name}


def in_sdist(path: Path) -> set[str]:
    """Files of an sdist, without its outer folder, but those that building adds."""
    with tarfile.open(path) as sdist:
        names = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
    return {name for name in names if name not in WRITTEN and ".egg-info/" not in name}


def faults(folder: Path) -> list[str]:
    """What the wheel and the sdist in ``folder`` lack, and what they should not hold; a line each."""
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    package = of_package()
    assert len(package) > 100, "git lists no package here"
    pairs = {
        wheel: (in_wheel(wheel), package),
        sdist: (in_sdist(sdist), {f"src/{name}" for name in package} | BUILT_FROM),
    }
    return [
        f"{path.name}: {word} {name}"
        for path, (found, wanted) in pairs.items()
        for word, names in (("lacks", wanted - found), ("should not hold", found - wanted))
        for name in sorted(names)
    ]


if __name__ == "__main__":
    found = faults(Path(sys.argv[1]))
    print("\n".join(found) or "the wheel and the sdist hold what they should")
    sys.exit(bool(found))
