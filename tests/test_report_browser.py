"""The report in a browser: no complaint, no request, no sideways scroll, with and without script."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import CHROMIUM, Browser
from runs import confusion, full_run, make_run, tick, write_log
from vidgan.report.page import write_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(full_run(tmp_path_factory.mktemp("browser") / "run").path)


ARTEFACTS = Path(__file__).parents[1] / "build" / "test-artefacts"
"""screenshots stay here, to be looked at"""

BEYOND = """
[...document.querySelectorAll("body *")]
    .filter((e) => !e.closest(".wide table"))
    .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map((e) => e.outerHTML.slice(0, 99))
"""
"""Elements that reach beyond the window, but for those that scroll inside a frame of their own"""


@pytest.mark.parametrize("width", [390, 600, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_and_is_silent(browser: Browser, report: Path, width: int, scheme: str) -> None:
    browser.complaints.clear()
    browser.requested.clear()
    browser.open(report, width, scheme)
    assert browser.value("document.documentElement.clientWidth") == width
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(BEYOND) == []
    assert browser.value("[...document.images].every((i) => i.complete && i.naturalWidth > 0)") is True
    assert browser.value("document.images.length") > 10
    assert browser.value("[...document.images].every((i) => i.alt.length > 3)") is True
    assert browser.complaints == []
    assert browser.requested == [report.absolute().as_uri()]
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    browser.picture(ARTEFACTS / f"report-{width}-{scheme}.png")


PLAYS = """
Promise.all([...document.images].map(async (i) => {
    const bytes = Uint8Array.from(atob(i.src.split(",")[1]), (c) => c.charCodeAt(0));
    const decoder = new ImageDecoder({ data: bytes, type: "image/webp" });
    await decoder.tracks.ready;
    const { frameCount, repetitionCount } = decoder.tracks.selectedTrack;
    await decoder.decode({ frameIndex: frameCount - 1 });
    return frameCount > 1 && repetitionCount === Infinity;
}))
"""
"""Whether the browser can decode each picture to its last frame, and repeats it without end"""


def test_every_clip_plays(browser: Browser, report: Path) -> None:
    browser.open(report, 1280)
    assert browser.value(PLAYS) == [True] * browser.value("document.images.length")


def test_legends_say_each_name_once_on_a_phone(browser: Browser, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    write_log(run, [tick(s, {"pixel/real red": 0.5, "pixel/fake red": 0.4}) for s in (25, 50)])
    browser.open(write_report(run.path), 360)
    before = (
        "[...document.querySelectorAll('.legend li')].map((e) => getComputedStyle(e, '::before').content)"
    )
    assert set(browser.value(before)) == {"none"}


def test_long_words_do_not_widen_a_phone(browser: Browser, tmp_path: Path) -> None:
    names = ["x" * 70, "playing_the_extraordinarily_long_named_instrument_" * 2]
    run = make_run(tmp_path / "run", classes=names)
    run.metrics.append(confusion([[7, 1, 0], [2, 3, 3]], names))
    browser.open(write_report(run.path), 360)
    assert browser.value("document.documentElement.scrollWidth") <= 360


def test_an_early_run_fits_too(browser: Browser, tmp_path: Path) -> None:
    browser.complaints.clear()
    browser.open(write_report(make_run(tmp_path / "run").path), 360)
    assert browser.value("document.querySelectorAll('.missing').length") == 4
    assert browser.value("document.documentElement.scrollWidth") <= 360
    assert browser.complaints == []


def contrast(browser: Browser, selector: str) -> float:
    """Of an element's text against the page (WCAG 2, relative luminance)."""
    text = browser.value(f"getComputedStyle(document.querySelector({selector!r})).color")
    page = browser.value("getComputedStyle(document.body).backgroundColor")
    light = []
    for colour in (text, page):
        parts = [int(p) / 255 for p in colour.removeprefix("rgb(").removesuffix(")").split(",")]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        light.append(0.2126 * r + 0.7152 * g + 0.0722 * b)
    return (max(light) + 0.05) / (min(light) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(browser: Browser, report: Path, scheme: str) -> None:
    browser.open(report, 1280, scheme)
    background = browser.value("getComputedStyle(document.body).backgroundColor")
    bright = int(background.removeprefix("rgb(").split(",")[0]) > 128
    assert bright == (scheme == "light")
    for selector in ("p", "dt", "figcaption", "summary", ".note"):
        assert contrast(browser, selector) >= 4.5, selector


def test_hovering_a_chart_reads_its_values(browser: Browser, report: Path) -> None:
    browser.open(report, 1280)
    legend = 'document.querySelector(".chart .legend").innerText.replace(/\\s+/g, " ")'
    assert browser.value(legend) == "discriminators 1.5 generator 0.3333"
    browser.value("document.querySelector('.chart').scrollIntoView()")
    # The log's line at step 500 stands in the middle of the axis, which ends at step 1000.
    box = browser.value("document.querySelector('.chart .grid line').getBoundingClientRect().toJSON()")
    across, down = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    browser.ask("Input.dispatchMouseEvent", type="mouseMoved", x=across, y=down)
    assert browser.value(legend) == "discriminators 1.75 generator 0.167"
    assert browser.value("document.querySelector('.chart h4').innerText") == "Losses at step 500"
    browser.ask("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    assert browser.value(legend) == "discriminators 1.5 generator 0.3333"


def test_arrow_keys_read_the_values_of_a_chart(browser: Browser, report: Path) -> None:
    browser.open(report, 1280)
    browser.value("document.querySelector('.chart svg').focus()")
    title = "document.querySelector('.chart h4').innerText"
    # The log has a line every 25 steps, to step 1000.
    for keys, step in (
        (["ArrowLeft"], "1,000"),
        (["ArrowLeft", "ArrowLeft"], "950"),
        (["Home", "ArrowLeft"], "25"),
        (["ArrowRight"], "50"),
        (["End"], "1,000"),
    ):
        for key in keys:
            browser.ask("Input.dispatchKeyEvent", type="keyDown", key=key)
        assert browser.value(title) == f"Losses at step {step}"
    browser.value("document.activeElement.blur()")
    assert browser.value(title) == "Losses"


def test_without_script_the_rest_of_the_previews_opens(browser: Browser, report: Path) -> None:
    browser.open(report, 1280, script=False)
    heights = "[...document.querySelectorAll('.crop')].map((e) => e.getBoundingClientRect().height)"
    before = browser.value(heights)
    width = browser.value("document.querySelector('.crop').getBoundingClientRect().width")
    # A row of eight clips of 8x8 pixels with gaps of two: 78 x 8; all four rows: 78 x 38.
    assert before == pytest.approx([width * 8 / 78] * 3, abs=1)
    browser.value("document.querySelector('.fixed label').click()")
    assert browser.value(heights) == pytest.approx([width * 38 / 78] * 3, abs=1)


def test_prints_dark_on_white(browser: Browser, report: Path) -> None:
    browser.open(report, 700, "dark", media="print")
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.value("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert browser.value("document.documentElement.scrollWidth") <= 700
