"""`make docs`: the site is built without a warning, with a reference for every public module, and fetches nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import vidgan

pytest.importorskip("mkdocs", reason="mkdocs is not installed (extra: docs)")
pytest.importorskip("material", reason="mkdocs-material is not installed (extra: docs)")
pytest.importorskip("mkdocstrings", reason="mkdocstrings is not installed (extra: docs)")

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
LINK = re.compile(r'<(a|img|link|script)\b[^>]*?\b(?:href|src)="?([^"\s>]+)')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    names = {path.parent / "index" if path.name == "README" else path for path in pages}
    missing = {name for name in names if not (site / f"{name}.html").exists()}
    assert len(names) > 30
    assert missing == set()
    for first in ("index", "overview", "contributing", "changelog"):
        assert (site / f"{first}.html").exists()


def test_what_a_page_needs_is_in_the_site(site: Path) -> None:
    """Styles, scripts and pictures are files of the site, and so is whatever a page of it links to."""
    found = 0
    for page in site.rglob("*.html"):
        for tag, target in LINK.findall(page.read_text("utf-8")):
            if target.startswith("#") or (tag == "a" and re.match("https?:", target)):
                continue
            assert not re.match("[a-z]+:|//", target), f"{page}: {target}"
            if page.name != "404.html":
                found += 1
                assert (page.parent / target.split("#")[0]).exists(), f"{page}: {target}"
    assert found > 1000
    assert not re.search(r"@import|url\((?!data:)['\"]?(https?:)?//", " ".join(styles(site)))


def styles(site: Path) -> list[str]:
    found = [path.read_text("utf-8") for path in site.rglob("*.css")]
    assert found
    return found


def test_names_lead_to_the_reference(site: Path) -> None:
    reference = (site / "reference" / "vidgan.models.views.html").read_text("utf-8")
    assert 'id="vidgan.models.views.FramesSpec.k"' in reference
    assert "number of frames" in reference
    table = (site / "dvd-gan.html").read_text("utf-8")
    assert 'href="reference/vidgan.models.views.html#vidgan.models.views.FramesSpec.k"' in table


def test_packages_list_the_names_that_they_offer(site: Path) -> None:
    """Each is a link to where the reference describes it."""
    for package in (vidgan, vidgan.data, vidgan.evaluation, vidgan.models, vidgan.nn, vidgan.nn.recurrent):
        page = (site / "reference" / f"{package.__name__}.html").read_text("utf-8")
        modules = {name for name in package.__all__ if isinstance(getattr(package, name), ModuleType)}
        links = dict(re.findall(r'href="[^"]*#(vidgan[\w.]+)"[^>]*><code>(\w+)</code>', page))
        assert set(package.__all__) - modules - {"__version__"} <= set(links.values())
        for target, name in links.items():
            home = target.removesuffix(f".{name}")
            assert f'id="{target}"' in (site / "reference" / f"{home}.html").read_text("utf-8")


def test_links_that_leave_the_pages_lead_to_listings(site: Path) -> None:
    page = (site / "papers.html").read_text("utf-8")
    assert 'href="files/src/vidgan/nn/norm.py.html"' in page
    listing = re.sub("<[^>]+>", "", (site / "files/src/vidgan/nn/norm.py.html").read_text("utf-8"))
    assert "class BatchNormSpec(NormSpec):" in listing
    assert 'href="training.html"' in (site / "overview.html").read_text("utf-8")
