"""The studio in a headless Chromium: each page does its work, fits a phone, and loads nothing from elsewhere."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import runs
import vidgan
from browser import CHROMIUM, Browser
from vidgan.presets import preset
from vidgan.run.tiny import tiny

pytest.importorskip("gradio", reason="gradio is not installed (extra: studio)")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

ARTEFACTS = Path(__file__).parents[2] / "build" / "test-artefacts"
"""screenshots stay here, to be looked at"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one level, a cascade, and both kinds as saved models."""
    place = tmp_path_factory.mktemp("studio")
    runs.untrained(place / "runs" / "demo", tiny(preset("demo")), runs.CLASSES)
    runs.untrained(place / "runs" / "cascade", tiny(preset("demo-cascade")), runs.CLASSES)
    vidgan.load(place / "runs" / "demo").save(place / "zoo" / "demo")
    return place


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Of a studio that runs in ``folder``."""
    command = [sys.executable, "-m", "vidgan", "studio", "runs", "zoo", "--port", "0"]
    environment = os.environ | {"PYTHONPATH": str(Path(vidgan.__file__).parents[1])}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as studio:
        try:
            assert studio.stdout is not None
            found = re.search(r"http://[\d.:]+/", studio.stdout.readline())
            assert found is not None
            yield found[0]
        finally:
            studio.terminate()
            assert studio.wait(30) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


CLIPS = "[...document.querySelectorAll('#clips img')]"
BEYOND = """
[...document.querySelectorAll("body *")]
    .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .filter((e) => e.checkVisibility())
    .map((e) => e.outerHTML.slice(0, 99))
"""
"""Elements that reach beyond the window"""


def button(words: str) -> str:
    """An expression for the button with this text."""
    return f"[...document.querySelectorAll('button')].find((b) => b.innerText.trim() === {words!r})"


def require_quiet(browser: Browser, address: str) -> None:
    """Nothing was complained of, and nothing came from elsewhere."""
    assert browser.complaints == []
    assert [asked for asked in browser.requested if not asked.startswith(address)] == []
    assert browser.value("[...document.images].every((i) => i.alt.length > 3)") is True


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_explore_fits_and_is_silent(browser: Browser, address: str, width: int, scheme: str) -> None:
    browser.complaints.clear()
    browser.requested.clear()
    browser.open(address, width, scheme)
    browser.wait_for(f"{CLIPS}.length === 8 && {CLIPS}.every((i) => i.complete && i.naturalWidth > 0)")
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(BEYOND) == []
    require_quiet(browser, address)
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    browser.picture(ARTEFACTS / f"studio-explore-{width}-{scheme}.png")


def test_two_clips_are_pinned_and_what_lies_between_is_shown(browser: Browser, address: str) -> None:
    browser.open(address, 1280)
    for number in (0, 3):
        browser.wait_for(f"document.querySelector('[data-pin=\"{number}\"]')")
        browser.value(f"document.querySelector('[data-pin=\"{number}\"]').click()")
        browser.wait_for(f"document.querySelector('[data-pin=\"{number}\"][aria-pressed=true]')")
    # A class's name is text, whatever it holds.
    browser.wait_for("document.body.innerText.includes('clip 3 of seed 0 (<b>bold &')")
    browser.value(f"{button('Interpolate')}.click()")
    browser.wait_for("document.querySelectorAll('#way img').length === 6")
    browser.picture(ARTEFACTS / "studio-interpolation.png")


def typed(browser: Browser, label: str, value: str) -> None:
    """Type into a field in place of what is there."""
    browser.value(
        f"((field) => {{ field.focus(); field.select(); }})(document.querySelector('input[aria-label={label}]'))"
    )
    browser.ask("Input.insertText", text=value)


def choose(browser: Browser, label: str, value: str) -> None:
    """Choose from a list by keyboard alone."""
    typed(browser, label, value)
    for kind in ("keyDown", "keyUp"):
        browser.ask("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13)


def test_a_cascade_shows_all_levels_and_a_saved_model_its_clips(browser: Browser, address: str) -> None:
    browser.open(address, 1280)
    browser.wait_for(f"{CLIPS}.length === 8")
    choose(browser, "Model", "runs/cascade")
    browser.wait_for(
        f"{CLIPS}.length === 8 && {CLIPS}.every((i) => i.alt.includes('levels from low to high'))"
    )
    browser.picture(ARTEFACTS / "studio-cascade.png")
    choose(browser, "Model", "zoo/demo")
    browser.wait_for(f"{CLIPS}.length === 8 && {CLIPS}.every((i) => !i.alt.includes('levels'))")


def test_what_is_odd_is_one_line(browser: Browser, address: str) -> None:
    browser.open(address, 1280)
    browser.wait_for(f"{CLIPS}.length === 8")
    typed(browser, "Seed", "123456789012")
    browser.value(f"{button('Make clips')}.click()")
    browser.wait_for("document.querySelector('.fault, .toast-body')")
