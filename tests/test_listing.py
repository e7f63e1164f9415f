"""What is not read is said: other suffixes, dead links, hidden and unreadable folders, rows without a label."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import miniatures
import vidgan as package
from commands import require_one_line, vidgan
from videos import write_video
from vidgan.data.listing import Remarks, list_files
from vidgan.data.raw_videos import open_videos
from vidgan.data.store import open_prepared

Capture = pytest.CaptureFixture[str]


def told(remarks: Any) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {remark.what: (remark.number, remark.names) for remark in remarks}


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with one of everything, two videos of which are read."""
    root = tmp_path / "tree"
    touch(
        root,
        "a/1.mp4",
        "a/deep/2.MP4",
        "a/notes.txt",
        "b.TXT",
        "b/README",
        "a/.hid.mp4",
        ".git/x.mp4",
        "a/.DS_Store",
    )
    touch(root, *(f"b/{n}.xyz" for n in range(5)))
    (root / "a" / "dead.mp4").symlink_to("nowhere.mp4")
    (root / "a" / "round.mp4").symlink_to("round.mp4")
    (root / "a" / "up").symlink_to(root)
    os.mkfifo(root / "a" / "pipe.mp4")
    (root / "a" / "zero.mp4").symlink_to("/dev/zero")
    (tmp_path / "elsewhere").mkdir()
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    touch(tmp_path / "elsewhere", "3.mp4")
    return root


def test_one_walk_finds_files_and_names_all_else(tree: Path) -> None:
    listing = list_files(tree, (".mp4",))
    assert [str(file.relative_to(tree)) for file in listing.files] == [
        "a/1.mp4",
        "a/deep/2.MP4",
        "linked/3.mp4",
    ]
    assert listing.folders == ["a", "b", "linked"]
    assert {name: len(files) for name, files in listing.by_folder().items()} == {
        "": 0,
        "a": 2,
        "b": 0,
        "linked": 1,
    }
    assert told(listing.remarks) == {
        ".txt files, which are not read": (2, ("b.TXT", "a/notes.txt")),
        "nameless files, which are not read": (1, ("b/README",)),
        ".xyz files, which are not read": (5, ("b/0.xyz", "b/1.xyz", "b/2.xyz")),
        "hidden files": (1, ("a/.hid.mp4",)),
        "hidden folders": (1, (".git",)),
        "dead links": (2, ("a/dead.mp4", "a/round.mp4")),
        "links to a folder that they lie in": (1, ("a/up",)),
        "pipes and devices": (2, ("a/pipe.mp4", "a/zero.mp4")),
    }
    few = list_files(tree, (".mp4",), beside=(".txt", ".xyz", ""), deep=False)
    assert few.files == []
    assert told(few.remarks)["folders that are not looked into"] == (3, ("a", "b", "linked"))
    assert str(next(each for each in listing.remarks if each.number == 5)) == (
        ".xyz files, which are not read: 5 (b/0.xyz, b/1.xyz, b/2.xyz and 2 more)"
    )


def test_folders_that_cannot_be_read_are_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def scandir(path: str) -> Any:
        if os.path.basename(path) == "deep":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    listing = list_files(tree, (".mp4",))
    assert len(listing.files) == 2
    assert told(listing.remarks)["folders that cannot be read (Permission denied)"] == (1, ("a/deep",))


def test_remarks_keep_the_first_names_of_many() -> None:
    remarks = Remarks()
    for number in range(100_000):
        remarks.add("odd" if number % 2 else "even", str(number))
    assert told(Remarks(remarks.all()).all()) == {
        "even": (50_000, ("0", "2", "4")),
        "odd": (50_000, ("1", "3", "5")),
    }


def test_prepare_inspect_and_evaluate_tell_what_is_not_read(tmp_path: Path, capsys: Capture) -> None:
    source, made = tmp_path / "source", tmp_path / "made"
    touch(source, "b/x.xyz", "b/notes.txt")
    write_video(source / "b" / "ok.mp4", frames=2)
    (source / "b" / "dead.mp4").symlink_to("nowhere")
    (source / "b" / "left").mkdir()
    write_video(source / "b" / "left" / "1.mp4", frames=2)
    lines = {
        "folders in class folders, which are no classes themselves: 1 (b/left)",
        "dead links: 1 (b/dead.mp4)",
        ".txt files, which are not read: 1 (b/notes.txt)",
        ".xyz files, which are not read: 1 (b/x.xyz)",
    }
    for _ in range(2):  # when it is finished, too
        answer = vidgan(capsys, "prepare", source, made, "--workers", 0, "--size", 16)
        assert set(answer.out.splitlines()[1:]) == lines, answer
    shown = vidgan(capsys, "inspect", made)
    assert {f"remark: {line}" for line in lines} <= set(shown.out.splitlines())
    assert {str(remark) for remark in package.inspect(made).remarks} == lines
    data = open_prepared(made)
    touch(source, "another.log")  # what is not read is no part of the data
    assert vidgan(capsys, "prepare", source, made, "--workers", 0, "--size", 16).status == 0
    shutil.rmtree(tmp_path / "made")
    vidgan(capsys, "prepare", source, made, "--workers", 0, "--size", 16)
    assert open_prepared(made).fingerprint == data.fingerprint
    assert {str(remark) for remark in open_videos(source, 16).remarks} >= lines
    measured = (
        "--protocol",
        "pixel-statistics",
        "--frames",
        2,
        "--fit",
        "crop",
        "--cache",
        tmp_path / "cache",
    )
    answer = vidgan(capsys, "evaluate", source, "--real", source, *measured)
    assert answer.status == 0, answer.err
    for line in lines:
        assert answer.err.count(f"{source}: {line}\n") == 2
    touch(source, "c/only.xyz")
    answer = vidgan(capsys, "prepare", source, tmp_path / "x", "--workers", 0)
    require_one_line(
        answer, "without videos", ": c;", ".xyz files, which are not read: 2 (b/x.xyz, c/only.xyz)"
    )


def test_published_layouts_tell_what_they_pass_over(tmp_path: Path, capsys: Capture) -> None:
    source = miniatures.kinetics(tmp_path / "kinetics")
    table = source / "annotations" / "train.csv"
    lines = table.read_text().splitlines()
    odd = [",3caPS4FHFF8,1,2,train", "caf\udce9,,1,2,train", lines[1]]
    table.write_text("\n".join([*lines, *odd]), errors="surrogateescape")
    some = next(source.rglob("*_000059_000069.mp4"))
    shutil.copy(some, source / "elsewhere0.mp4")
    shutil.copy(some, source / some.name)
    touch(source, "a/notes.doc")
    made = tmp_path / "made"
    answer = vidgan(capsys, "prepare", source, made, "--layout", "kinetics", "--workers", 0, "--size", 16)
    assert answer.status == 0, answer.err
    assert told(open_prepared(made).index.remarks) == {
        ".doc files, which are not read": (1, ("a/notes.doc",)),
        "rows of train without a label": (1, ("3caPS4FHFF8_000001_000002",)),
        "rows of train without a youtube_id": (1, ("_000001_000002",)),
        "rows of train that stand there twice": (1, (lines[1].split(",")[1] + "_000059_000069",)),
        "videos of the same name as another": (1, (f"train/abseiling/{some.name}",)),
        "videos that no row of train names": (1, ("elsewhere0.mp4",)),
    }
    for wrong, said in (
        ("a,b,nan,2,train", "no numbers"),
        ("a,b,1,2,train\x00" + "x" * 140_000, "field larger"),
    ):
        table.write_text(f"{lines[0]}\n{wrong}\n")
        answer = vidgan(capsys, "prepare", source, tmp_path / "x", "--layout", "kinetics", "--workers", 0)
        require_one_line(answer, said, "mend the file")
    bdd = miniatures.bdd100k(tmp_path / "bdd")
    folder = next(bdd.rglob("*.mov")).parent
    touch(folder, "info.json", "x.xyz", "more/y.mov")
    vidgan(capsys, "prepare", bdd, tmp_path / "b", "--layout", "bdd100k", "--workers", 0, "--size", 16)
    assert told(open_prepared(tmp_path / "b").index.remarks) == {
        ".xyz files, which are not read": (1, ("x.xyz",)),
        "folders that are not looked into": (1, ("more",)),
    }
    ucf = miniatures.ucf101(tmp_path / "ucf")
    touch(ucf, "UCF-101/loose.avi", "UCF-101/Yodel/yodel.avi")
    vidgan(capsys, "prepare", ucf, tmp_path / "u", "--layout", "ucf101", "--workers", 0, "--size", 16)
    assert told(open_prepared(tmp_path / "u").index.remarks) == {
        "videos not named as UCF-101 names them": (2, ("Yodel/yodel.avi", "loose.avi")),
    }
