"""Names that others chose: shown on one line, safe as names of files, opened as what they are."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import runs
from commands import vidgan
from videos import write_video
from vidgan.data.raw_videos import open_videos
from vidgan.data.store import open_prepared
from vidgan.names import file_name, file_names, printable
from vidgan.presets import preset
from vidgan.run.tiny import tiny
from vidgan.sample.classes import class_number
from vidgan.sample.video_io import write_clip

LATIN1 = os.fsdecode(b"caf\xe9")
AWKWARD = (
    *("with space", "ünïcode-日本語-🎬", "new\nline", "tab\there", "-dash", "--out", "quote'\"`$(x)", "%03d"),
    *(
        "[bold red]rich[-]",
        "[/b]x",
        ":smile:",
        "img_*",
        "a" * 250,
        "2024-01-01T12:30:45",
        "pipe:0",
        "file:plain",
    ),
    *(
        "concat:a|b",
        "back\\slash",
        "cafe\u0301",
        "two.dots.",
        "trailing ",
        "CON",
        "\u202eevil",
        "esc\x1b[31m",
    ),
    *(LATIN1, "http://host", "data:,x"),
)
HARMFUL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""what no line of output holds"""


def test_printable_names() -> None:
    for text in ("plain", "with space", "ünïcode-日本語-🎬", "👩‍👩‍👧", "a\u3000b", "back\\slash"):
        assert printable(text) == text
    assert printable("a\nb\tc\x1b[31m\x9b\u202e\u2028") == r"a\nb\tc\x1b[31m\x9b\u202e\u2028"
    assert printable(LATIN1) == r"caf\xe9"


def test_names_of_files_are_safe_and_different(tmp_path: Path) -> None:
    kept = ("run", "with space", "ünïcode-日本語-🎬", "two.dots", "it's", "a[b]", "%03d")
    assert [file_name(name) for name in kept] == list(kept)
    hostile = (
        "",
        ".",
        "..",
        "../up",
        "/etc",
        "a/b",
        "a\\b",
        "a:b",
        "a_b",
        "A_B",
        ".hid",
        "CON",
        "nul.txt",
        "-rf",
    )
    hostile += (
        *AWKWARD,
        *(f"{name}/" for name in AWKWARD),
        "日" * 300,
        "x" * 300,
        "x" * 301,
        "\ud800",
        "a\x00b",
    )
    made = file_names(hostile)
    assert len({name.casefold() for name in made}) == len(hostile)
    for name in made:
        place = tmp_path / f"00000-{name}-{name}-strip.png"
        place.touch()
        assert place.parent == tmp_path
        assert name.encode().decode() == name
        assert name[0] not in ".-"
        assert not name.endswith((".", " "))
        assert not HARMFUL.search(name)
    assert len(list(tmp_path.iterdir())) == len(hostile)
    assert made[hostile.index("a_b")] == "a_b"


def test_videos_of_any_name_are_prepared_told_and_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    monkeypatch.chdir(source)
    write_video(tmp_path / "one.mp4", frames=2)
    names = [f"{name}.mp4".replace("/", "∕") for name in AWKWARD]
    broken = [f"broken {name[:-4][:240]}.mp4" for name in names]
    for name, other in zip(names, broken, strict=True):
        shutil.copy(tmp_path / "one.mp4", name)
        Path(other).touch()
    made = tmp_path / "made [/b]\x1b[31m"
    answer = vidgan(capsys, "prepare", ".", made, "--workers", 0, "--size", 8)
    assert answer.status == 0, answer.err
    assert f"{len(names)} clips" in answer.out
    assert answer.out.count("\n") == 2 + 20 + 1
    shown = vidgan(capsys, "inspect", made, "--frames", 3)
    assert shown.status == 2
    for name, other in zip(names, broken, strict=True):
        assert f"\nproblem: {printable(name)}: 2 frames, needs 3\n" in shown.out
        assert f"\nleft out while preparing: {printable(other)}: " in shown.out
    for text in (answer.out, answer.err, shown.out, shown.err):
        assert not HARMFUL.search(text)
    videos = open_videos(Path("."), 8)  # paths without a folder in front, as FFmpeg would take for protocols
    assert len(videos) == len(names) + len(names)
    for index in range(len(videos)):
        if not videos.name(index).startswith("broken"):
            assert videos.read(index, 0, 2).shape == (2, 8, 12, 3)
    assert videos.fingerprint == open_videos(tmp_path / "source", 8).fingerprint
    assert sorted(open_prepared(made).index.sources) == sorted(names)


def test_names_of_class_folders_are_shown_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = ("[bold]b", "x[b]x[b", ":smile:", "new\nline", LATIN1, "\\")
    for name in classes:
        (tmp_path / "source" / name).mkdir(parents=True)
        write_video(tmp_path / "source" / name / "a.mp4", frames=2)
    vidgan(capsys, "prepare", tmp_path / "source", tmp_path / "made", "--workers", 0, "--size", 8)
    shown = vidgan(capsys, "inspect", tmp_path / "made", "--contact-sheet", tmp_path / "[b]:x:.png")
    assert shown.status == 0
    rows = [re.split(r" *│ *", line)[1] for line in shown.out.splitlines() if line.startswith("│")]
    assert sorted(rows) == sorted(map(printable, classes))
    assert f"contact sheet: {tmp_path}/[b]:x:.png\n" in shown.out


@pytest.mark.slow
def test_class_names_never_become_paths_or_markup(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = ("run/walk", "run_walk", "../../up", "[bold]b[/c]", "new\nline", "a" * 300, LATIN1)
    run = runs.untrained(tmp_path / "run", tiny(preset("dvd-gan-k600-12x64")), classes).path
    classes_of_run = run / "samples" / "classes"
    drawn = ("--clips", len(classes), "--format", "webp", "--device", "cpu")
    answer = vidgan(capsys, "sample", run, "--out", classes_of_run, *drawn)
    assert answer.status == 0, answer.err
    assert [path.name[6:-5] for path in sorted(classes_of_run.iterdir())] == file_names(classes)
    assert vidgan(capsys, "report", run).status == 0
    page = (run / "report.html").read_text("utf-8")
    assert "run/walk" in page
    assert "../../up" in page
    monkeypatch.chdir(tmp_path)
    between = ("--interpolate", "--clips", 1, "--points", 2, "--classes", "../../up", r"caf\xe9")
    answer = vidgan(capsys, "sample", "run", "--out", "between", "--device", "cpu", *between)
    assert answer.status == 0, answer.err
    assert sorted(path.name for path in Path("between").iterdir()) == [
        "00000-_.._up-caf_-strip.png",
        "00000-_.._up-caf_.mp4",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["between", "run"]


def test_classes_are_found_however_they_are_spelled(tmp_path: Path) -> None:
    names = ("cafe\u0301", LATIN1, "b")
    for number, spelled in enumerate(("caf\u00e9", r"caf\xe9", "b")):
        assert class_number(names, spelled) == number
    assert class_number(names, LATIN1) == 1


def test_files_of_the_longest_names_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clip = np.zeros((2, 16, 16, 3), np.uint8)
    for path in (Path("日" * 83 + ".npy"), Path("a:b.mp4"), Path("pipe:1.mp4")):
        write_clip(path, clip, 8)
        assert path.is_file()


def test_a_terminal_of_few_letters_is_no_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io
    import sys

    from vidgan.cli import main

    (tmp_path / "ünï").mkdir()
    said = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stderr", said)
    assert main(["inspect", str(tmp_path / "ünï")]) == 2
    said.seek(0)
    assert r"\xfcn\xef is empty" in said.read()
