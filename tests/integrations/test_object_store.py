"""Videos and prepared data in a server of S3's protocol (moto), a program of its own, on this machine.

`MOTO_SERVER` names the program, where it is not on the path: its packages and s3fs's do not fit one environment.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import vidgan
from videos import write_video
from vidgan.cli import main
from vidgan.data.dataset import Dataset
from vidgan.data.loader import Loader
from vidgan.data.window import WindowSpec
from vidgan.errors import UserError

s3fs = pytest.importorskip("s3fs")
SERVER = shutil.which(os.environ.get("MOTO_SERVER", "moto_server"))


@pytest.fixture(scope="module")
def port() -> int:
    """The same for all tests: processes that read for several of them keep the environment of the first."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
    return found


@pytest.fixture
def endpoint(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server without buckets."""
    if SERVER is None:
        pytest.skip("moto_server is not installed")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    address = f"http://127.0.0.1:{port}"
    own = {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": "us-east-1"}
    for name, value in {**own, "ENDPOINT_URL": address}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    server = subprocess.Popen([SERVER, "-H", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL)
    try:
        wait_for(port, server)
        s3fs.S3FileSystem.clear_instance_cache()
        yield address
    finally:
        server.kill()
        server.wait()


def lengths(dataset: Dataset) -> list[int]:
    """Numbers of frames, the least first."""
    return sorted(dataset.info(index).frames for index in range(len(dataset)))


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers."""
    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail("the server does not start")


def test_a_bucket_is_prepared_to_the_clips_of_a_folder(
    tmp_path: Path, endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source"
    for number in range(4):
        path = source / ("walk", "run")[number % 2] / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, frames=4 + number)
    system = s3fs.S3FileSystem()
    system.mkdir("clips")
    system.put(str(source), "clips/mine", recursive=True)
    disk = vidgan.prepare(source, tmp_path / "disk", size=16, workers=0)
    # In processes of their own, as the command does, and as two machines, each of which fetches its own part.
    for part in ("1/2", "2/2"):
        words = ["prepare", "s3://clips/mine", str(tmp_path / "store"), "--size", "16", "--workers", "2"]
        assert main([*words, "--shard", part]) == 0
    assert main(["prepare", "s3://clips/mine", str(tmp_path / "store"), "--size", "16"]) == 0
    store = vidgan.open_dataset(tmp_path / "store")
    assert store.fingerprint == disk.fingerprint
    # What is put anew is read anew.
    write_video(source / "walk" / "0.mp4", frames=9)
    system.put(str(source / "walk" / "0.mp4"), "clips/mine/walk/0.mp4")
    again = vidgan.prepare("s3://clips/mine", tmp_path / "store", size=16, workers=0)
    assert lengths(again) == [5, 6, 7, 9]
    # A bucket that does not exist: one line.
    capsys.readouterr()
    assert main(["prepare", "s3://nothing/here", str(tmp_path / "other"), "--size", "16"]) == 2
    told = capsys.readouterr().err
    assert "s3://nothing/here" in told
    assert len(told.strip().splitlines()) == 1
    assert not (tmp_path / "other").exists()


def test_tar_files_of_a_bucket(tmp_path: Path, endpoint: str) -> None:
    """They are listed by their headers and read in ranges."""
    source = tmp_path / "source"
    for number in range(3):
        source.mkdir(exist_ok=True)
        write_video(source / f"{number}.mp4", frames=4 + number)
    disk = vidgan.prepare(source, tmp_path / "disk", size=16, workers=0)
    shutil.make_archive(str(tmp_path / "one"), "tar", source)
    system = s3fs.S3FileSystem()
    system.mkdir("packed")
    system.put(str(tmp_path / "one.tar"), "packed/shards/one.tar")
    packed = vidgan.prepare("s3://packed/shards", tmp_path / "packed", layout="tar", size=16, workers=0)
    assert lengths(packed) == lengths(disk) == [4, 5, 6]


def test_prepared_data_in_a_bucket(
    tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Read by worker processes, which fetch shards themselves; what a killed one had of a shard is gone on from."""
    monkeypatch.setenv("VIDGAN_DATA_CACHE", str(tmp_path / "cache"))
    for number in range(6):
        path = tmp_path / "source" / ("walk", "run")[number % 2] / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, frames=6)
    disk = vidgan.prepare(tmp_path / "source", tmp_path / "disk", size=16, workers=0)
    system = s3fs.S3FileSystem()
    system.mkdir("prepared")
    system.put(str(tmp_path / "disk"), "prepared/mine", recursive=True)
    data = vidgan.open_dataset("s3://prepared/mine")
    assert data.fingerprint == disk.fingerprint
    kept = tmp_path / "cache" / disk.fingerprint
    shard = (tmp_path / "disk" / "shard-00002.bin").read_bytes()
    (kept / ".shard-00002.bin.part").write_bytes(shard[:1000])
    items = [range(n, n + 3) for n in range(0, 12, 3)]
    batches = []
    for each, workers in ((data, 2), (disk, 0)):
        with Loader(each, WindowSpec(size=16, frames=4), 1, workers) as loader:
            batches.append([batch.video.tolist() for batch in loader.batches(iter(items))])
    assert batches[0] == batches[1]
    assert {path.name: path.read_bytes() for path in kept.glob("*shard*")} == {
        path.name: path.read_bytes() for path in (tmp_path / "disk").glob("shard*")
    }
    # A bucket that lacks a shard, and one without prepared data: one line.
    shutil.rmtree(kept)
    system.rm("prepared/mine/shard-00001.bin")
    capsys.readouterr()
    for url, words in (("s3://prepared/mine", "shard-00001.bin"), ("s3://prepared", "no prepared dataset")):
        assert main(["inspect", url]) == 2
        told = capsys.readouterr().err
        assert words in told
        assert len(told.strip().splitlines()) == 1


def test_the_benchmark_of_many_clips(tmp_path: Path) -> None:
    """Sources and prepared data in a server of its own; each object is fetched once, and in the next epoch none."""
    if SERVER is None:
        pytest.skip("moto_server is not installed")
    script = Path(__file__).parents[2] / "benchmarks" / "many_clips.py"
    words = [sys.executable, script, "--clips", "64", "--folder", tmp_path, "--server", SERVER]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if " MiB fetched" in line]
    prepared, first, second = lines[2], lines[-2], lines[-1]
    assert prepared.startswith("prepared by 8 processes")
    assert int(prepared.split(" requests")[0].split()[-1].replace(",", "")) >= 64
    assert "nothing in the cache" in first
    assert ", 0.1 MiB fetched" in first  # 64 clips of 784 bytes, and the index
    assert "all in the cache" in second
    assert ", 0.0 MiB fetched" in second


def test_a_server_that_is_gone(tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(UserError) as told:
        vidgan.prepare("s3://clips/mine", tmp_path / "made", size=16, workers=0)
    assert "\n" not in str(told.value)
    with pytest.raises(UserError, match=r"index\.json of s3://clips/mine cannot be read: ") as told:
        vidgan.open_dataset("s3://clips/mine", cache=tmp_path / "cache")
    assert "\n" not in str(told.value)
