"""The studio in a headless Chromium: each page does its work, fits a phone, and loads nothing from elsewhere."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from studio_client import studio

import runs
import vidgan
from browser import CHROMIUM, Browser
from vidgan.presets import preset
from vidgan.run.tiny import tiny
from vidgan.studio.curves import holder_of

pytest.importorskip("gradio", reason="gradio is not installed (extra: studio)")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

ARTEFACTS = Path(__file__).parents[2] / "build" / "test-artefacts"
"""screenshots stay here, to be looked at"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of one level, which is also there as a saved model, a cascade, and a model that continues videos."""
    place = tmp_path_factory.mktemp("studio")
    demo = runs.untrained(place / "runs" / "demo", tiny(preset("demo")), runs.CLASSES)
    lines = [
        runs.tick(s, {"loss/generator": s / 9, "motion/fake": 0.01, "motion/real": 0.2}) for s in (25, 50, 75)
    ]
    lines[-1]["alarms"] = [
        {"rule": "frozen-video", "onset": 25, "text": "frozen-video at step 75", "keeps": []}
    ]
    runs.write_log(demo, lines)
    for step in (25, 50, 75):
        runs.paint(demo.samples / "fixed" / f"level1-step{step:08d}.webp", columns=8, rows=4, seed=step)
    runs.untrained(place / "runs" / "cascade", tiny(preset("demo-cascade")), runs.CLASSES)
    vidgan.load(place / "runs" / "demo").save(place / "zoo" / "demo")
    # Its standing statistics are of the data that it was trained on, so it is trained.
    data = vidgan.open_dataset("synthetic")
    with vidgan.Trainer(tiny(preset("demo-prediction")), data, out=place / "trained", workers=0) as trainer:
        trainer.fit(steps=1)
        trainer.model().save(place / "zoo" / "prediction")
    yield place
    # A training that was started goes on when the studio ends; where its test has failed, it is ended here.
    if (holder := holder_of(place / "runs" / "from-the-page")) is not None:
        os.kill(holder.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Of a studio that runs in ``folder``."""
    with studio(folder) as found:
        yield found


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
    browser.wait_for("document.querySelector('[data-pin=\"3\"]')")
    # Two clicks, the second before the first is answered.
    browser.value('[0, 3].forEach((i) => document.querySelector(`[data-pin="${i}"]`).click())')
    for number in (0, 3):
        browser.wait_for(f"document.querySelector('[data-pin=\"{number}\"][aria-pressed=true]')", 60)
    # A class's name is text, whatever it holds.
    browser.wait_for("document.body.innerText.includes('clip 3 of seed 0 (<b>bold &')")
    browser.value(f"{button('Interpolate')}.click()")
    browser.wait_for("document.querySelectorAll('#way img').length === 6")
    browser.picture(ARTEFACTS / "studio-interpolation.png")


def typed(browser: Browser, label: str, value: str) -> None:
    """Type into a field in place of what is there."""
    field = f"document.querySelector('input[aria-label=\"{label}\"]')"
    browser.wait_for(field)
    browser.value(f"{field}.focus()")
    browser.value(f"{field}.select()")
    browser.ask("Input.insertText", text=value)


def choose(browser: Browser, label: str, value: str) -> None:
    """Choose from a list by keyboard alone."""
    typed(browser, label, value)
    for kind in ("keyDown", "keyUp"):
        browser.ask("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13)
    # Gradio hands a value on with the next frame: a click before that sends the one before.
    browser.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))")


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


@pytest.mark.timeout(1800)
def test_a_clip_of_data_and_a_video_that_is_dropped_are_continued(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.mp4"
    vidgan.save_video(torch.linspace(-1, 1, 24 * 3 * 48 * 64).view(24, 3, 48, 64), path, fps=8)
    browser.open(address, 1280)
    browser.wait_for(f"{CLIPS}.length === 8")
    choose(browser, "Model", "zoo/prediction")
    browser.wait_for(f"{CLIPS}.length === 9 && {CLIPS}[0].alt.startsWith('what really followed')")
    assert browser.value(f"new Set({CLIPS}.slice(1).map((i) => i.src)).size") == 8
    require_quiet(browser, address)
    document = browser.ask("DOM.getDocument")["root"]["nodeId"]
    field = browser.ask("DOM.querySelector", nodeId=document, selector="input[type=file]")["nodeId"]
    browser.ask("DOM.setFileInputFiles", nodeId=field, files=[str(path)])
    browser.wait_for(f"{CLIPS}.length === 9 && {CLIPS}.every((i) => i.alt.endsWith('mine.mp4'))")
    browser.picture(ARTEFACTS / "studio-prediction.png")


def test_what_is_odd_is_one_line(browser: Browser, address: str) -> None:
    browser.open(address, 1280)
    browser.wait_for(f"{CLIPS}.length === 8")
    typed(browser, "Seed", "123456789012")
    browser.value(f"{button('Make clips')}.click()")
    browser.wait_for("document.querySelector('.fault, .toast-body')")


def test_who_asks_before_the_page_knows_the_model_gets_clips(browser: Browser, address: str) -> None:
    browser.open(address, 1280)
    ready = f"{button('Make clips')} && !{button('Make clips')}.disabled"
    browser.wait_for(ready)
    browser.value(f"{button('Make clips')}.click()")
    browser.wait_for(f"{CLIPS}.length === 8 || document.querySelector('.fault, .toast-body')")
    assert not browser.value("document.querySelector('.fault, .toast-body')?.innerText")


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_train_fits_and_is_silent(browser: Browser, address: str, width: int, scheme: str) -> None:
    browser.complaints.clear()
    browser.requested.clear()
    browser.open(f"{address}train", width, scheme)
    browser.wait_for("document.querySelectorAll('#charts svg').length >= 3")
    browser.wait_for("document.querySelector('#fixed p') && document.querySelector('[data-name]')")
    choose(browser, "Run", "runs/demo")  # the cascade has no samples yet
    browser.wait_for("document.querySelector('#fixed img')")
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(BEYOND.replace("body *", "body *:not(.wide *)")) == []
    require_quiet(browser, address)
    browser.picture(ARTEFACTS / f"studio-train-{width}-{scheme}.png")


def test_arrow_keys_read_a_chart(browser: Browser, address: str) -> None:
    browser.open(f"{address}train", 1280)
    browser.wait_for("document.querySelectorAll('#charts svg').length >= 3")
    browser.value("document.querySelector('#charts svg').focus()")
    browser.ask("Input.dispatchKeyEvent", type="keyDown", key="Home")
    browser.wait_for("document.querySelector('#charts h4')?.innerText.endsWith('at step 25')")


@pytest.mark.timeout(1800)
def test_a_run_is_planned_started_watched_and_stopped(browser: Browser, address: str, folder: Path) -> None:
    browser.open(f"{address}train", 1280)
    browser.wait_for(f"document.querySelector('[data-name=\"training.steps\"]') && {button('Start')}")
    browser.value(f"{button('Start')}.click()")
    browser.wait_for("document.querySelector('#started .fault')")
    browser.value(
        "document.querySelector('input[type=checkbox][name^=Tiny], label input[type=checkbox]').click()"
    )
    browser.wait_for("document.querySelector('[data-name=\"training.batch.global-batch\"]').value < 5")
    browser.value("document.querySelector('[data-name=\"training.steps\"]').value = '-1'")
    browser.value(f"{button('Show the plan')}.click()")
    browser.wait_for("document.querySelector('#plan .fault, form :invalid')")
    browser.value("document.querySelector('[data-name=\"training.steps\"]').value = '100000'")
    browser.value("document.querySelector('textarea, input[maxlength=\"100\"]').focus()")
    browser.ask("Input.insertText", text="from-the-page")
    browser.value(f"{button('Show the plan')}.click()")
    browser.wait_for("document.querySelector('#plan .plan')")
    assert "--training.steps=100000" in browser.value("document.querySelector('#plan code').innerText")
    browser.value(f"{button('Start')}.click()")
    browser.wait_for("document.querySelector('#started .note')")
    run = folder / "runs" / "from-the-page"
    browser.wait_for("document.querySelector('#runs').innerText.match(/from-the-page.*training.*of 100,000/)")
    browser.picture(ARTEFACTS / "studio-training.png")
    choose(browser, "Run that trains", "runs/from-the-page")
    browser.value(f"{button('Save and stop')}.click()")
    browser.wait_for("document.querySelector('#stopped p')")
    assert browser.value("document.querySelector('#stopped p').innerText").startswith("told process")
    browser.wait_for("document.querySelector('#runs').innerText.match(/from-the-page.*stopped/)")
    assert list((run / "checkpoints").glob("*.safetensors"))
    assert not (run / "training.lock").exists()


@pytest.mark.parametrize(
    ("page", "ready"), [("data", "#clips img"), ("evaluate", "#results table, #results p")]
)
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_data_and_evaluate_fit_and_are_silent(
    browser: Browser, address: str, page: str, ready: str, width: int, scheme: str
) -> None:
    browser.complaints.clear()
    browser.requested.clear()
    browser.open(f"{address}{page}", width, scheme)
    browser.wait_for(f"document.querySelector('{ready}')")
    browser.wait_for("!document.querySelector('.generating, .progress-text')")
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(BEYOND.replace("body *", "body *:not(.wide *)")) == []
    require_quiet(browser, address)
    browser.picture(ARTEFACTS / f"studio-{page}-{width}-{scheme}.png")


def test_clips_of_data_are_leafed_through(browser: Browser, address: str) -> None:
    browser.open(f"{address}data", 1280)
    browser.wait_for(f"{CLIPS}.length === 12 && {CLIPS}[0].alt.startsWith('0:')")
    browser.value(f"{button('Next page')}.click()")
    browser.wait_for(f"{CLIPS}.length === 12 && {CLIPS}[0].alt.startsWith('12:')")
    browser.value(f"{button('Look for problems')}.click()")
    browser.wait_for("document.querySelector('#problems p')")


@pytest.mark.timeout(1800)
def test_a_model_is_measured_and_stands_beside_published_numbers(browser: Browser, address: str) -> None:
    browser.open(f"{address}evaluate", 1280)
    browser.wait_for("document.querySelector('#results p')")
    choose(browser, "Model", "runs/demo")
    browser.wait_for(
        "document.querySelector('#results').innerText.includes('runs/demo has not been measured')"
    )
    choose(browser, "Protocol", "is-k600")
    browser.wait_for(
        "document.querySelector('#results').innerText.includes('BigGAN') || "
        "document.querySelectorAll('#results tbody tr').length > 5"
    )
    choose(browser, "Protocol", "pixel-statistics")
    browser.value(f"{button('Measure')}.click()")
    browser.wait_for("document.querySelector('#started .note')")
    browser.wait_for("document.querySelector('#results').innerText.includes('Results of runs/demo')")
    browser.picture(ARTEFACTS / "studio-measured.png")
