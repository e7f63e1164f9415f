"""The contact sheet of a prepared dataset, and the report that follows a run."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from commands import require_one_line, start, vidgan
from painted import Painted
from runs import full_run, make_run, tick, write_log
from vidgan.cli import report as report_command
from vidgan.data.inspect import CLIPS, FRAMES, GAP, SIDE, TEXT, clip_strip, contact_sheet, drawable, font_for
from vidgan.data.store import open_prepared
from vidgan.report.page import write_report

Capture = pytest.CaptureFixture[str]


def strips(folder: Path) -> None:
    """Two classes of plain clips; a clip's grey tells which it is, its red the time."""
    for number in range(6):
        frames = np.zeros((5, 16, 16, 3), np.uint8)
        frames[..., 0], frames[..., 1] = 50 * np.arange(5)[:, None, None], 40 * number
        path = folder / ("first", "second")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate(list(frames), axis=1)).save(path)


def test_what_the_font_lacks_is_an_escape() -> None:
    assert drawable("a中b", ImageFont.load_default(13)) == "a\\u4e2db"
    pytest.importorskip("matplotlib", reason="brings a font")
    assert drawable("Läufer бег", font_for("Läufer бег")) == "Läufer бег"


def test_a_row_per_class_with_frames_over_time(tmp_path: Path, capsys: Capture) -> None:
    strips(tmp_path / "source")
    made, picture = tmp_path / "made", tmp_path / "contact-sheet.png"
    options = ("--layout", "strips", "--size", 16, "--workers", 0)
    assert vidgan(capsys, "prepare", tmp_path / "source", made, *options).status == 0
    answer = vidgan(capsys, "inspect", made, "--contact-sheet", picture)
    assert answer.status == 0, answer.err
    assert f"contact sheet: {picture}" in answer.out.replace("\n", "")
    with Image.open(picture) as image:
        seen = np.asarray(image)
    data = open_prepared(made)
    for row in range(2):
        top = GAP + TEXT + row * (SIDE + TEXT + 3 * GAP) + TEXT + SIDE // 2
        for place in range(CLIPS):
            for frame, time_shown in enumerate((0, 1, 3, 4)):  # four of five frames, evenly
                left = (
                    3 * GAP
                    + place * (FRAMES * (SIDE + GAP) - GAP + 3 * GAP)
                    + frame * (SIDE + GAP)
                    + SIDE // 2
                )
                number = int(data.name(3 * row + place)[-5])
                assert seen[top, left].tolist() == [50 * time_shown, 40 * number, 0]
    require_one_line(vidgan(capsys, "inspect", made, "--contact-sheet", tmp_path / "x.txt"), "x.txt", ".png")


def test_names_of_classes_are_no_markup(tmp_path: Path, capsys: Capture) -> None:
    strips(tmp_path / "source")
    (tmp_path / "source" / "first").rename(tmp_path / "source" / "[bold]")
    (tmp_path / "source" / "second").rename(tmp_path / "source" / "<script>")
    made = tmp_path / "[red]made"
    options = ("--layout", "strips", "--size", 16, "--workers", 0)
    assert vidgan(capsys, "prepare", tmp_path / "source", made, *options).status == 0
    answer = vidgan(capsys, "inspect", made)
    assert answer.status == 0, answer.err
    for name in ("[bold]", "<script>", "[red]made"):
        assert name in answer.out


def test_wide_clips_keep_their_aspect_and_short_ones_are_shown_whole() -> None:
    assert clip_strip(Painted(3), 0).shape == (SIDE, FRAMES * (88 + GAP) - GAP, 3)  # 8 x 11 pixels
    assert contact_sheet(Painted(3)).size[1] == TEXT + 2 * (SIDE + TEXT + 3 * GAP) + GAP


def test_only_a_watched_report_reloads_itself(tmp_path: Path) -> None:
    run = full_run(tmp_path / "run")
    tag = '<meta http-equiv="refresh" content="7">'
    assert tag in write_report(run.path, 7).read_text()
    assert 'http-equiv="refresh"' not in write_report(run.path).read_text()


def test_a_change_of_the_run_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run")
    written: list[int] = []
    turns = iter(range(3))

    def sleep(seconds: float) -> None:
        turn = next(turns, None)
        if turn is None:
            raise KeyboardInterrupt
        if turn == 1:
            write_log(run, [tick(1, {"loss/discriminators": 1.0})])
        written.append(turn)

    pages: list[int] = []
    monkeypatch.setattr(report_command.time, "sleep", sleep)
    monkeypatch.setattr(report_command, "write_report", lambda path, every=None: pages.append(len(written)))
    with pytest.raises(KeyboardInterrupt):
        report_command.watch(run.path, 5)
    assert written == [0, 1, 2]
    assert pages == [2]  # once, after the turn in which the log grew


@pytest.mark.slow
def test_ctrl_c_ends_watching_with_a_page_that_stays(tmp_path: Path) -> None:
    import signal

    run = full_run(tmp_path / "run")
    process = start("report", run.path, "--watch", "--every", 1)
    while not (run.path / "report.html").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Ctrl-C ends" in out
    assert 'http-equiv="refresh"' not in (run.path / "report.html").read_text()
