"""Prepared data in an object store: the clips of the folder, whose shards are fetched once, whole or not at all."""

import errno
import pickle
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import fsspec
import numpy as np
import pytest
from PIL import Image

import vidgan
from commands import require_one_line
from commands import vidgan as command
from kills import require_same
from object_stores import in_memory
from test_store import LENGTHS, make
from vidgan.data import fetched, remote
from vidgan.data.codecs import Png, Raw
from vidgan.data.fetched import open_fetched
from vidgan.data.loader import Loader
from vidgan.data.store import CLIPS, INDEX, SOURCES, PreparedDataset, shard_name
from vidgan.data.window import WindowSpec, random_clip
from vidgan.errors import UserError
from vidgan.run.directory import RunDirectory

BUCKET = "memory://prepared/mine"
SHARDS = {shard_name(number) for number in range(3)}
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that shards are kept in."""
    monkeypatch.setenv(fetched.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def bucket() -> Iterator[fsspec.AbstractFileSystem]:
    """A store in this process's memory."""
    with in_memory("/prepared") as system:
        yield system


@pytest.fixture
def disk(tmp_path: Path, bucket: fsspec.AbstractFileSystem) -> PreparedDataset:
    """Three clips, each a shard: on disk, and in the store."""
    data = make(tmp_path, Png())
    bucket.put(str(data.folder), BUCKET, recursive=True)
    return data


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files of shards that are opened in stores, in turn."""
    names: list[str] = []
    own = remote.Store.open

    def noted(self: remote.Store, path: Path, block: int | None = None) -> IO[bytes]:
        names.append(path.name)
        return own(self, path, block)

    monkeypatch.setattr(remote.Store, "open", noted)
    return names


def whole(data: vidgan.data.Dataset, index: int) -> bytes:
    return data.read(index, 0, data.info(index).frames).tobytes()


def kept(cache: Path) -> set[str]:
    """Names of the files in the cache that are no part of an index."""
    return {path.name for path in cache.rglob("*") if path.is_file() and path.suffix not in (".json", ".npy")}


def test_the_same_data_and_no_shard_that_is_not_wanted(
    disk: PreparedDataset, cache: Path, opened: list[str], capsys: Capture
) -> None:
    data = vidgan.open_dataset(f"{BUCKET}/")
    assert isinstance(data, PreparedDataset)
    said = capsys.readouterr().err
    assert f"{BUCKET}/: shards are kept in {cache / disk.fingerprint} as they are read" in said
    assert (data.fingerprint, data.source, data.classes) == (disk.fingerprint, BUCKET, disk.classes)
    assert data.sizes().tolist() == disk.sizes().tolist()
    assert kept(cache) == set()
    assert whole(data, 1) == whole(disk, 1)
    assert data.read(1, 1, 2, 2).tobytes() == disk.read(1, 1, 2, 2).tobytes()
    assert kept(cache) == {shard_name(1)}
    copy = pickle.loads(pickle.dumps(data))
    assert len(pickle.dumps(data)) < 1000
    assert [whole(copy, index) for index in range(3)] == [whole(disk, index) for index in range(3)]
    assert data.clip_bytes(2) == disk.clip_bytes(2)
    assert sorted(opened) == sorted(SHARDS)
    assert {path.name: path.read_bytes() for path in data.folder.iterdir()} == {
        path.name: path.read_bytes() for path in disk.folder.iterdir() if path.name != "records.json"
    }


def test_what_is_kept_serves_any_place_that_holds_these_data(
    disk: PreparedDataset, bucket: fsspec.AbstractFileSystem, opened: list[str], capsys: Capture
) -> None:
    first = vidgan.open_dataset(BUCKET)
    for index in range(3):
        first.read(index, 0, 1)
    capsys.readouterr()
    bucket.put(str(disk.folder / INDEX), "memory://prepared/other/" + INDEX)  # shards there would be lacking
    second = vidgan.open_dataset("memory://prepared/other")
    assert capsys.readouterr().err == ""
    assert [whole(second, index) for index in range(3)] == [whole(disk, index) for index in range(3)]
    assert len(opened) == 3


@pytest.mark.slow
def test_workers_read_the_batches_of_the_folder(disk: PreparedDataset, cache: Path) -> None:
    data = vidgan.open_dataset(f"file://{disk.folder}")
    window = WindowSpec(size=8, frames=3)
    batches = []
    for each, workers in ((data, 2), (disk, 0)):
        with Loader(each, window, 5, workers) as loader:
            found = list(loader.batches(iter([range(n, n + 4) for n in range(0, 24, 4)])))
        batches.append([(batch.video.tolist(), batch.label.tolist()) for batch in found])
    assert batches[0] == batches[1]
    assert kept(cache) == SHARDS


def test_readers_of_one_shard_wait_for_the_one_that_fetches_it(
    disk: PreparedDataset, cache: Path, opened: list[str]
) -> None:
    """As processes do: a lock is of an open file."""
    copies = [pickle.loads(pickle.dumps(vidgan.open_dataset(BUCKET))) for _ in range(8)]
    together, found = threading.Barrier(8), list[bytes]()

    def read(data: PreparedDataset) -> None:
        together.wait()
        found.append(whole(data, 0))

    threads = [threading.Thread(target=read, args=(data,)) for data in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [whole(disk, 0)] * 8
    assert opened == [shard_name(0)]
    assert kept(cache) == {shard_name(0)}


def test_processes_that_open_an_empty_cache_together_fetch_one_index(
    disk: PreparedDataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, read = remote.Store.read_bytes, list[str]()

    def noted(self: remote.Store, name: str, limit: int) -> bytes | None:
        read.append(name)
        return own(self, name, limit)

    monkeypatch.setattr(remote.Store, "read_bytes", noted)
    together, found = threading.Barrier(8), list[str]()

    def open_it() -> None:
        together.wait()
        found.append(vidgan.open_dataset(BUCKET).fingerprint)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [disk.fingerprint] * 8
    assert sorted(read) == sorted([CLIPS, SOURCES, *[INDEX] * 8])
    assert kept(cache) == set()


@pytest.mark.parametrize("own", [True, False])
def test_what_a_killed_process_had_is_gone_on_from(
    disk: PreparedDataset, cache: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    """Unless it is of other bytes, as after a loss of power: then all is fetched."""
    data = vidgan.open_dataset(BUCKET)
    assert isinstance(data, PreparedDataset)
    name = shard_name(2)
    content = (disk.folder / name).read_bytes()
    had = content[:700] if own else bytes(700)
    (data.folder / f".{name}.part").write_bytes(had)
    starts = []
    copy = fetched.FetchedShards._copy

    def noted(self: fetched.FetchedShards, part: IO[bytes], name: str, had: int, size: int) -> None:
        starts.append(had)
        copy(self, part, name, had, size)  # type: ignore[arg-type]

    monkeypatch.setattr(fetched.FetchedShards, "_copy", noted)
    assert whole(data, 2) == whole(disk, 2)
    assert starts == ([700] if own else [700, 0])
    assert (data.folder / name).read_bytes() == content
    assert kept(cache) == {name}


def test_a_network_that_fails_leaves_what_came(
    disk: PreparedDataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = vidgan.open_dataset(BUCKET)
    monkeypatch.setattr(fetched, "BLOCK", 200)
    own = fsspec.implementations.memory.MemoryFile.read

    def fails(self: IO[bytes], count: int) -> bytes:
        if self.tell() >= 600:
            raise ConnectionResetError("Connection reset by peer")
        found: bytes = own(self, count)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(fsspec.implementations.memory.MemoryFile, "read", fails)
        with pytest.raises(UserError) as told:
            data.read(0, 0, 1)
    assert f"{shard_name(0)} of {BUCKET} could not be read to its end: Connection reset by peer" in str(
        told.value
    )
    assert [path.stat().st_size for path in cache.rglob("*.part")] == [600]
    assert whole(data, 0) == whole(disk, 0)
    assert kept(cache) == {shard_name(0)}


def test_what_is_wrong_with_a_store_is_one_line(
    disk: PreparedDataset, bucket: fsspec.AbstractFileSystem, cache: Path, capsys: Capture
) -> None:
    shard, place = (disk.folder / shard_name(1)).read_bytes(), f"{BUCKET}/{shard_name(1)}"
    bucket.rm(place)
    require_one_line(command(capsys, "inspect", BUCKET), shard_name(1), BUCKET, "missing")
    bucket.pipe(place, shard[:-1])
    require_one_line(command(capsys, "inspect", BUCKET), place.rpartition("/")[2], str(len(shard)))
    bucket.pipe(place, shard[:50] + bytes([shard[50] ^ 1]) + shard[51:])
    answer = command(capsys, "inspect", BUCKET)
    assert answer.status == 2
    assert f"error: {shard_name(1)} of {BUCKET} is not as its index says" in answer.err.splitlines()[-1]
    assert kept(cache) == {shard_name(0)}
    bucket.pipe(place, shard)
    assert "no problems (checksums fit)" in command(capsys, "inspect", BUCKET).out
    bucket.rm(place)
    assert command(capsys, "inspect", BUCKET).status == 0  # all is on the disk
    require_one_line(command(capsys, "inspect", "memory://nothing"), "there is no prepared dataset")
    require_one_line(command(capsys, "inspect", "nosuch://bucket"), "nosuch")


def test_a_damaged_index_is_one_line_and_not_kept(
    disk: PreparedDataset, bucket: fsspec.AbstractFileSystem, cache: Path
) -> None:
    index = (disk.folder / INDEX).read_text()
    for text, words in (
        ("{", "the index of memory://prepared/mine is damaged"),
        ("[]", "memory://prepared/mine is not a prepared dataset"),
        (index.replace(disk.fingerprint, "../../escaped"), "its fingerprint is none"),
        (index.replace(disk.fingerprint, "0" * 32), "the fingerprint does not fit"),
    ):
        bucket.pipe(f"{BUCKET}/{INDEX}", text.encode())
        with pytest.raises(UserError, match=words):
            vidgan.open_dataset(BUCKET)
    bucket.pipe(f"{BUCKET}/{INDEX}", index.encode())
    bucket.rm(f"{BUCKET}/clips.npy")
    with pytest.raises(UserError, match=r"clips\.npy missing"):
        vidgan.open_dataset(BUCKET)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_damaged_cache_is_fetched_anew_or_named(disk: PreparedDataset, cache: Path) -> None:
    data = vidgan.open_dataset(BUCKET)
    assert isinstance(data, PreparedDataset)
    for index in range(3):
        data.read(index, 0, 1)
    (data.folder / INDEX).write_text("{")
    cut, flipped = (data.folder / shard_name(number) for number in (0, 1))
    cut.write_bytes(cut.read_bytes()[:-1])
    content = bytearray(flipped.read_bytes())
    content[20] ^= 1
    flipped.write_bytes(content)
    again = vidgan.open_dataset(BUCKET)
    assert whole(again, 0) == whole(disk, 0)
    with pytest.raises(UserError, match=f"{flipped}: .*; remove that file, to fetch it anew"):
        again.read(1, 0, 1)
    flipped.unlink()
    assert whole(again, 1) == whole(disk, 1)


def test_a_full_disk_is_one_line_and_left_no_fuller(
    disk: PreparedDataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = vidgan.open_dataset(BUCKET)
    copy = fetched.FetchedShards._copy

    def full(self: fetched.FetchedShards, part: IO[bytes], name: str, had: int, size: int) -> None:
        copy(self, part, name, had, size // 2)  # type: ignore[arg-type]
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fetched.FetchedShards, "_copy", full)
        with pytest.raises(UserError) as told:
            data.read(0, 0, 1)
    assert "cannot be written: No space left on device; free some room" in str(told.value)
    assert fetched.VARIABLE in str(told.value)
    assert kept(cache) == set()
    assert whole(data, 0) == whole(disk, 0)
    with pytest.raises(UserError, match="cannot be written"):
        open_fetched(BUCKET, Path("/dev/null/cache"))


def test_the_folder_of_the_cache(
    disk: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.delenv(fetched.VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert fetched.data_cache() == tmp_path / "home" / "vidgan" / "data"
    data = vidgan.open_dataset(BUCKET, cache=tmp_path / "named")
    assert isinstance(data, PreparedDataset)
    assert data.folder == tmp_path / "named" / disk.fingerprint
    assert not (tmp_path / "home").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(9, 8, 1))  # type: ignore[attr-defined]
    capsys.readouterr()
    vidgan.open_dataset(BUCKET)
    assert "only 0.0 MB are free on that disk" in capsys.readouterr().err
    monkeypatch.setenv("LOCAL_RANK", "1")
    vidgan.open_dataset(BUCKET)
    assert capsys.readouterr().err == ""


def test_random_order_comes_to_most_shards_soon() -> None:
    """What docs/clusters.md counts: a node that draws a share f of an epoch needs 1 - (1 - f)^c of the shards."""
    clips, each = 32 * 2000, 32
    for nodes, batch in ((16, 512), (64, 512)):
        own = [
            n for n in range(clips) if n % batch < batch // nodes
        ]  # the clips of the first node's processes
        needed = len({random_clip(clips, 3, n) // each for n in own}) / (clips // each)
        assert needed == pytest.approx(1 - (1 - 1 / nodes) ** each, abs=0.03)


@pytest.mark.slow
def test_a_run_goes_on_with_the_same_data_elsewhere(tmp_path: Path, cache: Path, capsys: Capture) -> None:
    """The fingerprint is the same: from a store, from disk, bit for bit; and afterwards, by the run's own record."""
    for number in range(6):
        path = tmp_path / "source" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (24, 8 * 24, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    folder = tmp_path / "data"
    vidgan.prepare(tmp_path / "source", folder, layout="strips", size=24, workers=0)
    url = f"file://{folder}"
    common = ("train", "demo", "--tiny", "--workers", 0, "--reporting.samples", 100, "--reporting.tick", 1)
    for name, turns in (("moved", ((2, url), (3, folder), (4, url))), ("stayed", ((4, folder),))):
        for steps, data in turns:
            told = ("--data", data, "--out", tmp_path / name, "--steps", steps, "--resume", "auto")
            assert command(capsys, *common, *told).status == 0
    require_same(tmp_path / "stayed", tmp_path / "moved", 4)
    assert RunDirectory.open(tmp_path / "moved").data.source == url
    shutil.rmtree(cache)
    measure = ("evaluate", tmp_path / "moved", "--protocol", "frechet-random", "--clips", 8, "--frames", 4)
    assert command(capsys, *measure, "--real-clips", 6).status == 0
    assert shard_name(0) in kept(cache)


def test_windows_are_those_of_the_clips(tmp_path: Path, bucket: fsspec.AbstractFileSystem) -> None:
    """By codec raw too, and against the pictures that they were prepared from."""
    data = make(tmp_path, Raw())
    bucket.put(str(data.folder), BUCKET, recursive=True)
    stored = vidgan.open_dataset(BUCKET)
    for index, length in enumerate(LENGTHS.values()):
        rng = np.random.default_rng(length)
        noise = rng.integers(0, 256, (length, 10, 10, 3), dtype=np.uint8)
        assert (stored.read(index, 1, 2, 2) == noise[1:4:2]).all()
