"""The command `vidgan prepare`: what it makes, what it refuses, and going on after kill -9."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import miniatures
import vidgan
from videos import number_of, write_video
from vidgan.cli.prepare import run
from vidgan.data.layouts import Strips
from vidgan.data.prepare import _claim, write_shard
from vidgan.data.shards import shards_of, take_apart
from vidgan.data.store import PrepareSpec, open_prepared
from vidgan.errors import UserError


def files(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` with its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def strips(folder: Path, clips: int, frames: int = 4, side: int = 16) -> None:
    """A strips source of two classes."""
    rng = np.random.default_rng(0)
    for number in range(clips):
        path = folder / ("even", "odd")[number % 2] / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (side, side * frames, 3), dtype=np.uint8)).save(path)


def refused(*args: object) -> str:
    """The one line with which the command ends."""
    with pytest.raises(UserError) as caught:
        run([str(arg) for arg in args])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_folder_of_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "videos"
    names = ("run/a.mp4", "run/deep/b.AVI", "walk/c.webm", "walk/d.mkv", "walk/e.mov", "walk/f.gif")
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        write_video((source / name).with_suffix(Path(name).suffix.lower()))
    (source / "run/deep/b.avi").rename(source / "run/deep/b.AVI")
    (source / "walk/g.mp4").write_text("not a video")
    (source / "walk/notes.txt").touch()
    (source / "walk/.hidden.mp4").touch()
    shutil.copy(source / "run/a.mp4", source / "stray.mp4")
    assert run([str(source), str(tmp_path / "made"), "--size", "16", "--workers", "0"]) == 0
    output = capsys.readouterr()
    assert "6 clips, 54 frames, 2 classes" in output.out
    assert re.search(r"left out \(2\):\n  stray.mp4: lies in no class folder\n  walk/g.mp4: .+", output.out)
    assert re.search(r"7/7 clips, [\d.]+ clips/s, 0 s left", output.err)
    data = open_prepared(tmp_path / "made")
    assert data.classes == ("run", "walk")
    assert [(data.name(i), data.info(i).label) for i in range(6)] == [
        (name, int(name > "s")) for name in names
    ]
    assert all(data.info(i)[1:] == (9, 16, 24) for i in range(6))
    assert all(data.rate(i) == pytest.approx(25) for i in range(6))
    assert [number_of(frame) for frame in data.read(0, 1, 4, 2)] == [1, 3, 5, 7]


def test_videos_without_classes(tmp_path: Path) -> None:
    (tmp_path / "videos" / "empty").mkdir(parents=True)
    write_video(tmp_path / "videos" / "a.mp4", frames=2)
    run([str(tmp_path / "videos"), str(tmp_path / "made"), "--workers", "0", "--codec", "png"])
    data = open_prepared(tmp_path / "made")
    assert data.classes == ("all",)
    assert data.info(0) == (0, 2, 64, 96)


def test_strips_keep_their_pixels(tmp_path: Path) -> None:
    strips(tmp_path / "source", 5)
    (tmp_path / "source/odd/torn.png").write_bytes((tmp_path / "source/odd/001.png").read_bytes()[:300])
    Image.new("RGB", (50, 16)).save(tmp_path / "source/odd/uneven.png")
    run([str(tmp_path / "source"), str(tmp_path / "made"), "--layout", "strips", "--size", "16"])
    data = open_prepared(tmp_path / "made")
    assert [entry.name for entry in data.index.left_out] == ["odd/torn.png", "odd/uneven.png"]
    assert "whole number" in data.index.left_out[1].reason
    assert len(data) == 5
    for index in range(5):
        with Image.open(tmp_path / "source" / data.name(index)) as image:
            frames = np.stack(np.split(np.asarray(image), 4, axis=1))
        assert (data.read(index, 0, 4) == frames).all()


def test_bad_sources_and_destinations_are_refused(tmp_path: Path) -> None:
    good = tmp_path / "good"
    strips(good, 2)
    made, layout = tmp_path / "made", ("--layout", "strips", "--workers", 0)
    assert "no folder" in refused(tmp_path / "missing", made)
    (tmp_path / "empty").mkdir()
    assert "holds no videos (mp4" in refused(tmp_path / "empty", made)
    assert "holds no videos" in refused(good, made)  # strips, read as videos
    assert "lies in the source" in refused(good, good / "made", *layout)
    parts = tmp_path / "parts"
    shutil.copytree(good, parts / "train")
    shutil.copytree(good, parts / "Test")
    assert re.search(r"Test, train\) are named as parts .* with \S+parts/Test", refused(parts, made, *layout))
    assert not made.exists()
    (good / "odder").mkdir()
    assert re.search("without strip images .*: odder;", refused(good, made, *layout))
    (good / "odder" / "broken.png").touch()
    assert re.search(
        r"without a usable clip \(odder\); broken: odder/broken.png", refused(good, made, *layout)
    )
    shutil.rmtree(good / "odder")
    assert "unfinished" in refused(good, made, *layout, "--size", 32)
    run([str(arg) for arg in (good, made, *layout)])  # mended: continues
    assert len(open_prepared(made)) == 2
    assert run([str(arg) for arg in (good, made, *layout)]) == 0  # done: says so again
    moved = next(good.rglob("*.png"))
    moved.rename(moved.with_name("late.png"))
    changed = refused(good, made, *layout)
    assert re.search(r"other files .*\(new: 1 \(.*late\.png\); gone: 1 \(.*\)\)", changed)
    moved.with_name("late.png").rename(moved)
    assert "size: 64 -> 32" in refused(good, made, *layout, "--size", 32)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("dear")
    assert "not empty" in refused(good, other, *layout)
    assert "not empty" in refused(good, other / "thesis.tex", *layout)
    assert files(other) == {"thesis.tex": b"dear"}
    assert "size must be" in refused(good, tmp_path / "x", *layout, "--size", 0)
    assert "quality" in refused(good, tmp_path / "x", *layout, "--codec", "jpeg", "--quality", 101)


def test_nothing_usable_is_refused(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_text("not a video")
    line = refused(tmp_path / "videos", tmp_path / "made", "--workers", 1)
    assert re.search(r"nothing usable .*broken: a\.mp4: Invalid data", line)
    write_video(tmp_path / "videos" / "a.mp4", frames=2)
    assert run([str(tmp_path / "videos"), str(tmp_path / "made"), "--workers", "1"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["raw", "png", "jpeg"])
def test_bytes_do_not_depend_on_workers(tmp_path: Path, codec: str) -> None:
    strips(tmp_path / "source", 12)
    for workers in ("0", "2"):
        args = [str(tmp_path / "source"), str(tmp_path / workers), "--layout", "strips", "--size", "12"]
        run([*args, "--codec", codec, "--workers", workers])
    assert files(tmp_path / "0") == files(tmp_path / "2")
    assert not (tmp_path / "0" / "unfinished").exists()


SCRIPT = (
    "import sys; from vidgan.cli.prepare import run\nif __name__ == '__main__': sys.exit(run(sys.argv[1:]))"
)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_run_continues_to_the_same_bytes(tmp_path: Path, how: signal.Signals) -> None:
    strips(tmp_path / "source", 90, frames=24, side=64)
    (tmp_path / "source/odd/torn.png").write_bytes(b"\x89PNG")
    (tmp_path / "script.py").write_text(SCRIPT)
    options = ["--layout", "strips", "--size", "48", "--codec", "png", "--workers", "2"]
    run([str(tmp_path / "source"), str(tmp_path / "whole"), *options])
    made = tmp_path / "made"
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "source"), str(made), *options]
    interrupted = 0
    for wanted in (3, 30):  # records on disk when the blow falls
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        while process.poll() is None and len(list(made.glob("unfinished/0*.json"))) < wanted:
            time.sleep(0.002)
        process.send_signal(how)
        _, errors = process.communicate()
        if how is signal.SIGINT and process.returncode == 130:
            assert "the same command resumes" in errors
            assert "Traceback" not in errors
        interrupted += process.returncode != 0
        assert not (made / "index.json").exists() or process.returncode == 0
    assert interrupted >= 1
    assert subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
    assert files(made) == files(tmp_path / "whole")


def test_finished_shards_are_kept_and_changed_sources_read_again(tmp_path: Path) -> None:
    source, made = tmp_path / "source", tmp_path / "made"
    strips(source, 6)
    args = [str(source), str(made), "--layout", "strips", "--workers", "0", "--size", "16"]
    (source / "third").mkdir()
    (source / "third" / "broken.png").touch()
    refused(*args)  # leaves the shards of the six good clips
    before = {p.name: p.stat().st_mtime_ns for p in made.glob("shard-*")}
    shutil.rmtree(source / "third")
    image = source / "even" / "002.png"
    Image.fromarray(np.zeros((16, 32, 3), np.uint8)).save(image)
    run(args)
    after = {p.name: p.stat().st_mtime_ns for p in made.glob("shard-*")}
    data = open_prepared(made)
    changed = [data.name(i) for i in range(6)].index("even/002.png")
    assert data.info(changed).frames == 2
    assert not data.read(changed, 0, 2).any()
    rewritten = [name for name in after if before.get(name) != after[name]]
    assert rewritten == [f"shard-{changed:05d}.bin"]


def test_mended_files_are_read_again_after_the_end_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, made = tmp_path / "source", tmp_path / "made"
    strips(source, 6)
    (source / "odd" / "torn.png").write_bytes(b"\x89PNG")
    args = [str(source), str(made), "--layout", "strips", "--workers", "0", "--size", "16"]
    run(args)
    assert [entry.name for entry in open_prepared(made).index.left_out] == ["odd/torn.png"]
    before = {p.name: p.stat().st_mtime_ns for p in made.iterdir()}
    run(args)
    assert {p.name: p.stat().st_mtime_ns for p in made.iterdir()} == before  # nothing has changed
    good, other = source / "even" / "000.png", source / "even" / "002.png"
    shutil.copy(good, source / "odd" / "torn.png")  # mended
    state = other.stat()
    other.write_bytes(
        good.read_bytes()[: state.st_size].ljust(state.st_size, b"\0")
    )  # the same size and name
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert "leave --shard out" in refused(*args, "--shard", "1/2")
    capsys.readouterr()
    run(args)
    said = "2 (even/002.png, odd/torn.png) of the sources changed since"
    assert capsys.readouterr().err.startswith(said)
    data = open_prepared(made)
    assert not data.index.left_out
    assert len(data) == 7
    after = {p.name: p.stat().st_mtime_ns for p in made.glob("shard-*")}
    assert [name for name in sorted(after) if before.get(name) != after[name]] == [
        "shard-00001.bin",
        "shard-00006.bin",
    ]
    fresh = tmp_path / "fresh"
    run([str(source), str(fresh), *args[2:]])
    assert files(made) == files(fresh)
    kept = files(made)
    os.utime(good)  # its time alone: read again, to the same
    _claim(made, PrepareSpec(layout=Strips(), size=16))
    take_apart(made)  # and killed there
    assert not (made / "index.json").exists()
    run(args)
    assert {name for name, data in files(made).items() if kept[name] != data} == {"records.json"}
    (made / "records.json").unlink()  # prepared by an earlier version: names alone are compared
    other.touch()
    run(args)
    assert not (made / "records.json").exists()


def test_a_label_that_was_mended_holds(tmp_path: Path) -> None:
    source = miniatures.kinetics(tmp_path / "source")
    args = [str(source), str(tmp_path / "made"), "--layout", "kinetics", "--workers", "0", "--size", "16"]
    run(args)
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "made").glob("shard-*")}
    table = source / "annotations" / "train.csv"
    table.write_text(table.read_text().replace("abseiling,3caPS4FHFF8", "yodelling,3caPS4FHFF8"))
    run(args)
    data = open_prepared(tmp_path / "made")
    assert [data.classes[data.info(i).label] for i in range(3)] == ["abseiling", "yodelling", "zumba"]
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "made").glob("shard-*")} == before


def test_what_a_dead_worker_left_of_a_shard_is_removed(tmp_path: Path) -> None:
    strips(tmp_path / "source", 2)
    dest = tmp_path / "made"
    (dest / "unfinished").mkdir(parents=True)
    left, others = dest / ".shard-00001.bin.abc.part.bin", dest / ".shard-00000.bin.abc.part.bin"
    left.touch()
    others.touch()
    spec, begun = PrepareSpec(layout=Strips()), list[int]()
    shard = shards_of(spec.layout.find(tmp_path / "source"))[1]
    assert write_shard(spec, dest, shard, begun.append) == 1
    assert begun == [1]
    assert sorted(path.name for path in dest.iterdir()) == [others.name, "shard-00001.bin", "unfinished"]


def test_from_python_as_by_the_command(tmp_path: Path) -> None:
    strips(tmp_path / "source", 3)
    options = ["--layout", "strips", "--size", "12", "--codec", "png", "--workers", "0"]
    run([str(tmp_path / "source"), str(tmp_path / "command"), *options])
    made = vidgan.prepare(
        tmp_path / "source", tmp_path / "python", layout="strips", size=12, codec="png", workers=0
    )
    assert files(tmp_path / "command") == files(tmp_path / "python")
    assert made.info(0)[1:] == (4, 12, 12)
    found = vidgan.inspect(tmp_path / "python", frames=5)
    assert [tuple(each)[:2] for each in found.classes] == [("even", 2), ("odd", 1)]
    assert [problem.reason for problem in found.problems] == ["4 frames, needs 5"] * 3
    assert vidgan.inspect(tmp_path / "python").problems == []
    for wrong, said in (
        ({"layout": "strip"}, r"no layout 'strip' \(did you mean 'strips'\?\)"),
        ({"codec": "jpg"}, r"no codec 'jpg'.*raw, png, jpeg"),
        ({"split": "train"}, "folder has no splits"),
    ):
        with pytest.raises(UserError, match=said):
            vidgan.prepare(tmp_path / "source", tmp_path / "x", **wrong)  # type: ignore[arg-type]


def test_two_runs_at_once_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl
    import threading

    from vidgan.data import prepare

    strips(tmp_path / "source", 2)
    made = tmp_path / "made"
    args = [str(tmp_path / "source"), str(made), "--layout", "strips", "--workers", "0"]
    (tmp_path / "source" / "x").mkdir()
    (tmp_path / "source" / "x" / "broken.png").touch()
    refused(*args)
    with monkeypatch.context() as patch, (made / "unfinished/plan.json").open("rb") as file:
        patch.setattr(prepare, "ENDING", 0.1)
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "another `vidgan prepare` is at work" in refused(*args)
    file = (made / "unfinished/plan.json").open("rb")  # as a killed run that has not ended yet
    fcntl.flock(file, fcntl.LOCK_EX)
    threading.Timer(0.2, file.close).start()
    assert "another `vidgan prepare`" not in refused(*args)


def test_locks_of_shared_file_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS makes an exclusive flock one of fcntl's, which takes a file that is open for writing (flock(2))."""
    import errno
    import fcntl

    from vidgan.data import prepare

    real = fcntl.flock

    def of_nfs(file: int, how: int) -> None:
        if how & fcntl.LOCK_EX and fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        real(file, how)

    def none(file: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    strips(tmp_path / "source", 2)
    (tmp_path / "source" / "x").mkdir()
    (tmp_path / "source" / "x" / "broken.png").touch()
    made = tmp_path / "made"
    args = [str(tmp_path / "source"), str(made), "--layout", "strips", "--workers", "0"]
    for flock in (of_nfs, none):
        monkeypatch.setattr(fcntl, "flock", flock)
        assert "classes without a usable clip" in refused(*args)
    monkeypatch.setattr(fcntl, "flock", of_nfs)
    monkeypatch.setattr(prepare, "ENDING", 0.1)
    with (made / "unfinished/plan.json").open("r+b") as file:
        real(file.fileno(), fcntl.LOCK_EX)
        assert "another `vidgan prepare` is at work" in refused(*args)


def test_full_disk_is_one_line_and_keeps_what_was_done(tmp_path: Path) -> None:
    import resource  # a limit on the size of files fails writes as a full disk does

    strips(tmp_path / "source", 2)
    strips(tmp_path / "big", 1, frames=24, side=64)
    (tmp_path / "big/even/000.png").rename(tmp_path / "source/odd/big.png")
    made = tmp_path / "made"
    args = [str(tmp_path / "source"), str(made), "--layout", "strips", "--size", "64", "--workers", "0"]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, limits[1]))
    try:
        line = refused(*args)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "cannot write to" in line
    assert "File too large" in line
    assert sorted(p.name for p in made.iterdir()) == ["shard-00000.bin", "shard-00001.bin", "unfinished"]
    assert run(args) == 0
    assert len(open_prepared(made)) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_destination_without_permission_is_one_line(tmp_path: Path) -> None:
    strips(tmp_path / "source", 2)
    (tmp_path / "locked").mkdir(mode=0o500)
    line = refused(tmp_path / "source", tmp_path / "locked/made", "--layout", "strips")
    assert "Permission denied" in line


@pytest.mark.skipif("WEIZMANN" not in os.environ, reason="WEIZMANN names no folder of strips")
def test_real_strips(tmp_path: Path) -> None:
    run([os.environ["WEIZMANN"], str(tmp_path / "made"), "--layout", "strips", "--size", "32"])
    data = open_prepared(tmp_path / "made")
    assert len(data.classes) == 4
    assert not data.index.left_out
    assert all(data.info(i).frames > 40 for i in range(len(data)))
