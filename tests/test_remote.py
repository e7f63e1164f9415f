"""Sources in object stores and in tar files: prepared, they are the same bytes as from a folder on disk."""

import io
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
import pytest
from fsspec.spec import AbstractBufferedFile

import vidgan
from object_stores import in_memory
from test_prepare import files, refused, strips
from videos import write_video
from vidgan.cli.prepare import run
from vidgan.data import remote
from vidgan.data.resize import Resizer
from vidgan.data.shards import RECORDS
from vidgan.data.store import open_prepared
from vidgan.data.tars import TarShards
from vidgan.errors import UserError

BUCKET = "memory://clips/mine"


@pytest.fixture
def bucket() -> Iterator[fsspec.AbstractFileSystem]:
    """An empty store in this process's memory."""
    with in_memory("/clips") as system:
        yield system


def put(system: fsspec.AbstractFileSystem, folder: Path) -> None:
    system.put(str(folder), BUCKET, recursive=True)


def frames_of(folder: Path) -> dict[str, bytes]:
    """All that was prepared, but when its sources were changed."""
    return {name: data for name, data in files(folder).items() if name != RECORDS}


def prepare(source: object, dest: Path, *options: str) -> int:
    return run([str(source), str(dest), "--workers", "0", "--size", "16", *options])


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_a_store_is_prepared_to_the_bytes_of_a_folder(
    tmp_path: Path, bucket: fsspec.AbstractFileSystem, scheme: str
) -> None:
    source = tmp_path / "source"
    strips(source, 6)
    put(bucket, source)
    url = BUCKET if scheme == "memory" else f"file://{source}"
    assert prepare(source, tmp_path / "disk", "--layout", "strips") == 0
    for part in ("2/2", "1/2"):  # as two machines, each of which fetches its own part
        assert prepare(url, tmp_path / "store", "--layout", "strips", "--shard", part) == 0
    assert prepare(url, tmp_path / "store", "--layout", "strips") == 0
    assert frames_of(tmp_path / "store") == frames_of(tmp_path / "disk")
    assert not list(tmp_path.glob("**/vidgan-*"))


def test_what_is_put_anew_is_read_anew_and_nothing_else(
    tmp_path: Path, bucket: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the network fails, which is no fault of a clip."""
    source = tmp_path / "source"
    strips(source, 4)
    put(bucket, source)
    fetched: list[str] = []
    copy = remote.Copied._copy

    def fails_once(self: remote.Copied, to: Path) -> None:
        fetched.append(self.name)
        if len(fetched) == 3:
            raise UserError("the network is down; the same command resumes")
        copy(self, to)

    monkeypatch.setattr(remote.Copied, "_copy", fails_once)
    assert "the network is down" in refused(BUCKET, tmp_path / "made", "--workers", "0", "--layout", "strips")
    assert prepare(BUCKET, tmp_path / "other", "--layout", "strips") == 0
    fetched[:] = ["", "", ""]
    vidgan.prepare(BUCKET, tmp_path / "made", layout="strips", workers=0)
    assert len(fetched) - 3 == 2  # each clip is a shard here, and two were done
    other = tmp_path / "again"
    strips(other, 4, frames=5)
    bucket.put(str(other / "odd/001.png"), f"{BUCKET}/odd/001.png")
    fetched[:] = ["", "", ""]
    data = vidgan.prepare(BUCKET, tmp_path / "made", layout="strips", workers=0)
    assert fetched[3:] == ["odd/001.png"]
    assert sorted(data.info(i).frames for i in range(4)) == [4, 4, 4, 5]


def tar_of(source: Path, to: Path, names: list[str], classes: dict[str, str]) -> None:
    """A tar file of videos, with a class beside each that has one, and what WebDataset's often hold besides."""
    to.parent.mkdir(exist_ok=True)
    with tarfile.open(to, "w") as tar:
        for name in names:
            tar.add(source / name, name)
            stem = name.removesuffix(".mp4")
            beside = {"json": b"{}"} | ({"cls": classes[name].encode()} if name in classes else {})
            for suffix, data in beside.items():
                entry = tarfile.TarInfo(f"{stem}.{suffix}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))


@pytest.mark.parametrize("remote_too", [False, True])
def test_videos_in_tar_files(tmp_path: Path, bucket: fsspec.AbstractFileSystem, remote_too: bool) -> None:
    source, shards = tmp_path / "source", tmp_path / "shards"
    names = [f"{number:02d}.mp4" for number in range(5)]
    source.mkdir()
    for number, name in enumerate(names):
        write_video(source / name, frames=4 + number)
    labels = {"00.mp4": "10", "01.mp4": "2", "02.mp4": "10", "03.mp4": "2"}
    tar_of(source, shards / "a-0.tar", names[:3], labels)
    tar_of(source, shards / "a-1.tar", names[3:], labels)
    shutil.copy(source / "00.mp4", shards / "loose.mp4")
    if remote_too:
        put(bucket, shards)
    place = BUCKET if remote_too else shards
    data = vidgan.prepare(place, tmp_path / "made", layout="tar", size=16, workers=0)
    index = open_prepared(tmp_path / "made").index
    assert index.classes == ("2", "10")  # numbers in their order
    assert index.sources == ("a-0.tar/01.mp4", "a-1.tar/03.mp4", "a-0.tar/00.mp4", "a-0.tar/02.mp4")
    assert index.left_out == (("a-1.tar/04.mp4", "has no .cls file"),)
    assert [remark.names for remark in index.remarks] == [("loose.mp4",)]
    for name in names[:4]:
        (source / labels[name]).mkdir(exist_ok=True)
        (source / name).rename(source / labels[name] / name)
    (source / "04.mp4").unlink()
    plain = vidgan.prepare(source, tmp_path / "plain", size=16, workers=0)
    by_name = {Path(plain.name(i)).name: i for i in range(4)}
    for place_in, name in enumerate(index.sources):
        own = by_name[Path(name).name]
        count = data.info(place_in).frames
        assert data.info(place_in)[1:] == plain.info(own)[1:]
        assert np.array_equal(data.read(place_in, 0, count, 1), plain.read(own, 0, count, 1))


class Ranges(AbstractBufferedFile):  # type: ignore[misc]
    """A file of a store that gives ranges, as S3 does."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        data: bytes = Path(self.path).read_bytes()[start:end]
        self.fs.fetched.append(len(data))
        return data


class OfRanges(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """The local disk as such a store, with the block that s3fs reads ahead by."""

    protocol = "ranges"
    fetched: ClassVar[list[int]] = []

    def ls(self, path: str, detail: bool = True, **more: object) -> list[Any]:
        found = sorted(Path(path).iterdir())
        return [{"name": str(each), "size": each.stat().st_size, "type": "file"} for each in found]

    def info(self, path: str, **more: object) -> dict[str, Any]:
        here = Path(path)
        return {"name": path, "size": here.stat().st_size, "type": "directory" if here.is_dir() else "file"}

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **more: object) -> Ranges:
        return Ranges(self, path, mode, block_size=block_size or 50 * 2**20)


def test_of_a_tar_file_no_more_is_fetched_than_a_clip(tmp_path: Path) -> None:
    fsspec.register_implementation("ranges", OfRanges, clobber=True)
    write_video(tmp_path / "clip.mp4")
    (tmp_path / "shards").mkdir()
    with tarfile.open(tmp_path / "shards" / "one.tar", "w") as tar:
        for number in range(4):
            tar.add(tmp_path / "clip.mp4", f"{number}.mp4")
            beside = tarfile.TarInfo(f"{number}.json")
            beside.size = 2**20
            tar.addfile(beside, io.BytesIO(bytes(beside.size)))
    store = remote.Store(f"ranges://{tmp_path / 'shards'}")
    clips = TarShards().find_in(store).sources
    OfRanges.fetched.clear()
    for clip in clips:
        assert len(list(clip.open(Resizer(16, "bilinear")).frames)) > 1
    size = (tmp_path / "clip.mp4").stat().st_size
    assert 4 * size <= sum(OfRanges.fetched) <= 8 * size


def test_folders_in_a_tar_file_are_classes_and_what_is_no_tar_file_is_told(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4")
    (tmp_path / "tars").mkdir()
    with tarfile.open(tmp_path / "tars" / "one.tar", "w") as tar:
        for name in ("walk/a.mp4", "run/b.mp4", "./run/deep/c.mp4"):
            tar.add(tmp_path / "a.mp4", name)
    data = vidgan.prepare(tmp_path / "tars", tmp_path / "made", layout="tar", size=16, workers=0)
    assert data.classes == ("run", "walk")
    assert data.labels().tolist() == [0, 0, 1]
    (tmp_path / "tars" / "two.tar").write_bytes(b"no tar file at all" * 100)
    said = refused(tmp_path / "tars", tmp_path / "other", "--layout", "tar")
    assert "two.tar is no whole tar file" in said


def test_bad_stores_are_one_line(tmp_path: Path, bucket: fsspec.AbstractFileSystem) -> None:
    source = tmp_path / "source"
    strips(source, 2)
    put(bucket, source)
    dest = tmp_path / "made"
    assert "memory://nothing holds no videos" in refused("memory://nothing", dest)
    assert "holds no videos" in refused(BUCKET, dest)
    assert ".png files" in refused(BUCKET, dest)
    assert "read from a folder on disk alone" in refused(BUCKET, dest, "--layout", "ucf101")
    assert "nosuch" in refused("nosuch://bucket", dest)
    assert not dest.exists()
